
/*
 * The shared-memory zone.  It holds no pointer to configuration, code or
 * events: workers of two configurations, and of two builds, share it.
 */


#ifndef _PERM_SHM_ZONE_H_INCLUDED_
#define _PERM_SHM_ZONE_H_INCLUDED_


#include "shm/cache.h"
#include "shm/expiring.h"
#include "shm/health.h"
#include "shm/heavy_hitters.h"
#include "shm/history.h"
#include "shm/link_state.h"
#include "shm/rate_limit.h"
#include "shm/recorder.h"
#include "shm/resources.h"
#include "shm/stats.h"
#include "shm/table_state.h"
#include "shm/trackers.h"


#define PERM_ZONE_LAYOUT 13              /* of everything in the zone */
#define PERM_ZONE_MIN    (1024 * 1024)   /* bytes */


typedef struct {
    ngx_uint_t             layout;       /* of this build, first */
    uint64_t               seed;         /* of every hash */
    time_t                 created;      /* unix seconds */
    ngx_atomic_t           replaced;     /* a reload made another zone: this
                                            one is not for the state file */

    perm_cache_t          *cache;
    perm_recorder_t       *recorder;
    perm_records_t        *refused;      /* heavy_hitters */
    perm_records_t        *would_deny;   /* heavy_hitters, of dry run */
    perm_records_t        *expiring;
    perm_records_t        *resources;

    perm_rate_limit_t      limit;        /* of lookups of unknown keys */
    perm_lease_t           flushing;
    perm_lease_t           revalidating;
    perm_trackers_t        trackers;
    perm_health_t          health;
    perm_link_state_t      link;
    perm_table_state_t     table;
    perm_history_t         history;
    perm_stats_t           stats;
} perm_zone_t;


typedef struct {
    perm_zone_t      *zone;              /* first: a reload reads it */
    size_t            size;              /* bytes */
    ngx_str_t         state;             /* file, len 0: none */

    /* fills a new zone that takes nothing over; NULL: it stays empty */
    ngx_int_t       (*created)(ngx_shm_zone_t *shm_zone);
} perm_zone_conf_t;


/*
 * Adds the zone.  A reload takes it over, also with another prefix or database
 * in the configuration: a wrong one is an outage, and locks nobody out.  A
 * zone of another size begins with the known grants, untrusted, and the
 * pending accesses of the former one.  NULL: memory is out, or nginx logged
 * the reason.
 */

ngx_shm_zone_t *perm_zone_add(ngx_conf_t *cf, perm_zone_conf_t *conf,
    void *tag);


/* ngx_shm_zone_t.init; shm_zone->data is a perm_zone_conf_t */

ngx_int_t perm_zone_init(ngx_shm_zone_t *shm_zone, void *data);


/*
 * That of the running configuration if it is other memory, laid out as this
 * build does, or NULL.  In the master, while the next configuration is read.
 */

ngx_shm_zone_t *perm_zone_former(ngx_shm_zone_t *shm_zone);


/*
 * The next entry of perm_cache_next() that another zone or a state file may
 * have.  A denial helps nobody, and a changed grant must not come back: for
 * these it returns NGX_DECLINED.
 */

ngx_int_t perm_zone_next_grant(perm_zone_t *zone, ngx_uint_t *cursor,
    perm_tuple_t *tuple, char *names, perm_cache_entry_t *entry);


#endif /* _PERM_SHM_ZONE_H_INCLUDED_ */
