
#include "shm/cache_priv.h"


#define PERM_CACHE_WALK         1024   /* slots a call of perm_cache_next() */
#define PERM_CACHE_DENIED       2      /* of the slots of a bucket */
#define PERM_CACHE_CHANGE_SHARE 20     /* one in so many bytes at the most */
#define PERM_CACHE_CHANGE_MIN   4096   /* hash slots */

#define PERM_CACHE_NO_SLOT         ((ngx_uint_t) NGX_ERROR)


/* a slot for an answer */

typedef struct {
    perm_slots_class_t *class;
    ngx_uint_t           i;
} perm_cache_place_t;


/* what an answer may replace, of the 16 slots of a call in a class */

typedef struct {
    ngx_uint_t           free;
    ngx_uint_t           denial;       /* the coldest */
    ngx_uint_t           grant;        /* the coldest */
    ngx_uint_t           room;         /* for a denial in the bucket of
                                          "free" */
    uint32_t             denial_age;
    uint32_t             grant_age;
} perm_cache_view_t;


static ngx_int_t perm_cache_find_own(perm_slots_class_t *natural,
    perm_tuple_t *tuple, uint64_t hash, perm_cache_place_t *place);
static ngx_int_t perm_cache_find_room(perm_slots_class_t *natural,
    uint64_t hash, uint32_t now, ngx_uint_t live, perm_cache_place_t *place);
static void perm_cache_survey(perm_slots_class_t *class, uint64_t hash,
    uint32_t now, ngx_uint_t live, perm_cache_view_t *view);
static void perm_cache_survey_bucket(perm_slots_class_t *class,
    uint32_t first, uint32_t now, ngx_uint_t live, perm_cache_view_t *view);
static ngx_uint_t perm_cache_unused(perm_slots_class_t *class, ngx_uint_t i);
static ngx_uint_t perm_cache_outdated(perm_cache_slot_t *slot,
    int64_t fetched, perm_generation_t generation);
static void perm_cache_fill(perm_cache_slot_t *slot, uint32_t *tag,
    uint64_t hash, perm_tuple_t *tuple, perm_cache_slot_t *values);


static const perm_slots_size_t  perm_cache_sizes[PERM_SLOTS_CLASSES] = {
    { 128, 128 - PERM_CACHE_HEADER, 0 },
    { 184, 184 - PERM_CACHE_HEADER, 35 },
    { 520, PERM_TUPLE_MAX, 12 }
};


perm_cache_t *
perm_cache_create(ngx_slab_pool_t *shpool, size_t size, uint64_t seed)
{
    uint32_t       changes;
    ngx_uint_t     i;
    perm_cache_t  *cache;

    /* the more, the fewer keys share both slots with one that changed */

    changes = PERM_CACHE_CHANGE_MIN;

    while (changes < UINT32_MAX / 4
           && (size_t) changes * 4 * sizeof(uint32_t)
              <= size / PERM_CACHE_CHANGE_SHARE)
    {
        changes *= 2;
    }

    if (size < (size_t) changes * 8 * sizeof(uint32_t)) {
        return NULL;
    }

    cache = ngx_slab_calloc(shpool, sizeof(perm_cache_t));
    if (cache == NULL) {
        return NULL;
    }

    for (i = 0; i < 2; i++) {
        cache->changes[i] = ngx_slab_calloc(shpool,
                                            changes * sizeof(uint32_t));
        if (cache->changes[i] == NULL) {
            return NULL;
        }

        cache->marked[i] = ngx_slab_calloc(shpool,
                                           changes * sizeof(uint32_t));
        if (cache->marked[i] == NULL) {
            return NULL;
        }

        size -= changes * 2 * sizeof(uint32_t);
    }

    cache->change_mask = changes - 1;

    if (perm_slots_create(shpool, cache->classes, perm_cache_sizes, size, 0)
        != NGX_OK)
    {
        return NULL;
    }

    cache->mutex = &shpool->mutex;
    cache->seed = seed;

    /* what a state file brings back is of the epoch before */
    cache->epoch = 1;

    return cache;
}


void
perm_cache_store(perm_cache_t *cache, perm_tuple_t *tuple, uint64_t hash,
    perm_grants_t grants, ngx_uint_t live, int64_t fetched,
    perm_generation_t generation)
{
    perm_cache_slot_t   *slot, values;
    perm_cache_place_t   place;
    perm_slots_class_t  *natural;

    if (!perm_tuple_fits(tuple)) {
        return;
    }

    natural = perm_slots_natural(cache->classes, tuple);

    values.gateway = grants.gateway;
    values.resource = grants.resource;
    values.fetched = fetched;
    values.epoch = generation.epoch;
    values.change[0] = generation.change[0];
    values.change[1] = generation.change[1];
    perm_cache_change_slots(cache, tuple->gateway, tuple->app,
                            values.change_slot);
    values.live = (live != 0);
    values.untracked = generation.untracked;
    values.used = (uint32_t) (ngx_current_msec / 1000);

    ngx_shmtx_lock(cache->mutex);

    if (perm_cache_find_own(natural, tuple, hash, &place) == NGX_OK) {

        slot = perm_cache_slot(place.class, place.i);

        if (perm_cache_outdated(slot, fetched, generation)) {
            goto done;
        }

        /* a refresh is no use of it */

        values.used = slot->used;

        cache->entries--;
        cache->denied -= !slot->live;

    } else if (perm_cache_find_room(natural, hash, values.used, live, &place)
               == NGX_OK)
    {
        slot = perm_cache_slot(place.class, place.i);

        if (!perm_cache_unused(place.class, place.i)) {
            cache->entries--;
            cache->denied -= !slot->live;
            cache->evicted++;

            if (slot->live) {
                cache->displaced++;
                cache->displacing = ngx_time();
            }
        }

    } else {
        goto done;
    }

    perm_cache_fill(slot, &place.class->tags[place.i], hash, tuple, &values);

    cache->entries++;
    cache->denied += !live;

done:

    ngx_shmtx_unlock(cache->mutex);
}


static ngx_int_t
perm_cache_find_own(perm_slots_class_t *natural, perm_tuple_t *tuple,
    uint64_t hash, perm_cache_place_t *place)
{
    perm_slots_probe_t  probe;

    perm_slots_probe(&probe, natural, hash);

    while (perm_slots_probe_next(&probe)) {

        if (!perm_cache_unused(probe.class, probe.i)
            && perm_tuple_equal(tuple,
                             &perm_cache_slot(probe.class, probe.i)->names))
        {
            place->class = probe.class;
            place->i = probe.i;

            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


/*
 * A denial has a bounded share of the class that its names are meant for.  A
 * grant makes another one go only when no class has room.
 */

static ngx_int_t
perm_cache_find_room(perm_slots_class_t *natural, uint64_t hash,
    uint32_t now, ngx_uint_t live, perm_cache_place_t *place)
{
    ngx_uint_t           coldest;
    perm_cache_view_t    view;
    perm_slots_class_t  *class;

    coldest = PERM_CACHE_NO_SLOT;

    for (class = natural; /* void */ ; class++) {

        perm_cache_survey(class, hash, now, live, &view);

        place->class = class;
        place->i = (view.free != PERM_CACHE_NO_SLOT) ? view.free : view.denial;

        if (place->i != PERM_CACHE_NO_SLOT) {
            return NGX_OK;
        }

        if (!live) {
            return NGX_DECLINED;
        }

        if (class == natural) {
            coldest = view.grant;
        }

        if (!class->bigger) {
            break;
        }
    }

    place->class = natural;
    place->i = coldest;

    return NGX_OK;
}


static void
perm_cache_survey(perm_slots_class_t *class, uint64_t hash, uint32_t now,
    ngx_uint_t live, perm_cache_view_t *view)
{
    uint32_t  first[2];

    first[0] = perm_slots_first(hash, class->buckets, 0);
    first[1] = perm_slots_first(hash, class->buckets, 1);

    view->free = PERM_CACHE_NO_SLOT;
    view->denial = PERM_CACHE_NO_SLOT;
    view->grant = PERM_CACHE_NO_SLOT;
    view->room = 0;

    perm_cache_survey_bucket(class, first[0], now, live, view);

    if (first[1] != first[0]) {
        perm_cache_survey_bucket(class, first[1], now, live, view);
    }
}


static void
perm_cache_survey_bucket(perm_slots_class_t *class, uint32_t first,
    uint32_t now, ngx_uint_t live, perm_cache_view_t *view)
{
    uint32_t            i, age;
    ngx_uint_t          free, denied, room;
    perm_cache_slot_t  *slot;

    free = PERM_CACHE_NO_SLOT;
    room = 0;
    denied = 0;

    for (i = first; i < first + PERM_SLOTS_BUCKET; i++) {

        if (perm_cache_unused(class, i)) {
            free = i;
            room++;
            continue;
        }

        slot = perm_cache_slot(class, i);
        age = now - slot->used;
        age = (age > INT32_MAX) ? 0 : age;

        if (slot->live) {
            if (view->grant == PERM_CACHE_NO_SLOT || age > view->grant_age) {
                view->grant = i;
                view->grant_age = age;
            }

            continue;
        }

        denied++;

        if (view->denial == PERM_CACHE_NO_SLOT || age > view->denial_age) {
            view->denial = i;
            view->denial_age = age;
        }
    }

    if (!live && denied >= PERM_CACHE_DENIED) {
        /* its share of this bucket is used up */
        return;
    }

    /* the emptier bucket of the two: that is what makes them fill evenly */

    if (room > view->room) {
        view->free = free;
        view->room = room;
    }
}


/* for the holder of the mutex, who finds an odd sequence: free, too */

static ngx_uint_t
perm_cache_unused(perm_slots_class_t *class, ngx_uint_t i)
{
    return class->tags[i] == 0
           || (perm_cache_sequence(perm_cache_slot(class, i)->state) & 1);
}


/* 1 when what is in the slot was said later than this answer */

static ngx_uint_t
perm_cache_outdated(perm_cache_slot_t *slot, int64_t fetched,
    perm_generation_t generation)
{
    int32_t  epoch, first, second;

    epoch = (int32_t) (generation.epoch - slot->epoch);
    first = (int32_t) (generation.change[0] - slot->change[0]);
    second = (int32_t) (generation.change[1] - slot->change[1]);

    if (epoch < 0 || first < 0 || second < 0) {
        return 1;
    }

    return epoch == 0 && first == 0 && second == 0
           && fetched < slot->fetched;
}


/*
 * The order is what a reader and a killed writer rely on: odd, everything,
 * even.
 */

static void
perm_cache_fill(perm_cache_slot_t *slot, uint32_t *tag, uint64_t hash,
    perm_tuple_t *tuple, perm_cache_slot_t *values)
{
    uint32_t  sequence;

    sequence = perm_cache_sequence(slot->state) | 1;

    __atomic_store_n(&slot->state, (uint64_t) sequence << 32,
                     __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);

    __atomic_store_n(tag, perm_slots_tag(hash), __ATOMIC_RELAXED);

    slot->gateway = values->gateway;
    slot->resource = values->resource;
    slot->fetched = values->fetched;
    slot->epoch = values->epoch;
    slot->change[0] = values->change[0];
    slot->change[1] = values->change[1];
    slot->change_slot[0] = values->change_slot[0];
    slot->change_slot[1] = values->change_slot[1];
    slot->live = values->live;
    slot->untracked = values->untracked;
    slot->used = values->used;

    perm_tuple_put(&slot->names, tuple);

    __atomic_store_n(&slot->state, (uint64_t) (sequence + 1) << 32,
                     __ATOMIC_RELEASE);
}


void
perm_cache_stat(perm_cache_t *cache, perm_cache_stat_t *stat)
{
    stat->entries = cache->entries;
    stat->denied = cache->denied;
    stat->evicted = cache->evicted;
    stat->displaced = cache->displaced;
    stat->displacing = (time_t) cache->displacing;
    stat->capacity = perm_slots_total(cache->classes);

    /* a worker killed between counting and storing leaves them off by one */

    if (stat->entries > stat->capacity) {
        stat->entries = 0;
    }

    if (stat->denied > stat->entries) {
        stat->denied = 0;
    }
}


static ngx_int_t
perm_cache_copy_out(perm_cache_t *cache, perm_slots_class_t *class,
    ngx_uint_t i, perm_tuple_t *tuple, char *names, perm_cache_entry_t *entry)
{
    uint64_t            state;
    perm_cache_slot_t  *slot;

    slot = perm_cache_slot(class, i);
    state = __atomic_load_n(&slot->state, __ATOMIC_ACQUIRE);

    if (class->tags[i] == 0 || (perm_cache_sequence(state) & 1)) {
        return NGX_DECLINED;
    }

    if (perm_tuple_copy(tuple, names, &slot->names, class->names_max)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    perm_cache_copy(cache, slot, state, entry);

    if (!perm_cache_valid(slot, state)) {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


ngx_int_t
perm_cache_next(perm_cache_t *cache, ngx_uint_t *cursor, perm_tuple_t *tuple,
    char *names, perm_cache_entry_t *entry)
{
    ngx_uint_t           n;
    perm_slots_class_t  *class;

    for (n = 0; n < PERM_CACHE_WALK; n++) {

        if (*cursor >= perm_slots_total(cache->classes)) {
            return NGX_DONE;
        }

        class = perm_slots_class(cache->classes, *cursor);

        if (perm_cache_copy_out(cache, class, (*cursor)++ - class->first, tuple,
                                names, entry)
            == NGX_OK)
        {
            return NGX_OK;
        }
    }

    return NGX_AGAIN;
}
