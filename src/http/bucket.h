
/*
 * Where a call may be in the tables of the zone: in one of two buckets of
 * eight slots, told apart by tags.  The tables of grants and of accesses use
 * it, and it uses nothing of theirs.
 */


#ifndef _PERM_BUCKET_H_INCLUDED_
#define _PERM_BUCKET_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "core/name.h"


#define PERM_BUCKET  8   /* slots */


#define perm_call_len(call)                                                   \
    ((call)->gateway.len + (call)->resource.len + (call)->app.len)


/* never 0, which is the tag of a slot that was never used */

static ngx_inline uint32_t
perm_bucket_tag(uint64_t hash)
{
    uint32_t  tag;

    tag = (uint32_t) (hash >> 32);

    return tag ? tag : 1;
}


/* the first slots of the two; they may be the same */

static ngx_inline void
perm_bucket_pair(uint64_t hash, uint32_t buckets, uint32_t *first)
{
    uint64_t  low, other;

    low = hash & 0xffffffff;
    other = ((hash ^ (hash >> 29)) * UINT64_C(0x9e3779b97f4a7c15)) >> 32;

    first[0] = (uint32_t) ((low * buckets) >> 32) * PERM_BUCKET;
    first[1] = (uint32_t) ((other * buckets) >> 32) * PERM_BUCKET;
}


/* gateway, app and resource one after the other, as tables keep them */

static ngx_inline ngx_uint_t
perm_call_equal(perm_call_t *call, const char *names)
{
    if (ngx_memcmp(names, call->gateway.data, call->gateway.len) != 0) {
        return 0;
    }

    names += call->gateway.len;

    if (ngx_memcmp(names, call->app.data, call->app.len) != 0) {
        return 0;
    }

    names += call->app.len;

    return ngx_memcmp(names, call->resource.data, call->resource.len) == 0;
}


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


#endif /* _PERM_BUCKET_H_INCLUDED_ */
