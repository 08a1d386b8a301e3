
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


#define PERM_BUCKET  8   /* slots */


/* never 0, which is the tag of a slot that was never used */

static ngx_inline uint32_t
perm_bucket_tag(uint64_t hash)
{
    uint32_t  tag;

    tag = (uint32_t) (hash >> 32);

    return tag ? tag : 1;
}


/* the first slot of bucket n, 0 or 1; both may be the same */

static ngx_inline uint32_t
perm_bucket_first(uint64_t hash, uint32_t buckets, ngx_uint_t n)
{
    uint64_t  bits;

    bits = hash & 0xffffffff;

    if (n) {
        bits = ((hash ^ (hash >> 29)) * UINT64_C(0x9e3779b97f4a7c15)) >> 32;
    }

    return (uint32_t) ((bits * buckets) >> 32) * PERM_BUCKET;
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


#endif /* _PERM_BUCKET_H_INCLUDED_ */
