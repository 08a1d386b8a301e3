
#include "sync/link.h"


static ngx_uint_t perm_link_failed(void *data, const char *address,
    const char *reason);
static void perm_link_up(void *data, const char *address, ngx_uint_t replica);
static void perm_link_moved(void *data);
static void perm_link_ended(void *data, ngx_msec_t opened);


static perm_redis_client_watch_t  perm_link_handlers = {
    perm_link_failed,
    perm_link_up,
    perm_link_moved,
    perm_link_ended
};


void
perm_link_watch(perm_sync_conf_t *conf, perm_redis_client_t *redis)
{
    perm_redis_client_watch(redis, &perm_link_handlers, conf);
}


static ngx_uint_t
perm_link_failed(void *data, const char *address, const char *reason)
{
    perm_sync_conf_t *conf = data;

    if (perm_sync_conf_former(conf)) {
        return 0;
    }

    return perm_link_state_failed(&conf->zone.zone->link, conf->generation,
                                  address, reason);
}


static void
perm_link_up(void *data, const char *address, ngx_uint_t replica)
{
    perm_sync_conf_t *conf = data;

    if (perm_sync_conf_former(conf)) {
        return;
    }

    perm_link_state_server(&conf->zone.zone->link, conf->generation,
                           conf->redis.url->kind != PERM_REDIS_CLUSTER,
                           address, ngx_cycle->log);
    perm_link_state_up(&conf->zone.zone->link, ngx_worker, replica, address,
                       ngx_cycle->log);
}


/*
 * A tracker may be at the new master while this worker looked up at the former
 * one, or the other way round, and other workers still may.
 */

static void
perm_link_moved(void *data)
{
    perm_sync_conf_t *conf = data;

    if (perm_sync_conf_replaced(conf)) {
        return;
    }

    perm_trackers_moved(&conf->zone.zone->trackers,
                        ngx_current_msec + PERM_TRACKERS_MOVE,
                        ngx_current_msec);
}


static void
perm_link_ended(void *data, ngx_msec_t opened)
{
    perm_sync_conf_t *conf = data;

    if (perm_sync_conf_replaced(conf)) {
        return;
    }

    perm_trackers_ended(&conf->zone.zone->trackers, opened, ngx_current_msec);
}
