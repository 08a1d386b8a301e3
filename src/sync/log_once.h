
/*
 * Lines of the error log about what Redis has: once for each key, whichever
 * worker finds it, or once for each change of state.
 */


#ifndef _PERM_SYNC_LOG_ONCE_H_INCLUDED_
#define _PERM_SYNC_LOG_ONCE_H_INCLUDED_


#include "sync/sync_conf.h"
#include "sync/grants_reply.h"


/*
 * The grant in a field is unreadable and counts as absent, or, where the field
 * is empty, the key of the grants is not a hash.
 */

void perm_log_once_grant(perm_sync_conf_t *conf, perm_tuple_t *tuple,
    perm_str_t field, ngx_log_t *log);


/* of one command: the error that was logged last */

typedef struct {
    uint32_t      error;       /* hash of it, 0: none since a good reply */
    time_t        minute;      /* unix seconds: lines are counted since then */
    ngx_uint_t    lines;
} perm_log_once_t;


/*
 * Logs a reply whose "rc" (see grants_reply.h) is not NGX_OK, unless the last
 * bad one was the same; NGX_OK ends that.  Where good and bad replies take
 * turns, there is one line a second on average.
 */

void perm_log_once_reply(perm_log_once_t *last, redisReply *reply,
    ngx_int_t rc, char *command, ngx_log_t *log);


#endif /* _PERM_SYNC_LOG_ONCE_H_INCLUDED_ */
