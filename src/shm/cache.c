
#include "shm/cache_priv.h"


#define PERM_CACHE_TRIES  64   /* while another process writes the slot */


static ngx_int_t perm_cache_read(perm_cache_t *cache, perm_cache_slot_t *slot,
    perm_tuple_t *tuple, ngx_msec_t now, perm_cache_entry_t *entry);


void
perm_cache_change_slots(perm_cache_t *cache, perm_str_t gateway,
    perm_str_t app, uint32_t *slots)
{
    uint64_t  hash;

    hash = perm_tuple_key_hash(gateway, app, cache->seed);

    slots[0] = (uint32_t) hash & cache->change_mask;
    slots[1] = (uint32_t) (hash >> 32) & cache->change_mask;
}


ngx_int_t
perm_cache_lookup(perm_cache_t *cache, perm_tuple_t *tuple, uint64_t hash,
    ngx_msec_t now, perm_cache_entry_t *entry)
{
    perm_cache_slot_t    *slot;
    perm_slots_probe_t    probe;

    perm_slots_probe(&probe, perm_slots_natural(cache->classes, tuple), hash);

    while (perm_slots_probe_next(&probe)) {
        slot = perm_cache_slot(probe.class, probe.i);

        if (perm_cache_read(cache, slot, tuple, now, entry) == NGX_OK) {
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


static ngx_int_t
perm_cache_read(perm_cache_t *cache, perm_cache_slot_t *slot,
    perm_tuple_t *tuple, ngx_msec_t now, perm_cache_entry_t *entry)
{
    uint32_t    second;
    uint64_t    state;
    ngx_uint_t  tries, matched;

    for (tries = 0; tries < PERM_CACHE_TRIES; tries++) {

        state = __atomic_load_n(&slot->state, __ATOMIC_ACQUIRE);

        if (perm_cache_sequence(state) & 1) {
            ngx_cpu_pause();
            continue;
        }

        matched = perm_tuple_equal(tuple, &slot->names);

        if (matched) {
            perm_cache_copy(cache, slot, state, entry);
        }

        if (!perm_cache_valid(slot, state)) {
            continue;
        }

        if (!matched) {
            return NGX_DECLINED;
        }

        second = (uint32_t) (now / 1000);

        if (slot->used != second) {
            /* of another entry by now, at worst: it looks used */
            __atomic_store_n(&slot->used, second, __ATOMIC_RELAXED);
        }

        return NGX_OK;
    }

    return NGX_DECLINED;
}


perm_generation_t
perm_cache_generation(perm_cache_t *cache, perm_str_t gateway,
    perm_str_t app)
{
    uint32_t  slots[2];

    perm_cache_change_slots(cache, gateway, app, slots);

    return perm_cache_counters(cache, slots);
}


void
perm_cache_invalidate(perm_cache_t *cache, perm_str_t gateway,
    perm_str_t app)
{
    ngx_uint_t  i;
    uint32_t    slots[2];

    perm_cache_change_slots(cache, gateway, app, slots);

    for (i = 0; i < 2; i++) {
        (void) __atomic_add_fetch(&cache->changes[i][slots[i]], 1,
                                  __ATOMIC_SEQ_CST);
    }
}


void
perm_cache_mark(perm_cache_t *cache)
{
    uint32_t    n;
    ngx_uint_t  i;

    for (i = 0; i < 2; i++) {
        for (n = 0; n <= cache->change_mask; n++) {
            __atomic_store_n(&cache->marked[i][n],
                             __atomic_load_n(&cache->changes[i][n],
                                             __ATOMIC_ACQUIRE),
                             __ATOMIC_RELEASE);
        }
    }
}


ngx_uint_t
perm_cache_unchanged_at_mark(perm_cache_t *cache, perm_tuple_t *tuple,
    perm_cache_entry_t *entry)
{
    uint32_t    slots[2], marked;
    ngx_uint_t  i;

    perm_cache_change_slots(cache, tuple->gateway, tuple->app, slots);

    for (i = 0; i < 2; i++) {
        marked = __atomic_load_n(&cache->marked[i][slots[i]],
                                 __ATOMIC_ACQUIRE);

        if ((int32_t) (marked - entry->generation.change[i]) <= 0) {
            return 1;
        }
    }

    return 0;
}


void
perm_cache_distrust(perm_cache_t *cache)
{
    (void) __atomic_add_fetch(&cache->epoch, 1, __ATOMIC_SEQ_CST);
}


ngx_uint_t
perm_cache_claim(perm_cache_t *cache, perm_cache_entry_t *entry,
    ngx_msec_t now, ngx_msec_t retry)
{
    uint32_t            stamp, claim;
    uint64_t            state, claimed;
    perm_cache_slot_t  *slot;

    slot = entry->slot;
    state = __atomic_load_n(&slot->state, __ATOMIC_RELAXED);

    if (perm_cache_sequence(state) != entry->sequence) {
        /* refreshed, or given away */
        return 0;
    }

    stamp = (uint32_t) now ? (uint32_t) now : 1;
    claim = (uint32_t) state;

    if (claim != 0 && (uint32_t) (stamp - claim) < retry) {
        return 0;
    }

    claimed = (uint64_t) entry->sequence << 32 | stamp;

    return __atomic_compare_exchange_n(&slot->state, &state, claimed, 0,
                                       __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}


ngx_uint_t
perm_cache_accessed(perm_cache_entry_t *entry, time_t now)
{
    uint64_t            access;
    perm_cache_slot_t  *slot;

    slot = entry->slot;
    access = (uint64_t) entry->sequence << 32 | (uint32_t) now;

    return __atomic_load_n(&slot->accessed, __ATOMIC_RELAXED) == access;
}


void
perm_cache_note_access(perm_cache_entry_t *entry, time_t now)
{
    uint64_t            access;
    perm_cache_slot_t  *slot;

    slot = entry->slot;
    access = (uint64_t) entry->sequence << 32 | (uint32_t) now;

    __atomic_store_n(&slot->accessed, access, __ATOMIC_RELAXED);
}
