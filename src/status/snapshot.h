
/*
 * What an instance has to tell of itself at one moment, copied out of shared
 * memory before anything is rendered, so that no lock is held meanwhile and
 * all forms of the status say the same.
 */


#ifndef _PERM_STATUS_SNAPSHOT_H_INCLUDED_
#define _PERM_STATUS_SNAPSHOT_H_INCLUDED_


#include "http/conf.h"
#include "shm/history.h"


#define PERM_ALERTS_MAX      12
#define PERM_ALERT_TEXT_MAX  160   /* bytes */


typedef enum {
    PERM_ALERT_NOTE = 0,     /* good to know */
    PERM_ALERT_WARNING,      /* nobody is hurt yet */
    PERM_ALERT_ERROR         /* calls are refused, or records lost */
} perm_severity_t;


typedef struct {
    perm_severity_t        severity;
    const char            *name;       /* for programs */
    const char            *advice;     /* what it means and what to do */
    char                   text[PERM_ALERT_TEXT_MAX];
} perm_alert_t;


/* per second, over the newest minute and the ten before it */

typedef struct {
    double                 checks;
    double                 refused;    /* deny and fail */
    double                 failed;     /* fail */
    double                 refused_before;
    ngx_uint_t             known;      /* 1: there is a minute to tell of */
    ngx_uint_t             known_before;
} perm_rates_t;


typedef struct {
    time_t                 now;        /* unix seconds */
    time_t                 created;    /* the zone: counters start there */
    ngx_uint_t             redis;      /* 1: one is configured */
    ngx_uint_t             workers;

    perm_stats_cell_t      stats;
    ngx_uint_t             allow;      /* decided requests, but for those */
    ngx_uint_t             deny;       /* that dry run let through */
    ngx_uint_t             fail;
    ngx_uint_t             would_deny; /* deny or fail let through by it */

    perm_cache_stat_t      cache;
    perm_recorder_stat_t   access;
    time_t                 pending;    /* seconds, the oldest one; 0: none */
    perm_health_t          health;
    perm_table_known_t     table;
    time_t                 table_since;  /* unix seconds */

    ngx_uint_t             expiring[PERM_EXPIRING_WINDOWS];
    ngx_uint_t             expiring_missed;

    ngx_uint_t             npoints;
    perm_history_point_t   points[PERM_HISTORY_POINTS];
    perm_rates_t           rates;

    ngx_uint_t             nalerts;    /* worst first */
    perm_alert_t           alerts[PERM_ALERTS_MAX];
} perm_snapshot_t;


/* NULL when the pool is out of memory */

perm_snapshot_t *perm_snapshot_take(perm_main_conf_t *pmcf, ngx_pool_t *pool);

/* adds a point to the history when one is due */

void perm_snapshot_note(perm_zone_t *zone);


/* fills in nproblems and problems */

void perm_alerts_find(perm_snapshot_t *s, ngx_msec_t flush);


/*
 * The upper bound of the bucket where this share (0 to 1) of a histogram's
 * values is reached, usec; 0 when it is empty.
 */
uint64_t perm_snapshot_quantile(perm_histogram_cell_t *h, double share);

ngx_uint_t perm_snapshot_count(perm_histogram_cell_t *h);


#endif /* _PERM_STATUS_SNAPSHOT_H_INCLUDED_ */
