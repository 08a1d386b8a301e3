
/*
 * Server-assisted invalidation: Redis reports the keys that change, whichever
 * client changes them and however.  A pair of connections to every master: one
 * subscribes to __redis__:invalidate, the other has CLIENT TRACKING redirected
 * to it.
 * https://redis.io/docs/latest/develop/reference/client-side-caching/
 */


#ifndef _PERM_REDIS_TRACKING_H_INCLUDED_
#define _PERM_REDIS_TRACKING_H_INCLUDED_


#include <ngx_config.h>   /* first: it selects what libc declares */
#include <hiredis/hiredis.h>

#include "redis/conf.h"


typedef struct perm_redis_tracking_s  perm_redis_tracking_t;


typedef struct {
    /* a key that begins with one of the prefixes changed; NULL: any may have */
    void  (*changed)(void *data, ngx_str_t *key);

    /*
     * 1: from now on every change is reported; changes before this call were
     * not.  0: not any more.  Called when it changes only.
     */
    void  (*active)(void *data, ngx_uint_t active);

    /*
     * All changes that were made before "sent" (ms, monotonic) and after the
     * last active(1) were reported, those of all masters.  About every 100 ms.
     */
    void  (*heard)(void *data, ngx_msec_t sent);

    /* round trip of a heartbeat, ms, likewise: a report takes as long */
    void  (*lag)(void *data, ngx_msec_t msec);

    /*
     * The masters differ from before.  A client that does not know it yet
     * reads from the former ones, whose changes are not reported any more.
     */
    void  (*moved)(void *data);

    /*
     * A server refuses to track, and for good where "lasting" is 1; that ends
     * with active(1).  Returns 1 if the log is to say so.
     */
    ngx_uint_t  (*refused)(void *data, ngx_uint_t lasting);

    /* a connected server does not answer; active(0) follows if it was active */
    void  (*hung)(void *data);
} perm_redis_tracking_handlers_t;


/*
 * Keeps tracking the keys that begin with any of the prefixes, whatever
 * happens to connections, until stopped.  A heartbeat finds out a server that
 * hangs.  Where the server or its rights do not allow tracking, it is tried
 * again every 10 seconds.  "conf", "prefixes" and
 * "handlers" must live as long as it does.  Returns NULL when memory is out.
 */
perm_redis_tracking_t *perm_redis_tracking_start(perm_redis_conf_t *conf,
    ngx_log_t *log, ngx_str_t *prefixes, ngx_uint_t nprefixes,
    perm_redis_tracking_handlers_t *handlers, void *data);

/* no handler is called from here or after it; not to be called from one */
void perm_redis_tracking_stop(perm_redis_tracking_t *tracking);


/* a command about tracked keys; argv[1] is the key whose master answers */

typedef struct {
    ngx_uint_t    argc;
    ngx_str_t    *argv;
    void         *data;

    /* it leaves in this turn */
    void        (*asking)(void *data);

    /*
     * "reply" may be an error.  NGX_OK: it is of use, and all changes that were
     * made before it are to be reported.  NGX_DECLINED: the question ends here.
     */
    ngx_int_t   (*answer)(void *data, redisReply *reply);

    /* they have been; NGX_AGAIN: it is to be asked once more */
    ngx_int_t   (*settled)(void *data);
} perm_redis_question_t;


/* "question" has to last */
void perm_redis_tracking_question(perm_redis_tracking_t *tracking,
    perm_redis_question_t *question);

/*
 * Asks, or once more when the question on its way has ended.  Nothing comes
 * where tracking is not active, or while it is lost: ask again after active(1).
 */
void perm_redis_tracking_ask(perm_redis_tracking_t *tracking);


#endif /* _PERM_REDIS_TRACKING_H_INCLUDED_ */
