
#include "http/cache_slot.h"


#define PERM_CACHE_TRIES  64   /* while another process writes the slot */

/* every 8 bytes of these have one that is in no valid name */

#define PERM_HASH_A  UINT64_C(0xa0761d6478bd642f)
#define PERM_HASH_B  UINT64_C(0xe7037ed1a0b428db)
#define PERM_HASH_C  UINT64_C(0x8ebc6af09c88c6e3)


static ngx_int_t perm_cache_read(perm_cache_t *cache, perm_cache_slot_t *slot,
    perm_call_t *call, ngx_msec_t now, perm_cache_entry_t *entry);


static ngx_inline uint64_t
perm_hash_fold(uint64_t a, uint64_t b)
{
#if defined(__SIZEOF_INT128__)

    __extension__ unsigned __int128  product;

    product = a;
    product *= b;

    return (uint64_t) product ^ (uint64_t) (product >> 64);

#else

    uint64_t  low, mid1, mid2, high;

    low = (a & 0xffffffff) * (b & 0xffffffff);
    mid1 = (a >> 32) * (b & 0xffffffff) + (low >> 32);
    mid2 = (a & 0xffffffff) * (b >> 32) + (mid1 & 0xffffffff);
    high = (a >> 32) * (b >> 32) + (mid1 >> 32) + (mid2 >> 32);

    return ((mid2 << 32) | (low & 0xffffffff)) ^ high;

#endif
}


/* multiply and fold, 16 bytes a step; the last step overlaps the one before */

static ngx_inline uint64_t
perm_hash_name(uint64_t hash, perm_str_t *name)
{
    size_t       len;
    uint64_t     a, b;
    const char  *p;

    p = name->data;
    len = name->len;
    hash += len;

    while (len > 16) {
        hash = perm_hash_fold(perm_name_word(p) ^ PERM_HASH_A,
                              perm_name_word(p + 8) ^ hash);
        p += 16;
        len -= 16;
    }

    if (len >= 8) {
        a = perm_name_word(p);
        b = perm_name_word(p + len - 8);

    } else if (len >= 4) {
        a = perm_name_half(p);
        b = perm_name_half(p + len - 4);

    } else if (len > 0) {
        a = (u_char) p[0] | (u_char) p[len / 2] << 8;
        b = (u_char) p[len - 1];

    } else {
        a = 0;
        b = 0;
    }

    return perm_hash_fold(a ^ PERM_HASH_B, b ^ hash);
}


uint64_t
perm_call_hash(perm_call_t *call, uint64_t seed)
{
    uint64_t  hash;

    hash = perm_hash_name(seed, &call->gateway);
    hash = perm_hash_name(hash, &call->app);

    return perm_hash_name(hash, &call->resource);
}


void
perm_cache_change_slots(perm_cache_t *cache, perm_str_t gateway,
    perm_str_t app, uint32_t *slots)
{
    uint64_t  hash;

    hash = perm_hash_name(cache->seed ^ PERM_HASH_C, &gateway);
    hash = perm_hash_name(hash, &app);

    slots[0] = (uint32_t) hash & cache->change_mask;
    slots[1] = (uint32_t) (hash >> 32) & cache->change_mask;
}


ngx_int_t
perm_cache_lookup(perm_cache_t *cache, perm_call_t *call, uint64_t hash,
    ngx_msec_t now, perm_cache_entry_t *entry)
{
    size_t               len;
    uint32_t             tag, first[2];
    ngx_uint_t           i, n, found;
    perm_cache_slot_t   *slot;
    perm_cache_class_t  *class;

    len = perm_call_len(call);
    class = &cache->classes[len > cache->classes[0].names_max];

    if (len > class->names_max) {
        return NGX_DECLINED;
    }

    tag = perm_bucket_tag(hash);
    perm_bucket_pair(hash, class->buckets, first);

    for (n = 0; n < 2; n++) {
        found = perm_bucket_find(class->tags + first[n], tag);

        for ( /* void */ ; found; found &= found - 1) {
            i = first[n] + (ngx_uint_t) __builtin_ctzl(found);
            slot = perm_cache_slot(class, i);

            if (perm_cache_read(cache, slot, call, now, entry) == NGX_OK) {
                return NGX_OK;
            }
        }
    }

    return NGX_DECLINED;
}


static ngx_int_t
perm_cache_read(perm_cache_t *cache, perm_cache_slot_t *slot,
    perm_call_t *call, ngx_msec_t now, perm_cache_entry_t *entry)
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

        matched = perm_cache_match(slot, call);

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


/* the numbers of a slot that is being written may be anything */

static ngx_inline perm_generation_t
perm_cache_counters(perm_cache_t *cache, uint32_t *slots)
{
    ngx_uint_t         i;
    perm_generation_t  now;

    now.epoch = __atomic_load_n(&cache->epoch, __ATOMIC_ACQUIRE);

    for (i = 0; i < 2; i++) {
        now.change[i] = __atomic_load_n(&cache->changes[i][slots[i]
                                                       & cache->change_mask],
                                        __ATOMIC_ACQUIRE);
    }

    return now;
}


void
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
    entry->slot = slot;
    entry->sequence = perm_cache_sequence(state);

    now = perm_cache_counters(cache, slot->change_slot);

    entry->unchanged = perm_generation_unchanged(&entry->generation, &now);
    entry->trusted = (entry->unchanged
                      && entry->generation.epoch == now.epoch);
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
