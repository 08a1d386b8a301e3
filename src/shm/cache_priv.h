
/*
 * How the table of grants lies in shared memory; for cache.c and
 * cache_store.c only.
 */


#ifndef _PERM_SHM_CACHE_PRIV_H_INCLUDED_
#define _PERM_SHM_CACHE_PRIV_H_INCLUDED_


#include "shm/slots.h"
#include "shm/cache.h"


/*
 * "state" is the sequence number in its upper half, odd while the slot is
 * being written, and the claim (ms, 0: none) in its lower one, so that a claim
 * never lands on a slot that was given away in between.  A writer holds the
 * zone's mutex: an odd number that a writer finds was left by one that died,
 * and the slot is free.
 */

typedef struct {
    uint64_t        state;
    uint64_t        accessed;       /* sequence and unix second */
    int64_t         gateway;        /* expiries */
    int64_t         resource;
    int64_t         fetched;        /* ms, monotonic */
    uint32_t        epoch;
    uint32_t        change[2];
    uint32_t        change_slot[2];
    uint32_t        used;           /* seconds, monotonic */
    uint8_t         live:1;
    uint8_t         untracked:1;       /* see perm_generation_t */
    perm_tuple_names_t  names;
} perm_cache_slot_t;


#define PERM_CACHE_HEADER   offsetof(perm_cache_slot_t, names.bytes)


struct perm_cache_s {
    perm_slots_class_t  classes[PERM_SLOTS_CLASSES];
    ngx_shmtx_t        *mutex;
    uint32_t           *changes[2];     /* counters of hash slots */
    uint32_t           *marked[2];      /* as they were at the mark */
    uint32_t            change_mask;    /* of the number of a slot */
    uint64_t            seed;

    /* written for every invalidation and store: apart from what is read */
    u_char               padding[64];

    uint32_t             epoch;
    ngx_atomic_t         entries;
    ngx_atomic_t         denied;
    ngx_atomic_t         evicted;
    ngx_atomic_t         displaced;
    ngx_atomic_t         displacing;    /* unix seconds, 0: never */
};


#define perm_cache_sequence(state)  ((uint32_t) ((state) >> 32))

#define perm_cache_slot(class, i)                                             \
    ((perm_cache_slot_t *) perm_slots_at(class, i))


/* the two hash slots of (gateway, app) */

void perm_cache_change_slots(perm_cache_t *cache, perm_str_t gateway,
    perm_str_t app, uint32_t *slots);

/* the numbers of a slot that is being written may be anything */

static ngx_inline perm_generation_t
perm_cache_counters(perm_cache_t *cache, uint32_t *slots)
{
    ngx_uint_t         i;
    perm_generation_t  now;

    now.epoch = __atomic_load_n(&cache->epoch, __ATOMIC_ACQUIRE);
    now.untracked = 0;

    for (i = 0; i < 2; i++) {
        now.change[i] = __atomic_load_n(&cache->changes[i][slots[i]
                                                       & cache->change_mask],
                                        __ATOMIC_ACQUIRE);
    }

    return now;
}


static ngx_inline void
perm_cache_copy(perm_cache_t *cache, perm_cache_slot_t *slot, uint64_t state,
    perm_cache_entry_t *entry)
{
    perm_generation_t  now;

    entry->grants.gateway = slot->gateway;
    entry->grants.resource = slot->resource;
    entry->fetched = slot->fetched;
    entry->generation.epoch = slot->epoch;
    entry->generation.change[0] = slot->change[0];
    entry->generation.change[1] = slot->change[1];
    entry->generation.untracked = slot->untracked;
    entry->slot = slot;
    entry->sequence = perm_cache_sequence(state);

    now = perm_cache_counters(cache, slot->change_slot);

    entry->unchanged = perm_generation_unchanged(&entry->generation, &now);
    entry->trusted = (entry->unchanged
                      && !entry->generation.untracked
                      && entry->generation.epoch == now.epoch);
}


/* 1 when nothing was written since "state" was read */

static ngx_inline ngx_uint_t
perm_cache_valid(perm_cache_slot_t *slot, uint64_t state)
{
    __atomic_thread_fence(__ATOMIC_ACQUIRE);

    return perm_cache_sequence(__atomic_load_n(&slot->state, __ATOMIC_RELAXED))
           == perm_cache_sequence(state);
}


#endif /* _PERM_SHM_CACHE_PRIV_H_INCLUDED_ */
