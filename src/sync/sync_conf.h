
/*
 * The configuration of shared memory and Redis.  The directives fill it in; it
 * lives as long as its cycle.
 */


#ifndef _PERM_SYNC_SYNC_CONF_H_INCLUDED_
#define _PERM_SYNC_SYNC_CONF_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "redis/conf.h"
#include "shm/zone.h"
#include "state/state.h"


typedef struct {
    perm_redis_conf_t       redis;       /* redis.url NULL: none configured */
    perm_zone_conf_t        zone;
    perm_rate_limit_conf_t  limit;       /* lookups of keys not known here */
    ngx_uint_t              generation;  /* of perm_trackers_configured() */
    uint32_t                source;      /* likewise */
    ngx_msec_t              flush;       /* ms between flushes of accesses */
    ngx_uint_t              stale;       /* 1: a location uses stale answers */
    perm_state_files_t     *state;       /* NULL: no state= */
} perm_sync_conf_t;


/* of all keys */

static ngx_inline perm_str_t
perm_sync_conf_prefix(perm_sync_conf_t *conf)
{
    perm_str_t  prefix;

    prefix.data = (const char *) conf->redis.prefix.data;
    prefix.len = conf->redis.prefix.len;

    return prefix;
}


/*
 * 1: a reload has named another Redis, database or prefix.  A worker of before,
 * which lives on for a request, has nothing to tell those of the new one.
 */

static ngx_inline ngx_uint_t
perm_sync_conf_replaced(perm_sync_conf_t *conf)
{
    return !perm_trackers_source(&conf->zone.zone->trackers, conf->source);
}


/*
 * 1: likewise, or the reload has named the same: what the links of such a
 * worker meet says nothing of those of the new workers.
 */

static ngx_inline ngx_uint_t
perm_sync_conf_former(perm_sync_conf_t *conf)
{
    return conf->generation != conf->zone.zone->trackers.generation;
}


#endif /* _PERM_SYNC_SYNC_CONF_H_INCLUDED_ */
