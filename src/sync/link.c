
#include "sync/link.h"


static void perm_link_failed(void *data, const char *address,
    const char *reason);
static void perm_link_up(void *data, const char *address, ngx_uint_t replica);
static void perm_link_moved(void *data);


static perm_redis_client_watch_t  perm_link_handlers = {
    perm_link_failed,
    perm_link_up,
    perm_link_moved
};


void
perm_link_watch(perm_zone_t *zone, perm_redis_client_t *redis)
{
    perm_redis_client_watch(redis, &perm_link_handlers, zone);
}


static void
perm_link_failed(void *data, const char *address, const char *reason)
{
    perm_zone_t *zone = data;

    perm_link_state_failed(&zone->link, address, reason);
}


static void
perm_link_up(void *data, const char *address, ngx_uint_t replica)
{
    perm_zone_t *zone = data;

    perm_link_state_up(&zone->link, ngx_worker, replica, address,
                       ngx_cycle->log);
}


/*
 * Tracking may have moved to the new master before.  What this worker looked
 * up since then is of the former one, and counts as tracked.
 */

static void
perm_link_moved(void *data)
{
    perm_zone_t *zone = data;

    perm_cache_distrust(zone->cache);
}
