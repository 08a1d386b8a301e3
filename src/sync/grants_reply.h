
/*
 * A reply of Redis decoded into grants, or the reason why it is none.
 */


#ifndef _PERM_SYNC_GRANTS_REPLY_H_INCLUDED_
#define _PERM_SYNC_GRANTS_REPLY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include <hiredis/hiredis.h>

#include "core/decision.h"


#define PERM_GRANTS_REPLY_ERROR  128    /* bytes, with a NUL */


typedef enum {
    PERM_FETCHED = 0,
    PERM_FETCH_NOT_LOADED,     /* Redis answered, but its table is not loaded */
    PERM_FETCH_IMPOSSIBLE      /* connection lost, time-out, error reply, over
                                  the limit */
} perm_fetch_result_t;


/* what the waiters of a lookup get */

typedef struct {
    perm_fetch_result_t  result;
    perm_grants_t        grants;   /* not of PERM_FETCH_IMPOSSIBLE */
    char                 error[PERM_GRANTS_REPLY_ERROR];
                                   /* of PERM_FETCH_IMPOSSIBLE: why; bytes of
                                      Redis */
} perm_grants_reply_t;


/*
 * Each returns NGX_OK, NGX_DECLINED for an error reply, or NGX_ERROR for no
 * reply (NULL), or one of a type or shape that the command never has.
 */

/* HMGET key - resource: both grants, absent, unreadable or with an expiry */
ngx_int_t perm_grants_reply_parse(redisReply *reply, perm_grants_t *grants);

/* HGET meta schema: whether the table is loaded, in the schema we know */
ngx_int_t perm_grants_reply_loaded(redisReply *reply, ngx_uint_t *loaded);


/* it came to nothing; "rc" is that of the functions above */

void perm_grants_reply_failed(perm_grants_reply_t *grants_reply,
    redisReply *reply, ngx_int_t rc);


#endif /* _PERM_SYNC_GRANTS_REPLY_H_INCLUDED_ */
