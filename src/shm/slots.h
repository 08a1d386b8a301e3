
/*
 * Where a call may be in the tables of the zone.  A table has classes of
 * slots, each for longer names than the one before, and a call is in one of
 * two buckets of eight slots of a class, told apart by tags: of the first that
 * its names fit into, or of a bigger one when there was no room.  The tables
 * of grants and of accesses use it, and it uses nothing of theirs.
 */


#ifndef _PERM_SHM_SLOTS_H_INCLUDED_
#define _PERM_SHM_SLOTS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "shm/tuple.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif


#define PERM_SLOTS_BUCKET          8   /* slots */
#define PERM_SLOTS_CLASSES  3


/* what a table wants its classes to be, the smallest first */

typedef struct {
    size_t                slot_size;    /* bytes */
    size_t                names_max;    /* bytes of all three names */
    ngx_uint_t            share;        /* percent; 0: what the others leave */
} perm_slots_size_t;


/* two tags' buckets share a cache line; a tag of 0 is a free slot */

typedef struct {
    uint32_t             *tags;
    u_char               *slots;
    size_t                slot_size;
    size_t                names_max;
    uint32_t              buckets;
    uint32_t              first;        /* number of its first slot among
                                           those of all classes */
    ngx_uint_t            bigger;       /* 0: it is the last one */
} perm_slots_class_t;


/* all slots a call may be in and that have its tag, one after the other */

typedef struct {
    perm_slots_class_t  *class;         /* of this slot */
    uint32_t             i;             /* its number in the class */

    uint64_t             hash;
    uint32_t             first;         /* slot of the bucket */
    ngx_uint_t           second;        /* bucket of the class */
    ngx_uint_t           found;         /* in the bucket: a bit a slot */
} perm_slots_probe_t;


#define perm_slots_at(class, i)                                            \
    ((class)->slots + (size_t) (i) * (class)->slot_size)


/* never 0, which is the tag of a slot that was never used */

static ngx_inline uint32_t
perm_slots_tag(uint64_t hash)
{
    uint32_t  tag;

    tag = (uint32_t) (hash >> 32);

    return tag ? tag : 1;
}


/* the first slot of bucket n, 0 or 1; both may be the same */

static ngx_inline uint32_t
perm_slots_first(uint64_t hash, uint32_t buckets, ngx_uint_t n)
{
    uint64_t  bits;

    bits = hash & 0xffffffff;

    if (n) {
        bits = ((hash ^ (hash >> 29)) * UINT64_C(0x9e3779b97f4a7c15)) >> 32;
    }

    return (uint32_t) ((bits * buckets) >> 32) * PERM_SLOTS_BUCKET;
}


/* which of a bucket's tags are this one: a bit a slot; they are aligned */

static ngx_inline ngx_uint_t
perm_slots_find(uint32_t *tags, uint32_t tag)
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

    for (i = 0; i < PERM_SLOTS_BUCKET; i++) {
        found |= (ngx_uint_t) (tags[i] == tag) << i;
    }

    return found;

#endif
}


/*
 * The class that the names of a call are meant for; the last one when they are
 * longer than names may be.
 */

static ngx_inline perm_slots_class_t *
perm_slots_natural(perm_slots_class_t *classes, perm_tuple_t *tuple)
{
    size_t               len;
    perm_slots_class_t  *class;

    len = perm_tuple_len(tuple);
    class = classes;

    while (len > class->names_max && class->bigger) {
        class++;
    }

    return class;
}


static ngx_inline void
perm_slots_look(perm_slots_probe_t *probe)
{
    probe->first = perm_slots_first(probe->hash, probe->class->buckets,
                                    probe->second);
    probe->found = perm_slots_find(probe->class->tags + probe->first,
                                   perm_slots_tag(probe->hash));
}


static ngx_inline void
perm_slots_probe(perm_slots_probe_t *probe, perm_slots_class_t *natural,
    uint64_t hash)
{
    probe->class = natural;
    probe->hash = hash;
    probe->second = 0;

    perm_slots_look(probe);
}


/* 1 with the next slot, 0 when there is none any more */

static ngx_inline ngx_uint_t
perm_slots_probe_next(perm_slots_probe_t *probe)
{
    while (probe->found == 0) {

        if (probe->second) {
            if (!probe->class->bigger) {
                return 0;
            }

            probe->class++;
        }

        probe->second ^= 1;
        perm_slots_look(probe);
    }

    probe->i = probe->first + (uint32_t) __builtin_ctzl(probe->found);
    probe->found &= probe->found - 1;

    return 1;
}


/* of all classes */

static ngx_inline uint32_t
perm_slots_total(perm_slots_class_t *classes)
{
    perm_slots_class_t  *last;

    last = &classes[PERM_SLOTS_CLASSES - 1];

    return last->first + last->buckets * PERM_SLOTS_BUCKET;
}


/* the class that slot n of all is in */

static ngx_inline perm_slots_class_t *
perm_slots_class(perm_slots_class_t *classes, ngx_uint_t n)
{
    perm_slots_class_t  *class;

    class = &classes[PERM_SLOTS_CLASSES - 1];

    while (n < class->first) {
        class--;
    }

    return class;
}


/*
 * Lays classes out in "size" bytes of the slab pool, of which each slot takes
 * "extra" ones for what the table keeps elsewhere.  Every class gets a bucket
 * at least.
 */

ngx_int_t perm_slots_create(ngx_slab_pool_t *shpool,
    perm_slots_class_t *classes, const perm_slots_size_t *sizes, size_t size,
    size_t extra);


#endif /* _PERM_SHM_SLOTS_H_INCLUDED_ */
