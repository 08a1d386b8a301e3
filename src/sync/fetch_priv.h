
/*
 * The inside of the fetch; for fetch.c and fetch_table.c only.
 */


#ifndef _PERM_SYNC_FETCH_PRIV_H_INCLUDED_
#define _PERM_SYNC_FETCH_PRIV_H_INCLUDED_


#include "core/grant_key.h"
#include "sync/grants_reply.h"
#include "sync/fetch.h"
#include "sync/pending.h"


struct perm_fetch_s {
    perm_sync_conf_t        *conf;
    perm_zone_t             *zone;
    perm_stats_cell_t       *stats;     /* of this worker */
    perm_redis_client_t     *redis;
    perm_redis_stat_t        stat;      /* this worker's cell */
    ngx_log_t               *log;
    ngx_uint_t               worker;
    ngx_atomic_uint_t        hung;      /* of health, when last looked at */

    perm_pending_table_t     pendings;   /* on their way */
    /* sent, the question for "meta" not yet */
    ngx_queue_t              unchecked;
    ngx_event_t              meta;      /* posted: asks it behind this turn's */
    unsigned                 ask:1;     /* for no lookup's sake */
    perm_grants_reply_log_t  answers;   /* of HMGET, and of HGET */
    perm_grants_reply_log_t  meta_answers;

    u_char                   meta_key[PERM_KEY_MAX];
    size_t                   meta_len;
};


/*
 * Posted when a lookup is sent.  Asks whether the table is loaded, once for
 * all lookups of this turn of the event loop and behind them: an answer of
 * before a FLUSHALL passes, one of after it cannot be taken for "nobody has a
 * grant".
 */

void perm_fetch_table_handler(ngx_event_t *ev);


/* tells the waiters when both answers are there */

void perm_fetch_settle(perm_pending_t *pending);


/*
 * The lookup came to nothing, because of this reply; NULL: there is none.
 * "rc": of perm_grants_reply_parse() or perm_grants_reply_loaded().
 */

void perm_fetch_failed(perm_pending_t *pending, redisReply *reply,
    ngx_int_t rc);


#endif /* _PERM_SYNC_FETCH_PRIV_H_INCLUDED_ */
