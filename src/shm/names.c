
#include "shm/names.h"


#define PERM_FNV_BASIS  UINT64_C(0xcbf29ce484222325)
#define PERM_FNV_PRIME  UINT64_C(0x100000001b3)


void
perm_names_put(perm_names_t *names, perm_tuple_t *tuple)
{
    u_char  *p;

    names->gateway = (uint16_t) tuple->gateway.len;
    names->resource = (uint16_t) tuple->resource.len;
    names->app = (uint16_t) tuple->app.len;

    p = (u_char *) names->bytes;
    p = ngx_cpymem(p, tuple->gateway.data, tuple->gateway.len);
    p = ngx_cpymem(p, tuple->resource.data, tuple->resource.len);
    (void) ngx_cpymem(p, tuple->app.data, tuple->app.len);
}


void
perm_names_get(perm_names_t *names, perm_tuple_t *tuple)
{
    tuple->gateway.len = ngx_min(names->gateway, PERM_GATEWAY_MAX);
    tuple->gateway.data = names->bytes;

    tuple->resource.len = ngx_min(names->resource, PERM_RESOURCE_MAX);
    tuple->resource.data = tuple->gateway.data + tuple->gateway.len;

    tuple->app.len = ngx_min(names->app, PERM_APP_MAX);
    tuple->app.data = tuple->resource.data + tuple->resource.len;
}


ngx_uint_t
perm_names_equal(perm_names_t *names, perm_tuple_t *tuple)
{
    const char  *p;

    if (names->gateway != tuple->gateway.len
        || names->resource != tuple->resource.len
        || names->app != tuple->app.len)
    {
        return 0;
    }

    p = names->bytes;

    if (ngx_memcmp(p, tuple->gateway.data, tuple->gateway.len) != 0) {
        return 0;
    }

    p += tuple->gateway.len;

    if (ngx_memcmp(p, tuple->resource.data, tuple->resource.len) != 0) {
        return 0;
    }

    p += tuple->resource.len;

    return ngx_memcmp(p, tuple->app.data, tuple->app.len) == 0;
}


static uint64_t
perm_names_hash_add(uint64_t hash, perm_str_t name)
{
    size_t  i;

    for (i = 0; i < name.len; i++) {
        hash = (hash ^ (u_char) name.data[i]) * PERM_FNV_PRIME;
    }

    /* a separator that no name has: a NUL */
    return hash * PERM_FNV_PRIME;
}


uint64_t
perm_names_hash(perm_tuple_t *tuple)
{
    uint64_t  hash;

    hash = perm_names_hash_add(PERM_FNV_BASIS, tuple->gateway);
    hash = perm_names_hash_add(hash, tuple->resource);
    hash = perm_names_hash_add(hash, tuple->app);

    return hash;
}
