
/*
 * Where a tuple may be in a table of the zone.  A table has classes of slots,
 * each for longer names than the one before.  A tuple is in one of two buckets
 * of a class: of the first class that its names fit into, or of a bigger one
 * if that had no room.  A slot has a tag, which is a part of the hash.
 */


#ifndef _PERM_SHM_SLOTS_H_INCLUDED_
#define _PERM_SHM_SLOTS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "shm/tuple.h"


#define PERM_SLOTS_BUCKET   8   /* slots */
#define PERM_SLOTS_CLASSES  3


/* the classes that a table wants, the smallest first */

typedef struct {
    size_t                slot_size;    /* bytes */
    size_t                names_max;    /* bytes of all three names */
    ngx_uint_t            share;        /* percent; 0: what the others leave */
} perm_slots_size_t;


typedef struct {
    uint32_t             *tags;         /* 0: the slot was never used */
    u_char               *slots;
    size_t                slot_size;
    size_t                names_max;
    uint32_t              buckets;
    uint32_t              first;        /* number of its first slot among
                                           those of all classes */
    ngx_uint_t            bigger;       /* 0: it is the last one */
} perm_slots_class_t;


typedef struct {
    perm_slots_class_t   *class;
    uint32_t              i;            /* number of the slot in the class */
} perm_slots_place_t;


/* the walk over the slots that have the tag of a tuple */

typedef struct {
    perm_slots_place_t    place;
    uint64_t              hash;
    uint32_t              tag;
    uint32_t              end;          /* of the bucket */
    ngx_uint_t            second;       /* bucket of the class */
} perm_slots_probe_t;


/* whether a slot may be given to another tuple */

typedef enum {
    PERM_SLOTS_FREE = 0,
    PERM_SLOTS_CHEAP,                   /* yes */
    PERM_SLOTS_DEAR,                    /* if no slot is free or cheap */
    PERM_SLOTS_KEPT                     /* no */
} perm_slots_kind_t;


/* sets "stamp" of a cheap or dear slot: when it was last used */

typedef perm_slots_kind_t (*perm_slots_kind_pt)(void *table,
    perm_slots_place_t *place, uint32_t *stamp);


#define perm_slots_at(place)                                                  \
    ((place)->class->slots + (size_t) (place)->i * (place)->class->slot_size)


static ngx_inline uint32_t
perm_slots_tag(uint64_t hash)
{
    uint32_t  tag;

    tag = (uint32_t) (hash >> 32);

    return tag ? tag : 1;
}


/* the first slot of bucket n (0 or 1); both may be the same bucket */

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


/* the first class that the names fit into; the last one if they are too long */

static ngx_inline perm_slots_class_t *
perm_slots_natural(perm_slots_class_t *classes, perm_tuple_t *tuple)
{
    size_t  len;

    len = perm_tuple_len(tuple);

    while (len > classes->names_max && classes->bigger) {
        classes++;
    }

    return classes;
}


static ngx_inline void
perm_slots_probe(perm_slots_probe_t *probe, perm_slots_class_t *natural,
    uint64_t hash)
{
    probe->place.class = natural;
    probe->place.i = perm_slots_first(hash, natural->buckets, 0) - 1;
    probe->end = probe->place.i + PERM_SLOTS_BUCKET;
    probe->hash = hash;
    probe->tag = perm_slots_tag(hash);
    probe->second = 0;
}


/* 1 with the next slot in probe->place, or 0 */

static ngx_inline ngx_uint_t
perm_slots_probe_next(perm_slots_probe_t *probe)
{
    for ( ;; ) {

        while (probe->place.i != probe->end) {
            probe->place.i++;

            if (probe->place.class->tags[probe->place.i] == probe->tag) {
                return 1;
            }
        }

        if (probe->second) {
            if (!probe->place.class->bigger) {
                return 0;
            }

            probe->place.class++;
        }

        probe->second ^= 1;
        probe->place.i = perm_slots_first(probe->hash,
                                          probe->place.class->buckets,
                                          probe->second) - 1;
        probe->end = probe->place.i + PERM_SLOTS_BUCKET;
    }
}


/* the number of slots of all classes */

static ngx_inline uint32_t
perm_slots_total(perm_slots_class_t *classes)
{
    perm_slots_class_t  *last;

    last = &classes[PERM_SLOTS_CLASSES - 1];

    return last->first + last->buckets * PERM_SLOTS_BUCKET;
}


/* slot n of all classes, and the number of a slot */

static ngx_inline perm_slots_place_t
perm_slots_place(perm_slots_class_t *classes, ngx_uint_t n)
{
    perm_slots_place_t  place;

    place.class = &classes[PERM_SLOTS_CLASSES - 1];

    while (n < place.class->first) {
        place.class--;
    }

    place.i = (uint32_t) n - place.class->first;

    return place;
}


#define perm_slots_number(place)  ((place)->class->first + (place)->i)


/*
 * Allocates classes of "size" bytes less "extra" bytes for each slot, which the
 * table needs for arrays.  Every class has at least one bucket.  NGX_ERROR: the
 * slab pool, or "size", has no room.
 */

ngx_int_t perm_slots_create(ngx_slab_pool_t *shpool,
    perm_slots_class_t *classes, const perm_slots_size_t *sizes, size_t size,
    size_t extra);


/*
 * Finds a slot for a new tuple, for the holder of the mutex.  The first class
 * with a free or cheap slot gives it, a free one if there is one.  Otherwise
 * the tuple gets the dear slot of the first class that has one.  Of cheap or
 * dear slots the one is taken that was not used for the longest time.  A
 * "share" other than 0: the tuple itself is cheap.  Then it gets no dear slot,
 * only a slot of the first class, and no more than "share" of a bucket.  "ask"
 * returns the kind of a slot; "now" is the stamp of one that is used now.
 * NGX_DECLINED: no room.
 */

ngx_int_t perm_slots_find_room(perm_slots_class_t *natural, uint64_t hash,
    perm_slots_kind_pt ask, void *table, uint32_t now, ngx_uint_t share,
    perm_slots_place_t *place);


#endif /* _PERM_SHM_SLOTS_H_INCLUDED_ */
