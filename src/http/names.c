
#include "http/names.h"


#define PERM_FNV_BASIS  UINT64_C(0xcbf29ce484222325)
#define PERM_FNV_PRIME  UINT64_C(0x100000001b3)


void
perm_names_put(perm_names_t *names, perm_call_t *call)
{
    u_char  *p;

    names->gateway = (uint16_t) call->gateway.len;
    names->resource = (uint16_t) call->resource.len;
    names->app = (uint16_t) call->app.len;

    p = (u_char *) names->bytes;
    p = ngx_cpymem(p, call->gateway.data, call->gateway.len);
    p = ngx_cpymem(p, call->resource.data, call->resource.len);
    (void) ngx_cpymem(p, call->app.data, call->app.len);
}


void
perm_names_get(perm_names_t *names, perm_call_t *call)
{
    call->gateway.len = ngx_min(names->gateway, PERM_GATEWAY_MAX);
    call->gateway.data = names->bytes;

    call->resource.len = ngx_min(names->resource, PERM_RESOURCE_MAX);
    call->resource.data = call->gateway.data + call->gateway.len;

    call->app.len = ngx_min(names->app, PERM_APP_MAX);
    call->app.data = call->resource.data + call->resource.len;
}


ngx_uint_t
perm_names_equal(perm_names_t *names, perm_call_t *call)
{
    const char  *p;

    if (names->gateway != call->gateway.len
        || names->resource != call->resource.len
        || names->app != call->app.len)
    {
        return 0;
    }

    p = names->bytes;

    if (ngx_memcmp(p, call->gateway.data, call->gateway.len) != 0) {
        return 0;
    }

    p += call->gateway.len;

    if (ngx_memcmp(p, call->resource.data, call->resource.len) != 0) {
        return 0;
    }

    p += call->resource.len;

    return ngx_memcmp(p, call->app.data, call->app.len) == 0;
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
perm_names_hash(perm_call_t *call)
{
    uint64_t  hash;

    hash = perm_names_hash_add(PERM_FNV_BASIS, call->gateway);
    hash = perm_names_hash_add(hash, call->resource);
    hash = perm_names_hash_add(hash, call->app);

    return hash;
}
