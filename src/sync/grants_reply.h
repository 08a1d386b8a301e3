
/*
 * A reply of Redis decoded into grants, or the reason why it is none; and lines
 * of the error log about it: one for each key, whichever worker finds it, and
 * one for each change of state.
 */


#ifndef _PERM_SYNC_GRANTS_REPLY_H_INCLUDED_
#define _PERM_SYNC_GRANTS_REPLY_H_INCLUDED_


#include <ngx_config.h>   /* first: it selects what libc declares */
#include <hiredis/hiredis.h>

#include "core/decision.h"
#include "sync/sync_conf.h"


#define PERM_GRANTS_REPLY_ERROR  128    /* bytes, with a NUL */


typedef enum {
    PERM_FETCHED = 0,
    PERM_FETCH_NOT_LOADED,     /* Redis answered, but its table is not loaded */
    PERM_FETCH_IMPOSSIBLE,     /* connection lost, time-out */
    PERM_FETCH_REFUSED,        /* error reply */
    PERM_FETCH_LIMITED         /* over the limit of lookups: not sent in time */
} perm_fetch_result_t;


/* what the waiters of a lookup get */

typedef struct {
    perm_fetch_result_t  result;
    perm_grants_t        grants;   /* of the first two */
    char                 error[PERM_GRANTS_REPLY_ERROR];
                                   /* of the others: why; bytes of Redis */
} perm_grants_reply_t;


/*
 * Each returns NGX_OK, NGX_DECLINED for an error reply, or NGX_ERROR for no
 * reply (NULL), or one of a type or shape that the command never has.
 */

/*
 * HMGET key - resource: both grants, absent, unreadable or with an expiry.
 * NGX_BUSY: memory is out.
 */
ngx_int_t perm_grants_reply_parse(redisReply *reply, perm_grants_t *grants);

/* of that reply, after NGX_OK: 1 when its value "i" is over 64 KiB */
ngx_uint_t perm_grants_reply_too_long(redisReply *reply, ngx_uint_t i);

/*
 * PTTL key: how many ms the key has left, PERM_GRANTS_ENDLESS, or 0 when
 * it is gone.  "age": ms since it was sent.
 */
ngx_int_t perm_grants_reply_left(redisReply *reply, ngx_msec_t age,
    int64_t *left);

/* 1: an error reply says that the user, or the server, has no PTTL */
ngx_uint_t perm_grants_reply_no_pttl(redisReply *reply);

/* HGET meta schema: whether the table is loaded, in the schema we know */
ngx_int_t perm_grants_reply_loaded(redisReply *reply, ngx_uint_t *loaded);


/*
 * It came to nothing; "rc": one of those above; NGX_BUSY without a reply: over
 * the limit
 */

void perm_grants_reply_failed(perm_grants_reply_t *grants_reply,
    redisReply *reply, ngx_int_t rc);


/*
 * The grant in a field is unreadable and counts as absent, or, where the field
 * is empty, the key of the grants is not a hash.
 */

void perm_grants_reply_log_grant(perm_sync_conf_t *conf, perm_tuple_t *tuple,
    perm_str_t field, ngx_uint_t too_long, ngx_log_t *log);


#define PERM_GRANTS_REPLY_LOGGED  8

/* of one command: the errors that were logged since a good reply */

typedef struct {
    uint32_t      errors[PERM_GRANTS_REPLY_LOGGED];   /* hashes */
    ngx_uint_t    nerrors;
    time_t        minute;      /* unix seconds: lines are counted since then */
    ngx_uint_t    lines;
} perm_grants_reply_logged_t;


/*
 * Logs a reply whose "rc" is not NGX_OK, with its effect, unless one like it
 * was logged and no good one came since.  There are at most
 * PERM_GRANTS_REPLY_LOGGED lines until a good one, and 60 a minute.
 */

void perm_grants_reply_log(perm_grants_reply_logged_t *last, redisReply *reply,
    ngx_int_t rc, const char *command, const char *effect, ngx_log_t *log);

/* the effect on lookups */

#define PERM_GRANTS_REPLY_STALE                                               \
    "known grants go on deciding for \"app_permission_cache_stale\", other "  \
    "calls are unavailable"


#endif /* _PERM_SYNC_GRANTS_REPLY_H_INCLUDED_ */
