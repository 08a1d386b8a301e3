
/*
 * A call as the tables of the zone take it: a hash, and its names one after
 * the other.
 */


#ifndef _PERM_SHM_TUPLE_H_INCLUDED_
#define _PERM_SHM_TUPLE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "core/name.h"


#define perm_tuple_len(tuple)                                                   \
    ((tuple)->gateway.len + (tuple)->resource.len + (tuple)->app.len)


/* one hash for all tables and the fetch of a call */

uint64_t perm_tuple_hash(perm_tuple_t *tuple, uint64_t seed);

/* of a key of grants, unlike that of any call */

uint64_t perm_tuple_key_hash(perm_str_t gateway, perm_str_t app, uint64_t seed);


/* tables keep gateway, app and resource in this order, without lengths */

ngx_uint_t perm_tuple_equal(perm_tuple_t *tuple, const char *names);


static ngx_inline void
perm_tuple_put(perm_tuple_t *tuple, char *names)
{
    ngx_memcpy(names, tuple->gateway.data, tuple->gateway.len);
    names += tuple->gateway.len;

    ngx_memcpy(names, tuple->app.data, tuple->app.len);
    names += tuple->app.len;

    ngx_memcpy(names, tuple->resource.data, tuple->resource.len);
}


/* the lengths are there already */

static ngx_inline void
perm_tuple_point(perm_tuple_t *tuple, const char *names)
{
    tuple->gateway.data = names;
    tuple->app.data = names + tuple->gateway.len;
    tuple->resource.data = tuple->app.data + tuple->app.len;
}


#endif /* _PERM_SHM_TUPLE_H_INCLUDED_ */
