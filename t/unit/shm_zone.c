
/*
 * The zone as a whole: what a reload takes over, and what it does not.
 * sources: src/shm/slots.c src/shm/tuple.c src/shm/cache.c src/shm/recorder.c
 * sources: src/shm/trackers.c src/shm/lease.c src/shm/process.c
 * sources: src/shm/table_state.c src/shm/health.c src/shm/zone.c src/shm/stats.c
 * sources: src/shm/heavy_hitters.c src/shm/expiring.c src/shm/trylock.c
 * sources: src/shm/process.c
 * sources: src/shm/resources.c src/shm/history.c src/shm/records.c
 * sources: src/shm/distinct.c
 */


#include "nginx_test.h"

#include "shm/zone.h"


static ngx_int_t
init(ngx_slab_pool_t *shpool, perm_zone_conf_t *conf, perm_zone_conf_t *old)
{
    ngx_shm_zone_t  shm_zone;

    memset(conf, 0, sizeof(perm_zone_conf_t));
    memset(&shm_zone, 0, sizeof(ngx_shm_zone_t));

    shm_zone.data = conf;
    shm_zone.shm.addr = (u_char *) shpool;
    shm_zone.shm.size = PERM_ZONE_MIN;
    shm_zone.shm.log = &test_log;

    test_lines = 0;

    return perm_zone_init(&shm_zone, old);
}


int
main(void)
{
    ngx_slab_pool_t   *shpool;
    perm_zone_conf_t   first, next;

    shpool = test_zone(NULL, PERM_ZONE_MIN);

    ok(init(shpool, &first, NULL) == NGX_OK && first.zone != NULL
       && first.zone == shpool->data, "laid out");

    ok((uintptr_t) perm_stats_cell(&first.zone->stats, 1) % PERM_STATS_LINE
       == 0, "cells of counters begin with a cache line");

    ok(init(shpool, &next, &first) == NGX_OK && next.zone == first.zone,
       "a reload takes it over");

    /* a build with another layout, of whichever of the two came first */

    first.zone->layout++;
    ok(init(shpool, &next, &first) == NGX_ERROR && next.zone == NULL
       && test_logged("restart nginx instead of reloading it"),
       "not one that is laid out otherwise, later");

    first.zone->layout -= 2;
    ok(init(shpool, &next, &first) == NGX_ERROR && next.zone == NULL
       && test_logged("laid out by another version"), "nor before");

    first.zone->layout++;
    ok(init(shpool, &next, &first) == NGX_OK && next.zone == first.zone,
       "and its own still");

    return done();
}
