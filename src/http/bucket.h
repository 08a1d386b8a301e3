
/*
 * Where a call may be in the tables of the zone: in one of two buckets of
 * eight slots, told apart by tags.  The tables of grants and of accesses use
 * it, and it uses nothing of theirs.
 */


#ifndef _PERM_BUCKET_H_INCLUDED_
#define _PERM_BUCKET_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

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


/* which of a bucket's tags are this one: a bit a slot; they are aligned */

static ngx_inline ngx_uint_t
perm_bucket_find(uint32_t *tags, uint32_t tag)
{
#if defined(__SSE2__)

    __m128i  low, high, wanted;

    wanted = _mm_set1_epi32((int) tag);
    low = _mm_cmpeq_epi32(_mm_load_si128((__m128i *) tags), wanted);
    high = _mm_cmpeq_epi32(_mm_load_si128((__m128i *) (tags + 4)), wanted);

    return (ngx_uint_t) _mm_movemask_ps(_mm_castsi128_ps(low))
           | (ngx_uint_t) _mm_movemask_ps(_mm_castsi128_ps(high)) << 4;

#else

    ngx_uint_t  i, found;

    found = 0;

    for (i = 0; i < PERM_BUCKET; i++) {
        found |= (ngx_uint_t) (tags[i] == tag) << i;
    }

    return found;

#endif
}


static ngx_inline uint64_t
perm_name_word(const char *p)
{
    uint64_t  word;

    ngx_memcpy(&word, p, sizeof(uint64_t));

    return word;
}


static ngx_inline uint64_t
perm_name_half(const char *p)
{
    uint32_t  half;

    ngx_memcpy(&half, p, sizeof(uint32_t));

    return half;
}


/* names are short: a call of memcmp() costs more than it compares */

static ngx_inline ngx_uint_t
perm_name_equal(const char *name, const char *other, size_t len)
{
    if (len >= 8) {

        for ( /* void */ ; len > 8; len -= 8) {

            if (perm_name_word(name) != perm_name_word(other)) {
                return 0;
            }

            name += 8;
            other += 8;
        }

        /* the last 8 bytes, some of them once more */

        return perm_name_word(name + len - 8)
               == perm_name_word(other + len - 8);
    }

    if (len >= 4) {
        return perm_name_half(name) == perm_name_half(other)
               && perm_name_half(name + len - 4)
                  == perm_name_half(other + len - 4);
    }

    while (len) {
        len--;

        if (name[len] != other[len]) {
            return 0;
        }
    }

    return 1;
}


/* gateway, app and resource one after the other, as tables keep them */

static ngx_inline ngx_uint_t
perm_call_equal(perm_call_t *call, const char *names)
{
    const char  *app, *resource;

    app = names + call->gateway.len;
    resource = app + call->app.len;

    return perm_name_equal(app, call->app.data, call->app.len)
           && perm_name_equal(resource, call->resource.data,
                              call->resource.len)
           && perm_name_equal(names, call->gateway.data, call->gateway.len);
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
