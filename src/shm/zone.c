
#include "shm/zone.h"


/* percent of the rest, after counters and lists */

#define PERM_ZONE_CACHE      67
#define PERM_ZONE_RECORDER   30


static ngx_int_t perm_zone_reuse(ngx_shm_zone_t *shm_zone,
    perm_zone_conf_t *old);
static ngx_int_t perm_zone_create(ngx_shm_zone_t *shm_zone);
static ngx_int_t perm_zone_fill(ngx_slab_pool_t *shpool, perm_zone_t *zone);
static uint64_t perm_zone_seed(void);


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
    ngx_slab_pool_t   *shpool;
    perm_zone_conf_t  *conf;

    if (data) {
        return perm_zone_reuse(shm_zone, data);
    }

    shpool = (ngx_slab_pool_t *) shm_zone->shm.addr;
    conf = shm_zone->data;

    if (shm_zone->shm.exists) {
        conf->zone = shpool->data;
        return NGX_OK;
    }

    if (perm_zone_create(shm_zone) != NGX_OK) {
        return NGX_ERROR;
    }

    if (conf->created) {
        conf->created(shm_zone);
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


static ngx_int_t
perm_zone_reuse(ngx_shm_zone_t *shm_zone, perm_zone_conf_t *old)
{
    perm_zone_conf_t  *conf;

    if (old->zone->layout != PERM_ZONE_LAYOUT) {
        ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, 0,
                      "the zone of \"app_permission_zone\" was laid out by "
                      "another version of the module: restart nginx instead "
                      "of reloading it");
        return NGX_ERROR;
    }

    conf = shm_zone->data;
    conf->zone = old->zone;

    return NGX_OK;
}


static ngx_int_t
perm_zone_create(ngx_shm_zone_t *shm_zone)
{
    perm_zone_t       *zone;
    ngx_slab_pool_t   *shpool;
    perm_zone_conf_t  *conf;

    shpool = (ngx_slab_pool_t *) shm_zone->shm.addr;
    conf = shm_zone->data;

    zone = ngx_slab_calloc(shpool, sizeof(perm_zone_t));

    if (zone == NULL || perm_zone_fill(shpool, zone) != NGX_OK) {
        ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, 0,
                      "\"app_permission_zone\" of %uz bytes is too small, "
                      "the minimum is %dk", shm_zone->shm.size,
                      PERM_ZONE_MIN / 1024);
        return NGX_ERROR;
    }

    shpool->data = zone;
    conf->zone = zone;

    return NGX_OK;
}


static ngx_int_t
perm_zone_fill(ngx_slab_pool_t *shpool, perm_zone_t *zone)
{
    size_t  left;

    zone->layout = PERM_ZONE_LAYOUT;
    zone->seed = perm_zone_seed();
    zone->created = ngx_time();

    zone->stats = perm_stats_create(shpool);
    zone->refused = perm_records_create(shpool,
                                        sizeof(perm_heavy_hitters_entry_t),
                                        PERM_HEAVY_HITTERS_MAX, zone->seed);
    zone->would_deny = perm_records_create(shpool,
                                           sizeof(perm_heavy_hitters_entry_t),
                                           PERM_HEAVY_HITTERS_MAX, zone->seed);
    zone->expiring = perm_records_create(shpool, sizeof(perm_expiring_entry_t),
                                         PERM_EXPIRING_MAX, zone->seed);
    zone->resources = perm_records_create(shpool,
                                          sizeof(perm_resource_entry_t),
                                          PERM_RESOURCES_MAX, zone->seed);
    zone->history = perm_history_create(shpool);

    if (zone->stats == NULL || zone->refused == NULL
        || zone->would_deny == NULL || zone->expiring == NULL
        || zone->resources == NULL || zone->history == NULL)
    {
        return NGX_ERROR;
    }

    left = shpool->pfree * ngx_pagesize;

    zone->cache = perm_cache_create(shpool, left / 100 * PERM_ZONE_CACHE,
                                    zone->seed);
    zone->recorder = perm_recorder_create(shpool,
                                          left / 100 * PERM_ZONE_RECORDER);

    perm_table_state_init(&zone->table, zone->cache);

    return (zone->cache && zone->recorder) ? NGX_OK : NGX_ERROR;
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
