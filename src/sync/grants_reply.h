
/*
 * Redis's answers to a lookup -> grants, or what is wrong with them.
 */


#ifndef _PERM_SYNC_GRANTS_REPLY_H_INCLUDED_
#define _PERM_SYNC_GRANTS_REPLY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include <hiredis/hiredis.h>

#include "core/decision.h"


/*
 * Each returns NGX_OK, NGX_DECLINED for an error reply, or NGX_ERROR for a
 * reply of a type or shape that the command never has.
 */

/* HMGET key - resource: both grants, absent, unreadable or with an expiry */
ngx_int_t perm_grants_reply_parse(redisReply *reply, perm_grants_t *grants);

/* HGET meta schema: whether the table is loaded, in the schema we know */
ngx_int_t perm_grants_reply_loaded(redisReply *reply, ngx_uint_t *loaded);


/* the error that was last told of, so that it is said once, not per lookup */

typedef struct {
    uint32_t      error;       /* hash of it, 0: none since a good one */
    time_t        minute;      /* unix seconds: lines are counted since */
    ngx_uint_t    lines;
} perm_grants_reply_log_t;


/*
 * Logs an answer that is not NGX_OK, when it is another one than before; and
 * forgets about it for a good one ("rc" NGX_OK).  Where good and bad answers
 * take turns, one line a second on average has to do.
 */
void perm_grants_reply_log(perm_grants_reply_log_t *answers, redisReply *reply,
    ngx_int_t rc, char *command, ngx_log_t *log);


#endif /* _PERM_SYNC_GRANTS_REPLY_H_INCLUDED_ */
