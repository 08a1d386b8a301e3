
/*
 * A table of grants, of whichever size a test needs.
 */


#ifndef _SHM_CACHE_H_INCLUDED_
#define _SHM_CACHE_H_INCLUDED_


#include "nginx_test.h"

#include "shm/cache.h"


#define SEED   UINT64_C(0x1234567890abcdef)
#define LATER  INT64_C(4000000000)


static ngx_slab_pool_t  *shpool;
static perm_cache_t     *cache;


static void
fresh(size_t size)
{
    shpool = test_zone(shpool, size + 1024 * 1024);
    cache = perm_cache_create(shpool, size, SEED);

    if (cache == NULL) {
        printf("Bail out! no cache\n");
        exit(2);
    }
}


static void
store(perm_tuple_t *tuple, int64_t gateway, int64_t resource, int64_t fetched)
{
    perm_grants_t      grants;
    perm_generation_t  generation;

    grants.gateway = gateway;
    grants.resource = resource;
    grants.left = PERM_GRANTS_ENDLESS;

    generation = perm_cache_generation(cache, tuple->gateway, tuple->app);

    perm_cache_store(cache, tuple, perm_tuple_hash(tuple, SEED), grants,
                     gateway > 0 || resource > 0, fetched, generation);
}


static int
lookup(perm_tuple_t *tuple, perm_cache_entry_t *entry)
{
    return perm_cache_lookup(cache, tuple, perm_tuple_hash(tuple, SEED),
                             ngx_current_msec, entry)
           == NGX_OK;
}


#endif /* _SHM_CACHE_H_INCLUDED_ */
