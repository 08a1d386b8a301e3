
#include "sync/sync.h"

#include "sync/flush.h"
#include "sync/invalidator.h"


/* workers of the former configuration may look up elsewhere for that long */

#define PERM_SYNC_MOVE  3000    /* ms */


static uint32_t perm_sync_source(perm_sync_conf_t *conf);


void
perm_sync_configured(perm_sync_conf_t *conf)
{
    ngx_uint_t        same;
    perm_trackers_t  *trackers;

    trackers = &conf->zone.zone->trackers;

    /* where there is none now, the last accesses go to the former one */

    conf->source = conf->redis.url ? perm_sync_source(conf)
                                   : (uint32_t) trackers->source;
    conf->generation = perm_trackers_configured(trackers, conf->source, &same);

    if (!same) {

        /* also where none pushes changes, and so an answer counts for long */

        perm_cache_distrust(conf->zone.zone->cache);

        ngx_time_update();
        perm_trackers_moved(trackers, ngx_current_msec + PERM_SYNC_MOVE,
                            ngx_current_msec);
    }
}


/* a hash of the servers, the database and the prefix */

static uint32_t
perm_sync_source(perm_sync_conf_t *conf)
{
    uint32_t           hash;
    ngx_uint_t         i;
    perm_redis_url_t  *url;

    url = conf->redis.url;

    ngx_crc32_init(hash);

    ngx_crc32_update(&hash, conf->redis.prefix.data, conf->redis.prefix.len);
    ngx_crc32_update(&hash, (u_char *) &url->db, sizeof(url->db));
    ngx_crc32_update(&hash, (u_char *) url->path.data, url->path.len);
    ngx_crc32_update(&hash, (u_char *) url->master.data, url->master.len);

    for (i = 0; i < url->nhosts; i++) {
        ngx_crc32_update(&hash, (u_char *) url->hosts[i].name.data,
                         url->hosts[i].name.len);
        ngx_crc32_update(&hash, (u_char *) &url->hosts[i].port,
                         sizeof(url->hosts[i].port));
    }

    ngx_crc32_final(hash);

    return hash;
}


perm_sync_t *
perm_sync_start(perm_sync_conf_t *conf, ngx_cycle_t *cycle)
{
    perm_sync_t  *sync;

    sync = ngx_pcalloc(cycle->pool, sizeof(perm_sync_t));
    if (sync == NULL) {
        return NULL;
    }

    sync->fetch = perm_fetch_create(conf, cycle);
    if (sync->fetch == NULL) {
        return NULL;
    }

    sync->flush = perm_flush_create(conf, sync->fetch, cycle);
    if (sync->flush == NULL) {
        return NULL;
    }

    sync->invalidator = perm_invalidator_create(conf, sync->fetch, cycle);

    return sync->invalidator ? sync : NULL;
}


/* the last flush uses the connection of the fetch */

void
perm_sync_stop(perm_sync_t *sync)
{
    perm_invalidator_destroy(sync->invalidator);
    perm_flush_finish(sync->flush);
    perm_fetch_destroy(sync->fetch);
}
