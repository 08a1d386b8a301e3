
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
    ngx_atomic_t    redis_before;    /* 1: it was up once */
    ngx_atomic_t    tracking;        /* 1: changes are pushed */
    ngx_atomic_t    tracking_since;
    ngx_atomic_t    unpushed_logged; /* the log says that they are not, by a
                                        worker of that generation, 0: it does
                                        not */
    ngx_atomic_t    lag;             /* ms, the last heartbeat's */
    ngx_atomic_t    lag_worst;       /* ms, since start */
    ngx_atomic_t    hung;            /* counts hung servers found out by the
                                        heartbeat; a change of it makes every
                                        worker drop its link */
    ngx_atomic_t    unwritten;       /* unix seconds since when Redis has not
                                        taken last accesses, 0: it does */
    ngx_atomic_t    unwritten_logged;   /* likewise */
    ngx_atomic_t    unsaved;         /* unix seconds since when the state file
                                        cannot be written, 0: it can */
    ngx_atomic_t    no_ttl;          /* unix seconds when PTTL was refused last,
                                        0: the user has the right */
    ngx_atomic_t    no_time;         /* 1: TIME is refused */
    ngx_atomic_t    clock_ahead;     /* seconds that this machine's clock is
                                        ahead of Redis's, 0: it is not */
    ngx_atomic_t    full;            /* unix seconds of the last line about
                                        accesses dropped, 0: none */
    ngx_atomic_t    unreadable;      /* unix seconds: the newest grant that
                                        cannot be read; 0: none */
    ngx_atomic_t    bad_config;      /* likewise, a call that met an incomplete
                                        configuration */
    ngx_atomic_t    twice;           /* likewise, with an argument twice */
    uint64_t        logged[PERM_HEALTH_LOGGED];   /* hashes of keys */
    u_char          down[PERM_HEALTH_WORKERS];
} perm_health_t;


/* the link of this worker is up, or not */

void perm_health_redis(perm_health_t *health, ngx_uint_t worker,
    ngx_uint_t up, ngx_log_t *log);

/*
 * Changes are pushed, or not.  Only what lasts is logged that they are not:
 * by whoever knows why, or by perm_link_state_unpushed().
 */

void perm_health_tracking(perm_health_t *health, ngx_uint_t active,
    ngx_log_t *log);

/*
 * Returns 1 to the one of all workers that turns this flag: to 0, or from it
 * to "on".  Where "on" is the generation of a configuration, also to the first
 * one of a newer generation: after a reload the log is to say what is wrong.
 */

ngx_uint_t perm_health_turned(ngx_atomic_t *flag, ngx_uint_t on);

/* 1: any worker has its flag set, of PERM_HEALTH_WORKERS */

ngx_uint_t perm_health_any(u_char *workers);


/*
 * Logs "what" at that level, or, where the log told of its loss, at "error",
 * which is the level of that.  before: unix seconds of the loss, 0: there was
 * none.  again: 1: it was so before the loss.
 */

void perm_health_log_good(const char *what, ngx_uint_t level, time_t before,
    ngx_uint_t again, ngx_log_t *log);

/* ms: what a heartbeat took now */

void perm_health_lag(perm_health_t *health, ngx_msec_t msec);


/* Redis does not take last accesses; it does, which is logged as the other */

void perm_health_unwritten(perm_health_t *health);
void perm_health_written(perm_health_t *health, ngx_log_t *log);


/*
 * 1 for the first of all workers that comes with this hash, of a key that is
 * to be logged once.  Of more than PERM_HEALTH_LOGGED keys some are forgotten.
 */

ngx_uint_t perm_health_first(perm_health_t *health, uint64_t hash);


#endif /* _PERM_SHM_HEALTH_H_INCLUDED_ */
