
/*
 * Counters and histograms in shared memory.  Each worker has a cell of its own,
 * but adds atomically: during a reload workers of two configurations share it.
 */


#ifndef _PERM_SHM_STATS_H_INCLUDED_
#define _PERM_SHM_STATS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "core/decision.h"


typedef enum {
    PERM_CACHE_NONE = 0,       /* no lookup was needed */
    PERM_CACHE_HIT,
    PERM_CACHE_MISS,
    PERM_CACHE_STALE,
    PERM_CACHE_STATUSES
} perm_cache_status_t;


typedef enum {
    PERM_HISTOGRAM_HIT = 0,    /* the check, sampled 1 in 64 */
    PERM_HISTOGRAM_MISS,       /* the check, every one */
    PERM_HISTOGRAM_REDIS,      /* a command to its reply */
    PERM_HISTOGRAMS
} perm_histogram_t;


#define PERM_HISTOGRAM_BUCKETS  24   /* bucket i counts usec <= 2^i; the last
                                        one all the rest */

#define PERM_STATS_CELLS  64
#define PERM_STATS_LINE   128        /* bytes: two cache lines, since the
                                        prefetcher takes pairs of them */


typedef struct {
    ngx_atomic_t    count[PERM_HISTOGRAM_BUCKETS];
    ngx_atomic_t    sum;       /* usec */
} perm_histogram_cell_t;


/* the age of the oldest answer that decided, in two minutes */

typedef struct {
    ngx_atomic_t    minute;    /* unix */
    ngx_atomic_t    oldest;    /* ms, in that minute */
    ngx_atomic_t    before;    /* ms, in the one before */
} perm_age_cell_t;


/* only counters, which are added up, and then the age, which is not */

typedef struct {
    /* [dry_run][outcome][reason]; dry_run is 1 for a request that dry run
       let through although its outcome is not "allow" */
    ngx_atomic_t           requests[2][3][PERM_REASONS];
    ngx_atomic_t           cache[PERM_CACHE_STATUSES];
    struct {
        ngx_atomic_t       commands;       /* answered, errors included */
        ngx_atomic_t       errors;         /* and time-outs, lost links */
    } redis;
    struct {
        ngx_atomic_t       shown;          /* an app got what it has */
        ngx_atomic_t       requests;       /* grants that apps asked for */
        ngx_atomic_t       unavailable;    /* Redis could not be asked */
    } self;                                /* app_permission_self */
    ngx_atomic_t           twice;          /* of bad_config: an argument twice,
                                              for app_permission_decide */
    ngx_atomic_t           unreadable_grants;
    ngx_atomic_t           limited;        /* lookups over the limit */
    ngx_atomic_t           refreshes;      /* ahead of an entry's end */
    ngx_atomic_t           invalidations;  /* keys reported as changed */
    perm_histogram_cell_t  histograms[PERM_HISTOGRAMS];

    perm_age_cell_t        age;
} perm_stats_cell_t;


/* no two cells share a line */

typedef struct {
    union {
        perm_stats_cell_t  cell;
        u_char             lines[ngx_align(sizeof(perm_stats_cell_t),
                                           PERM_STATS_LINE)];
    } cells[PERM_STATS_CELLS];
} perm_stats_t __attribute__((aligned(PERM_STATS_LINE)));


/* this worker's cell; workers beyond the cells share the last one */

perm_stats_cell_t *perm_stats_cell(perm_stats_t *stats, ngx_uint_t worker);


/* any counter of a cell */

#define perm_stats_add(counter, n)                                            \
    ((void) __atomic_fetch_add(counter, n, __ATOMIC_RELAXED))


void perm_stats_time(perm_stats_cell_t *cell, perm_histogram_t histogram,
    uint64_t usec);


/* "age" (ms) of a cached answer that decided; hits may be sampled */

void perm_stats_age(perm_stats_cell_t *cell, ngx_uint_t age, time_t now);


/*
 * Adds up the cells without a lock.  A request that is counted meanwhile may be
 * in the sum or not, and no counter ever goes back.
 */

void perm_stats_sum(perm_stats_t *stats, perm_stats_cell_t *sum, time_t now);


#endif /* _PERM_SHM_STATS_H_INCLUDED_ */
