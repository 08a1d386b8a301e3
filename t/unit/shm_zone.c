
/*
 * The zone as a whole: what a reload takes over, and what it does not.
 * sources: src/shm/slots.c src/shm/tuple.c src/shm/cache.c
 * sources: src/shm/cache_store.c src/shm/recorder.c src/shm/recorder_take.c
 * sources: src/shm/table_state.c
 * sources: src/shm/zone.c
 * sources: src/shm/stats.c src/shm/heavy_hitters.c src/shm/expiring.c src/shm/trylock.c
 * sources: src/shm/resources.c src/shm/history.c src/shm/names.c
 */


#include "shm_stub_os.h"

#include "shm/zone.h"


ngx_uint_t  ngx_test_config;
ngx_uint_t  ngx_pagesize = 4096;
ngx_uint_t  ngx_worker;
ngx_pid_t   ngx_pid;

static ngx_cycle_t     cycle;
volatile ngx_cycle_t  *ngx_cycle = &cycle;


ngx_shm_zone_t *
ngx_shared_memory_add(ngx_conf_t *cf, ngx_str_t *name, size_t size, void *tag)
{
    return NULL;
}


static ngx_int_t
init(ngx_slab_pool_t *shpool, perm_zone_conf_t *conf, perm_zone_conf_t *old)
{
    ngx_shm_zone_t  shm_zone;

    memset(conf, 0, sizeof(perm_zone_conf_t));
    memset(&shm_zone, 0, sizeof(ngx_shm_zone_t));

    shm_zone.data = conf;
    shm_zone.shm.addr = (u_char *) shpool;
    shm_zone.shm.size = PERM_ZONE_MIN;
    shm_zone.shm.log = &stub_log;

    stub_lines = 0;

    return perm_zone_init(&shm_zone, old);
}


int
main(void)
{
    ngx_time_t         cached;
    ngx_slab_pool_t   *shpool;
    perm_zone_conf_t   first, next;

    memset(&cached, 0, sizeof(ngx_time_t));
    cached.sec = time(NULL);
    ngx_cached_time = &cached;

    /* the stub's pool does not count: as if so much were left */

    shpool = stub_pool(4 * PERM_ZONE_MIN);
    shpool->end = stub_end;
    shpool->pfree = PERM_ZONE_MIN / ngx_pagesize;

    ok(init(shpool, &first, NULL) == NGX_OK && first.zone != NULL
       && first.zone == shpool->data, "laid out");

    ok(init(shpool, &next, &first) == NGX_OK && next.zone == first.zone,
       "a reload takes it over");

    /* a build with another layout, of whichever of the two came first */

    first.zone->layout++;
    ok(init(shpool, &next, &first) == NGX_ERROR && next.zone == NULL
       && stub_logged("restart nginx instead of reloading it"),
       "not one that is laid out otherwise, later");

    first.zone->layout -= 2;
    ok(init(shpool, &next, &first) == NGX_ERROR && next.zone == NULL
       && stub_logged("laid out by another version"), "nor before");

    first.zone->layout++;
    ok(init(shpool, &next, &first) == NGX_OK && next.zone == first.zone,
       "and its own still");

    return done();
}
