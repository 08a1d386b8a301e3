
/*
 * The state of this instance at one moment, copied out of shared memory, so
 * that all formats of the status show the same numbers.
 */


#ifndef _PERM_STATUS_SNAPSHOT_H_INCLUDED_
#define _PERM_STATUS_SNAPSHOT_H_INCLUDED_


#include "http/conf.h"
#include "shm/history.h"


#define PERM_ALERTS_MAX      24
#define PERM_SNAPSHOT_LONG   600         /* seconds: a refused lookup is over */
#define PERM_ALERT_TEXT_MAX  160         /* bytes */
#define PERM_ALERT_LINK_MAX  1280        /* bytes */


typedef enum {
    PERM_ALERT_NOTE = 0,                 /* good to know */
    PERM_ALERT_WARNING,                  /* no call is refused for it yet */
    PERM_ALERT_ERROR                     /* calls fail, or records are lost */
} perm_severity_t;


typedef struct {
    perm_severity_t        severity;
    const char            *name;         /* for programs */
    const char            *advice;       /* the consequence, what to do */
    char                   text[PERM_ALERT_TEXT_MAX];
} perm_alert_t;


/* a second, over some minutes of the history */

typedef struct {
    double                 checks;
    double                 denied;
    double                 failed;
    perm_reason_t          reason;       /* of most that were denied */
    ngx_uint_t             known;        /* 0: the history is too short */
} perm_rate_t;


typedef struct {
    perm_zone_t           *zone;
    time_t                 now;          /* unix seconds */
    ngx_uint_t             started;      /* unix seconds, of the counters */
    ngx_uint_t             redis;        /* 1: one is configured */

    perm_stats_cell_t      stats;
    perm_history_point_t   total;
    perm_cache_stat_t      cache;
    perm_recorder_stat_t   access;
    ngx_uint_t             pending;      /* seconds, the oldest access that
                                            Redis does not have; 0: none */
    perm_health_t          health;
    perm_link_server_t     server;       /* the last one that was linked to */
    perm_link_error_t      link_error;   /* the last one */
    ngx_uint_t             refused_lookups;  /* 1: it is that of a lookup */
    ngx_uint_t             stopped;      /* 1: no worker reads changes */
    ngx_uint_t             unpushed;     /* seconds, 0: changes are pushed, or
                                            it is too soon to say so */
    ngx_uint_t             unwritten;    /* likewise, of last accesses */
    ngx_uint_t             push_refused; /* 1: for good */
    ngx_uint_t             replica;      /* 1: some worker has no master */
    ngx_uint_t             replica_since;    /* unix seconds */
    ngx_uint_t             table;        /* perm_table_known_t */
    ngx_uint_t             table_since;  /* unix seconds */
    ngx_uint_t             held;         /* 1: accesses wait for the table */

    perm_heavy_hitters_stat_t  refused;
    perm_heavy_hitters_stat_t  would_deny;
    ngx_uint_t             expiring[PERM_EXPIRING_WINDOWS];
    ngx_uint_t             expiring_missed;

    ngx_uint_t             npoints;
    perm_history_point_t   points[PERM_HISTORY_POINTS];
    perm_rate_t            rate;         /* the last minute */
    perm_rate_t            rate_before;  /* up to ten minutes before that */

    ngx_uint_t             nalerts;      /* perm_alerts_find() adds them */
    perm_alert_t           alerts[PERM_ALERTS_MAX];
    char                   link_advice[PERM_ALERT_LINK_MAX];
} perm_snapshot_t;


/* NULL when the pool is out of memory */

perm_snapshot_t *perm_snapshot_take(perm_main_conf_t *pmcf, ngx_pool_t *pool);

/* adds a point to the history when one is due */

void perm_snapshot_note(perm_zone_t *zone);


#endif /* _PERM_STATUS_SNAPSHOT_H_INCLUDED_ */
