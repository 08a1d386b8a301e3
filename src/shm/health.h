
/*
 * What all workers together know of Redis, in shared memory.  Each change of
 * state is one line in the error log, whichever worker sees it first.
 */


#ifndef _PERM_SHM_HEALTH_H_INCLUDED_
#define _PERM_SHM_HEALTH_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define PERM_HEALTH_WORKERS  128
#define PERM_HEALTH_LOGGED   512


typedef struct {
    ngx_atomic_t    redis_up;        /* 1: every worker that tried to has its
                                        link */
    ngx_atomic_t    redis_since;     /* unix seconds of the last change */
    ngx_atomic_t    tracking;        /* 1: changes are pushed */
    ngx_atomic_t    tracking_since;
    ngx_atomic_t    lag;             /* ms, the last heartbeat's */
    ngx_atomic_t    lag_worst;       /* ms, since start */
    ngx_atomic_t    hung;            /* counts hung servers found out by the
                                        heartbeat; a change of it makes every
                                        worker drop its link */
    ngx_atomic_t    unwritten;       /* unix seconds since when Redis has not
                                        taken last accesses, 0: it does */
    ngx_atomic_t    clock_ahead;     /* seconds that this machine's clock is
                                        ahead of Redis's, 0: it is not */
    ngx_atomic_t    full;            /* unix seconds of the last line about
                                        accesses dropped, 0: none */
    uint64_t        logged[PERM_HEALTH_LOGGED];   /* hashes of keys */
    u_char          down[PERM_HEALTH_WORKERS];
} perm_health_t;


/* the link of this worker is up, or not */

void perm_health_redis(perm_health_t *health, ngx_uint_t worker,
    ngx_uint_t up, ngx_log_t *log);

/* changes are pushed, or not */

void perm_health_tracking(perm_health_t *health, ngx_uint_t active,
    ngx_log_t *log);

/* 1: any worker has its flag set, of PERM_HEALTH_WORKERS */

ngx_uint_t perm_health_any(u_char *workers);


/*
 * Logs "what" at that level, or at "error", which is the level of its loss,
 * that it is so again.  before: unix seconds when the state before began, 0:
 * there was none.
 */

void perm_health_log_good(char *what, ngx_uint_t level, time_t before,
    ngx_log_t *log);

/* ms: what a heartbeat took now */

void perm_health_lag(perm_health_t *health, ngx_msec_t msec);


/* Redis does not take last accesses */

void perm_health_unwritten(perm_health_t *health);


/*
 * 1 for the first of all workers that comes with this hash, of a key that is
 * to be logged once.  Of more than PERM_HEALTH_LOGGED keys some are forgotten.
 */

ngx_uint_t perm_health_first(perm_health_t *health, uint64_t hash);


#endif /* _PERM_SHM_HEALTH_H_INCLUDED_ */
