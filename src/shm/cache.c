
#include "shm/cache.h"

#include "shm/change.h"
#include "shm/slots.h"


#define PERM_CACHE_TRIES         64     /* while another process writes it */
#define PERM_CACHE_WALK          1024   /* slots a call of perm_cache_next() */
#define PERM_CACHE_DENIED        2      /* of the slots of a bucket */
#define PERM_CACHE_CHANGE_SHARE  20     /* one in so many bytes at the most */
#define PERM_CACHE_CHANGE_MIN    4096   /* hash slots */
#define PERM_CACHE_TTL           16     /* ms: a longer one than two years is
                                           taken for that */


/*
 * The upper half of "state" is the sequence number, which is odd while the slot
 * is being written.  The lower half is the claim (ms, 0: none): in one word
 * with the number, it cannot get into a slot that was given away meanwhile.  A
 * writer holds the zone's mutex.  If it finds an odd number, another writer
 * died, and the slot is free.
 */

struct perm_cache_slot_s {
    uint64_t             state;
    uint64_t             accessed;       /* sequence and unix second */

    /* perm_cache_fill() copies from here to the names */
    int64_t              gateway;        /* expiries */
    int64_t              resource;
    int64_t              fetched;        /* ms, monotonic */
    uint32_t             epoch;
    uint32_t             change[2];
    uint32_t             change_slot[2];
    uint32_t             used;           /* perm_cache_stamp() */
    uint32_t             ttl;            /* of the key from "fetched", in
                                            PERM_CACHE_TTL; UINT32_MAX: none */
    uint8_t              live:1;
    uint8_t              untracked:1;    /* see perm_generation_t */
    perm_tuple_names_t   names;          /* up to the end of the slot */
};


#define PERM_CACHE_HEADER  offsetof(perm_cache_slot_t, names.bytes)
#define PERM_CACHE_VALUES  offsetof(perm_cache_slot_t, gateway)


struct perm_cache_s {
    perm_slots_class_t   classes[PERM_SLOTS_CLASSES];
    ngx_shmtx_t         *mutex;
    perm_change_t       *changes[2];     /* of both hash slots */
    uint32_t             change_mask;    /* of the number of a hash slot */
    uint64_t             seed;

    /* changes and stores write what follows: another line than what is read */
    u_char               padding[64];

    perm_epoch_shared_t  epoch;
    ngx_atomic_t         entries;
    ngx_atomic_t         denied;
    ngx_atomic_t         evicted;
    ngx_atomic_t         displaced;
    ngx_atomic_t         displacing;     /* unix seconds, 0: never */
};


#define perm_cache_sequence(state)  ((uint32_t) ((state) >> 32))

/* when an entry was last used, in 1,024 ms: a shift is all it takes */

#define perm_cache_stamp(ms)  ((uint32_t) ((ms) >> 10))

#define perm_cache_slot(place)  ((perm_cache_slot_t *) perm_slots_at(place))


static void perm_cache_copy(perm_cache_t *cache, perm_cache_slot_t *slot,
    uint64_t state, perm_cache_entry_t *entry);
static ngx_uint_t perm_cache_valid(perm_cache_slot_t *slot, uint64_t state);
static void perm_cache_change_slots(perm_cache_t *cache, perm_str_t gateway,
    perm_str_t app, uint32_t *slots);
static perm_generation_t perm_cache_counters(perm_cache_t *cache,
    uint32_t *slots);
static ngx_uint_t perm_cache_find_own(perm_slots_class_t *natural,
    perm_tuple_t *tuple, uint64_t hash, perm_slots_place_t *place);
static ngx_uint_t perm_cache_unused(perm_slots_place_t *place);
static perm_slots_kind_t perm_cache_kind(void *table,
    perm_slots_place_t *place, uint32_t *stamp);
static ngx_uint_t perm_cache_outdated(perm_cache_slot_t *slot,
    perm_cache_slot_t *values);
static void perm_cache_fill(perm_slots_place_t *place, perm_tuple_t *tuple,
    uint64_t hash, perm_cache_slot_t *values);


static const perm_slots_size_t  perm_cache_sizes[PERM_SLOTS_CLASSES] = {
    { 128, 128 - PERM_CACHE_HEADER, 0 },
    { 184, 184 - PERM_CACHE_HEADER, 35 },
    { 528, PERM_TUPLE_MAX, 12 }
};


_Static_assert(PERM_CACHE_HEADER + PERM_TUPLE_MAX <= 528, "the longest names");


perm_cache_t *
perm_cache_create(ngx_slab_pool_t *shpool, size_t size, uint64_t seed)
{
    size_t         bytes;
    uint32_t       changes;
    perm_cache_t  *cache;

    /* the more there are, the fewer keys share both with a changed one */

    changes = PERM_CACHE_CHANGE_MIN;
    bytes = changes * 2 * sizeof(perm_change_t);

    while (bytes <= size / PERM_CACHE_CHANGE_SHARE && changes < UINT32_MAX / 4)
    {
        changes *= 2;
        bytes *= 2;
    }

    if (size < bytes * 2) {
        return NULL;
    }

    cache = ngx_slab_calloc(shpool, sizeof(perm_cache_t));
    if (cache == NULL) {
        return NULL;
    }

    cache->changes[0] = ngx_slab_calloc(shpool, bytes);

    if (cache->changes[0] == NULL
        || perm_slots_create(shpool, cache->classes, perm_cache_sizes,
                             size - bytes, 0)
           != NGX_OK)
    {
        return NULL;
    }

    cache->changes[1] = cache->changes[0] + changes;
    cache->change_mask = changes - 1;
    cache->mutex = &shpool->mutex;
    cache->seed = seed;

    /* entries of perm_cache_restore() are of the epoch before */
    cache->epoch.word = PERM_EPOCH_STEP;

    return cache;
}


ngx_int_t
perm_cache_lookup(perm_cache_t *cache, perm_tuple_t *tuple, uint64_t hash,
    ngx_msec_t now, perm_cache_entry_t *entry)
{
    uint32_t             stamp;
    uint64_t             state;
    ngx_uint_t           tries, matched;
    perm_cache_slot_t   *slot;
    perm_slots_probe_t   probe;

    perm_slots_probe(&probe, perm_slots_natural(cache->classes, tuple), hash);

    while (perm_slots_probe_next(&probe)) {
        slot = perm_cache_slot(&probe.place);

        for (tries = 0; tries < PERM_CACHE_TRIES; tries++) {

            /* orders: the sequence number before the slot */
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
                break;
            }

            stamp = perm_cache_stamp(now);

            if (slot->used != stamp) {
                /* at worst, another entry that is there by now looks used */
                __atomic_store_n(&slot->used, stamp, __ATOMIC_RELAXED);
            }

            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


static ngx_inline void
perm_cache_copy(perm_cache_t *cache, perm_cache_slot_t *slot, uint64_t state,
    perm_cache_entry_t *entry)
{
    perm_generation_t  now;

    entry->grants.gateway = slot->gateway;
    entry->grants.resource = slot->resource;
    entry->grants.left = PERM_GRANTS_ENDLESS;

    if (slot->ttl != UINT32_MAX) {
        entry->grants.left = (int64_t) slot->ttl * PERM_CACHE_TTL
                             - perm_cache_age(slot->fetched);
    }

    entry->fetched = slot->fetched;
    entry->generation.epoch = slot->epoch;
    entry->generation.change[0] = slot->change[0];
    entry->generation.change[1] = slot->change[1];
    entry->generation.untracked = slot->untracked;
    entry->slot = slot;
    entry->accessed = __atomic_load_n(&slot->accessed, __ATOMIC_RELAXED);
    entry->sequence = perm_cache_sequence(state);

    now = perm_cache_counters(cache, slot->change_slot);

    entry->unchanged = perm_generation_unchanged(&entry->generation, &now);
    entry->trusted = (entry->unchanged
                      && !entry->generation.untracked
                      && entry->generation.epoch == now.epoch);
}


/* 1: the slot was not written since "state" was read */

static ngx_inline ngx_uint_t
perm_cache_valid(perm_cache_slot_t *slot, uint64_t state)
{
    /* orders: the slot before its sequence number */
    __atomic_thread_fence(__ATOMIC_ACQUIRE);

    return perm_cache_sequence(__atomic_load_n(&slot->state, __ATOMIC_RELAXED))
           == perm_cache_sequence(state);
}


/* the two hash slots of (gateway, app) */

static void
perm_cache_change_slots(perm_cache_t *cache, perm_str_t gateway,
    perm_str_t app, uint32_t *slots)
{
    uint64_t  hash;

    hash = perm_tuple_key_hash(gateway, app, cache->seed);

    slots[0] = (uint32_t) hash & cache->change_mask;
    slots[1] = (uint32_t) (hash >> 32) & cache->change_mask;
}


/* masks the numbers: in a slot that is being written they may be anything */

static ngx_inline perm_generation_t
perm_cache_counters(perm_cache_t *cache, uint32_t *slots)
{
    uint32_t           slot;
    ngx_uint_t         i;
    perm_generation_t  now;

    /* orders: the epoch before a lookup is sent */
    now.epoch = __atomic_load_n(&cache->epoch.word, __ATOMIC_ACQUIRE);
    now.untracked = 0;

    for (i = 0; i < 2; i++) {
        slot = slots[i] & cache->change_mask;

        /* orders: the counters before a lookup is sent */
        now.change[i] = __atomic_load_n(&cache->changes[i][slot].count,
                                        __ATOMIC_ACQUIRE);
    }

    return now;
}


perm_generation_t
perm_cache_generation(perm_cache_t *cache, perm_str_t gateway,
    perm_str_t app)
{
    uint32_t           slots[2];
    perm_generation_t  now;

    perm_cache_change_slots(cache, gateway, app, slots);

    now = perm_cache_counters(cache, slots);
    now.epoch = perm_epoch_base(now.epoch);

    return now;
}


void
perm_cache_store(perm_cache_t *cache, perm_tuple_t *tuple, uint64_t hash,
    perm_grants_t grants, ngx_uint_t live, int64_t fetched,
    perm_generation_t generation)
{
    int64_t              ttl;
    ngx_uint_t           own;
    perm_cache_slot_t   *slot, values;
    perm_slots_class_t  *natural;
    perm_slots_place_t   place;

    if (!perm_tuple_fits(tuple)) {
        return;
    }

    ngx_memzero(&values, sizeof(perm_cache_slot_t));

    values.gateway = grants.gateway;
    values.resource = grants.resource;
    values.fetched = fetched;
    values.ttl = UINT32_MAX;

    if (grants.left != PERM_GRANTS_ENDLESS) {
        ttl = (ngx_max(grants.left, 0) + perm_cache_age(fetched))
              / PERM_CACHE_TTL;
        values.ttl = (uint32_t) ngx_min(ttl, UINT32_MAX - 1);
    }

    values.epoch = generation.epoch;
    values.change[0] = generation.change[0];
    values.change[1] = generation.change[1];
    perm_cache_change_slots(cache, tuple->gateway, tuple->app,
                            values.change_slot);
    values.live = (live != 0);
    values.untracked = generation.untracked;
    values.used = perm_cache_stamp(ngx_current_msec);

    natural = perm_slots_natural(cache->classes, tuple);

    ngx_shmtx_lock(cache->mutex);

    own = perm_cache_find_own(natural, tuple, hash, &place);

    if (!own
        && perm_slots_find_room(natural, hash, perm_cache_kind, NULL,
                                values.used, live ? 0 : PERM_CACHE_DENIED,
                                &place)
           != NGX_OK)
    {
        goto done;
    }

    slot = perm_cache_slot(&place);

    if (own) {
        if (perm_cache_outdated(slot, &values)) {
            goto done;
        }

        /* a refresh does not count as use */
        values.used = slot->used;
    }

    if (!perm_cache_unused(&place)) {
        cache->entries--;
        cache->denied -= !slot->live;
        cache->evicted += !own;

        if (!own && slot->live) {
            cache->displaced++;
            cache->displacing = ngx_time();
        }
    }

    perm_cache_fill(&place, tuple, hash, &values);

    cache->entries++;
    cache->denied += !live;

done:

    ngx_shmtx_unlock(cache->mutex);
}


void
perm_cache_restore(perm_cache_t *cache, perm_tuple_t *tuple,
    perm_grants_t grants, int64_t fetched)
{
    perm_generation_t  generation;

    generation = perm_cache_generation(cache, tuple->gateway, tuple->app);
    generation.epoch -= PERM_EPOCH_STEP;

    perm_cache_store(cache, tuple, perm_tuple_hash(tuple, cache->seed), grants,
                     perm_decision_allows(grants, ngx_time()), fetched,
                     generation);
}


static ngx_uint_t
perm_cache_find_own(perm_slots_class_t *natural, perm_tuple_t *tuple,
    uint64_t hash, perm_slots_place_t *place)
{
    perm_slots_probe_t  probe;

    perm_slots_probe(&probe, natural, hash);

    while (perm_slots_probe_next(&probe)) {
        *place = probe.place;

        if (!perm_cache_unused(place)
            && perm_tuple_equal(tuple, &perm_cache_slot(place)->names))
        {
            return 1;
        }
    }

    return 0;
}


/* for the holder of the mutex: a slot with an odd number is free, too */

static ngx_uint_t
perm_cache_unused(perm_slots_place_t *place)
{
    return place->class->tags[place->i] == 0
           || (perm_cache_sequence(perm_cache_slot(place)->state) & 1);
}


/* denials make room for all, grants only for other grants */

static perm_slots_kind_t
perm_cache_kind(void *table, perm_slots_place_t *place, uint32_t *stamp)
{
    perm_cache_slot_t  *slot;

    if (perm_cache_unused(place)) {
        return PERM_SLOTS_FREE;
    }

    slot = perm_cache_slot(place);
    *stamp = slot->used;

    return slot->live ? PERM_SLOTS_DEAR : PERM_SLOTS_CHEAP;
}


/* 1: the answer in the slot is newer than this one */

static ngx_uint_t
perm_cache_outdated(perm_cache_slot_t *slot, perm_cache_slot_t *values)
{
    int32_t  epoch, first, second;

    epoch = (int32_t) (values->epoch - slot->epoch);
    first = (int32_t) (values->change[0] - slot->change[0]);
    second = (int32_t) (values->change[1] - slot->change[1]);

    if (epoch < 0 || first < 0 || second < 0) {
        return 1;
    }

    return epoch == 0 && first == 0 && second == 0
           && values->fetched < slot->fetched;
}


/*
 * The order is: an odd number, the slot, an even number.  Readers rely on it,
 * and so does the next writer if this one is killed.
 */

static void
perm_cache_fill(perm_slots_place_t *place, perm_tuple_t *tuple, uint64_t hash,
    perm_cache_slot_t *values)
{
    uint32_t            sequence;
    perm_cache_slot_t  *slot;

    slot = perm_cache_slot(place);
    sequence = perm_cache_sequence(slot->state) | 1;

    __atomic_store_n(&slot->state, perm_cache_word(sequence, 0),
                     __ATOMIC_RELAXED);

    /* orders: the odd number before the slot */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);

    __atomic_store_n(&place->class->tags[place->i], perm_slots_tag(hash),
                     __ATOMIC_RELAXED);

    ngx_memcpy((u_char *) slot + PERM_CACHE_VALUES,
               (u_char *) values + PERM_CACHE_VALUES,
               offsetof(perm_cache_slot_t, names) - PERM_CACHE_VALUES);

    perm_tuple_put(&slot->names, tuple);

    /* orders: the slot before the even number */
    __atomic_store_n(&slot->state, perm_cache_word(sequence + 1, 0),
                     __ATOMIC_RELEASE);
}


void
perm_cache_invalidate(perm_cache_t *cache, perm_str_t gateway,
    perm_str_t app, ngx_uint_t mark)
{
    uint32_t        slots[2];
    ngx_uint_t      i;
    perm_change_t  *change;

    perm_cache_change_slots(cache, gateway, app, slots);

    for (i = 0; i < 2; i++) {
        change = &cache->changes[i][slots[i]];

        /* orders: what was pushed before its count */
        (void) __atomic_add_fetch(&change->count, 1, __ATOMIC_SEQ_CST);

        if (mark) {
            perm_change_mark(change);
        }
    }
}


void
perm_cache_mark(perm_cache_t *cache)
{
    uint32_t    n;
    ngx_uint_t  i;

    for (i = 0; i < 2; i++) {
        for (n = 0; n <= cache->change_mask; n++) {
            perm_change_mark(&cache->changes[i][n]);
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
        marked = __atomic_load_n(&cache->changes[i][slots[i]].marked,
                                 __ATOMIC_RELAXED);

        if ((int32_t) (marked - entry->generation.change[i]) <= 0) {
            return 1;
        }
    }

    return 0;
}


void
perm_cache_distrust(perm_cache_t *cache)
{
    perm_epoch_move(&cache->epoch);
}


perm_epoch_shared_t *
perm_cache_epoch(perm_cache_t *cache)
{
    return &cache->epoch;
}


ngx_uint_t
perm_cache_claim(perm_cache_entry_t *entry, ngx_msec_t now, ngx_msec_t retry)
{
    uint32_t  stamp, claim;
    uint64_t  state;

    state = __atomic_load_n(&entry->slot->state, __ATOMIC_RELAXED);

    if (perm_cache_sequence(state) != entry->sequence) {
        /* refreshed, or given away */
        return 0;
    }

    stamp = (uint32_t) now ? (uint32_t) now : 1;
    claim = (uint32_t) state;

    if (claim != 0 && (uint32_t) (stamp - claim) < retry) {
        return 0;
    }

    return __atomic_compare_exchange_n(&entry->slot->state, &state,
                                       perm_cache_word(entry->sequence, stamp),
                                       0, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}


void
perm_cache_note_access(perm_cache_entry_t *entry, time_t now)
{
    __atomic_store_n(&entry->slot->accessed,
                     perm_cache_word(entry->sequence, now), __ATOMIC_RELAXED);
}


void
perm_cache_stat(perm_cache_t *cache, perm_cache_stat_t *stat)
{
    ngx_uint_t  entries, denied;

    entries = cache->entries;
    denied = cache->denied;

    stat->capacity = perm_slots_total(cache->classes);
    stat->evicted = cache->evicted;
    stat->displaced = cache->displaced;
    stat->displacing = (time_t) cache->displacing;

    /* a worker killed between counting and storing leaves them off by one */

    stat->entries = (entries <= stat->capacity) ? entries : 0;
    stat->denied = (denied <= stat->entries) ? denied : 0;
}


ngx_int_t
perm_cache_next(perm_cache_t *cache, ngx_uint_t *cursor, perm_tuple_t *tuple,
    char *names, perm_cache_entry_t *entry)
{
    uint64_t             state;
    ngx_uint_t           n;
    perm_cache_slot_t   *slot;
    perm_slots_place_t   place;

    for (n = 0; n < PERM_CACHE_WALK; n++) {

        if (*cursor >= perm_slots_total(cache->classes)) {
            return NGX_DONE;
        }

        place = perm_slots_place(cache->classes, (*cursor)++);

        slot = perm_cache_slot(&place);

        /* orders: the sequence number before the slot */
        state = __atomic_load_n(&slot->state, __ATOMIC_ACQUIRE);

        if (place.class->tags[place.i] == 0
            || (perm_cache_sequence(state) & 1)
            || perm_tuple_copy(tuple, names, &slot->names,
                               place.class->names_max)
               != NGX_OK)
        {
            continue;
        }

        perm_cache_copy(cache, slot, state, entry);

        if (perm_cache_valid(slot, state)) {
            return NGX_OK;
        }
    }

    return NGX_AGAIN;
}
