
#include "shm/zone.h"


/* percent of the rest, after counters and lists */

#define PERM_ZONE_CACHE      67
#define PERM_ZONE_RECORDER   30


static perm_zone_t *perm_zone_create(ngx_slab_pool_t *shpool);
static uint64_t perm_zone_seed(void);
static void perm_zone_move(perm_zone_t *zone, perm_zone_t *former,
    ngx_log_t *log);


ngx_shm_zone_t *
perm_zone_add(ngx_conf_t *cf, perm_zone_conf_t *conf, void *tag)
{
    ngx_shm_zone_t    *shm_zone;
    static ngx_str_t   name = ngx_string("app_permission");

    shm_zone = ngx_shared_memory_add(cf, &name, conf->size, tag);

    if (shm_zone) {
        shm_zone->init = perm_zone_init;
        shm_zone->data = conf;
    }

    return shm_zone;
}


ngx_int_t
perm_zone_init(ngx_shm_zone_t *shm_zone, void *data)
{
    ngx_uint_t         dropped;
    ngx_shm_zone_t    *former;
    ngx_slab_pool_t   *shpool;
    perm_zone_conf_t  *conf, *old;

    conf = shm_zone->data;
    old = data;

    if (old) {
        if (old->zone->layout != PERM_ZONE_LAYOUT) {
            ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, 0,
                          "the zone of \"app_permission_zone\" was laid out "
                          "by another version of the module: restart nginx "
                          "instead of reloading it");
            return NGX_ERROR;
        }

        conf->zone = old->zone;
        return NGX_OK;
    }

    shpool = (ngx_slab_pool_t *) shm_zone->shm.addr;

    if (shm_zone->shm.exists) {
        conf->zone = shpool->data;
        return NGX_OK;
    }

    conf->zone = perm_zone_create(shpool);

    if (conf->zone == NULL) {
        ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, 0,
                      "\"app_permission_zone\" of %uz bytes is too small, "
                      "the minimum is %dk", shm_zone->shm.size,
                      PERM_ZONE_MIN / 1024);
        return NGX_ERROR;
    }

    shpool->data = conf->zone;

    /* the former zone is newer than the state file */

    former = perm_zone_former(shm_zone);

    if (former) {
        old = former->data;
        perm_zone_move(conf->zone, old->zone, shm_zone->shm.log);

    } else if (conf->created && conf->created(shm_zone) != NGX_OK) {
        return NGX_ERROR;
    }

    dropped = perm_recorder_dropped(conf->zone->recorder);

    if (dropped) {
        ngx_log_error(NGX_LOG_WARN, shm_zone->shm.log, 0,
                      "app_permission: no room for %ui pending accesses of "
                      "before, which are lost if they were not sent yet: "
                      "enlarge \"app_permission_zone\"", dropped);
    }

    return NGX_OK;
}


/* NULL: it does not fit */

static perm_zone_t *
perm_zone_create(ngx_slab_pool_t *shpool)
{
    size_t        left;
    uint64_t      seed;
    perm_zone_t  *zone;

    zone = ngx_slab_calloc(shpool, sizeof(perm_zone_t));
    if (zone == NULL) {
        return NULL;
    }

    seed = perm_zone_seed();

    zone->layout = PERM_ZONE_LAYOUT;
    zone->seed = seed;
    zone->created = ngx_time();

    zone->refused = perm_records_create(shpool,
                                        sizeof(perm_heavy_hitters_entry_t),
                                        PERM_HEAVY_HITTERS_MAX, seed);
    zone->would_deny = perm_records_create(shpool,
                                           sizeof(perm_heavy_hitters_entry_t),
                                           PERM_HEAVY_HITTERS_MAX, seed);
    zone->expiring = perm_records_create(shpool, sizeof(perm_expiring_entry_t),
                                         PERM_EXPIRING_MAX, seed);
    zone->resources = perm_records_create(shpool,
                                          sizeof(perm_resource_entry_t),
                                          PERM_RESOURCES_MAX, seed);

    left = shpool->pfree * ngx_pagesize / 100;

    zone->cache = perm_cache_create(shpool, left * PERM_ZONE_CACHE, seed);
    zone->recorder = perm_recorder_create(shpool, left * PERM_ZONE_RECORDER);

    perm_table_state_init(&zone->table, zone->cache);
    perm_trackers_init(&zone->trackers, zone->cache);

    return (zone->refused && zone->would_deny && zone->expiring
            && zone->resources && zone->cache && zone->recorder) ? zone : NULL;
}


/* random: a caller must not know which app codes collide */

static uint64_t
perm_zone_seed(void)
{
    uint64_t        seed, noise;
    struct timeval  tv;

    ngx_gettimeofday(&tv);

    seed = ((uint64_t) ngx_random() << 32) ^ (uint64_t) ngx_random()
           ^ ((uint64_t) tv.tv_usec << 20) ^ ((uint64_t) ngx_pid << 40);

    return (getentropy(&noise, sizeof(uint64_t)) == 0) ? seed ^ noise : seed;
}


ngx_shm_zone_t *
perm_zone_former(ngx_shm_zone_t *shm_zone)
{
    ngx_uint_t         i;
    perm_zone_t       *zone;
    ngx_shm_zone_t    *former;
    ngx_list_part_t   *part;
    perm_zone_conf_t  *conf;

    part = (ngx_list_part_t *) &ngx_cycle->shared_memory.part;

    for ( /* void */ ; part; part = part->next) {
        former = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (former[i].tag != shm_zone->tag
                || former[i].shm.addr == NULL
                || former[i].shm.addr == shm_zone->shm.addr)
            {
                continue;
            }

            conf = former[i].data;
            zone = conf->zone;

            if (zone && zone->layout == PERM_ZONE_LAYOUT) {
                return &former[i];
            }
        }
    }

    return NULL;
}


/*
 * Old workers send these accesses, too: Redis keeps the newest second.  They
 * stay pending in the former zone, as the reload may fail yet.
 */

static void
perm_zone_move(perm_zone_t *zone, perm_zone_t *former, ngx_log_t *log)
{
    char                   names[PERM_TUPLE_MAX];
    ngx_int_t              rc;
    ngx_uint_t             cursor;
    perm_tuple_t           next;
    perm_cache_stat_t      cache;
    perm_cache_entry_t     entry;
    perm_recorder_stat_t   recorder;

    zone->table.source = former->table.source;
    zone->table.found = former->table.found;

    cursor = 0;

    do {
        rc = perm_zone_next_grant(former, &cursor, &next, names, &entry);

        if (rc == NGX_OK) {
            perm_cache_restore(zone->cache, &next, entry.grants,
                               entry.fetched);
        }

    } while (rc != NGX_DONE);

    cursor = 0;

    do {
        perm_recorder_move(former->recorder, &cursor, zone->recorder,
                           zone->seed, 0);

    } while (cursor);

    perm_cache_stat(zone->cache, &cache);
    perm_recorder_stat(zone->recorder, &recorder);

    ngx_log_error(NGX_LOG_NOTICE, log, 0,
                  "app_permission: %ui grants and %ui accesses moved to the "
                  "zone of another size", cache.entries, recorder.pending);
}


ngx_int_t
perm_zone_next_grant(perm_zone_t *zone, ngx_uint_t *cursor,
    perm_tuple_t *tuple, char *names, perm_cache_entry_t *entry)
{
    ngx_int_t  rc;

    rc = perm_cache_next(zone->cache, cursor, tuple, names, entry);

    if (rc == NGX_OK
        && ((entry->grants.gateway < 0 && entry->grants.resource < 0)
            || entry->grants.left <= 0
            || !perm_table_state_stale_ok(&zone->table, tuple, entry)))
    {
        return NGX_DECLINED;
    }

    return rc;
}
