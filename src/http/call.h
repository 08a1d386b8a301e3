
/*
 * A call as the tables of the zone take it: a hash, and its names one after
 * the other.
 */


#ifndef _PERM_CALL_H_INCLUDED_
#define _PERM_CALL_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "core/name.h"


#define perm_call_len(call)                                                   \
    ((call)->gateway.len + (call)->resource.len + (call)->app.len)


/* one hash for all tables and the fetch of a call */

uint64_t perm_call_hash(perm_call_t *call, uint64_t seed);

/* of a key of grants, unlike that of any call */

uint64_t perm_key_hash(perm_str_t gateway, perm_str_t app, uint64_t seed);


/* tables keep gateway, app and resource in this order, without lengths */

ngx_uint_t perm_call_equal(perm_call_t *call, const char *names);


static ngx_inline void
perm_call_put(perm_call_t *call, char *names)
{
    ngx_memcpy(names, call->gateway.data, call->gateway.len);
    names += call->gateway.len;

    ngx_memcpy(names, call->app.data, call->app.len);
    names += call->app.len;

    ngx_memcpy(names, call->resource.data, call->resource.len);
}


/* the lengths are there already */

static ngx_inline void
perm_call_point(perm_call_t *call, const char *names)
{
    call->gateway.data = names;
    call->app.data = names + call->gateway.len;
    call->resource.data = call->app.data + call->app.len;
}


#endif /* _PERM_CALL_H_INCLUDED_ */
