
#include "http/cache_slot.h"


#define PERM_CACHE_WALK         1024   /* slots a call of perm_cache_next() */
#define PERM_CACHE_LARGE_SHARE  20     /* one in so many bytes */
#define PERM_CACHE_CHANGE_SHARE 20     /* likewise, at the most */
#define PERM_CACHE_CHANGE_MIN   4096   /* hash slots */


/* where an answer may go, of the 16 slots of a call */

typedef struct {
    ngx_uint_t           own;          /* the call's slot, or NGX_ERROR */
    ngx_uint_t           free;
    ngx_uint_t           denial;       /* the coldest */
    ngx_uint_t           grant;        /* the coldest */
    ngx_uint_t           room;         /* for a denial in the bucket of
                                          "free" */
    uint32_t             denial_age;
    uint32_t             grant_age;
} perm_cache_place_t;


static ngx_int_t perm_cache_create_class(ngx_slab_pool_t *shpool,
    perm_cache_class_t *class, size_t size, size_t slot_size);
static void perm_cache_survey(perm_cache_class_t *class, perm_call_t *call,
    uint64_t hash, uint32_t now, ngx_uint_t live, perm_cache_place_t *place);
static void perm_cache_survey_bucket(perm_cache_class_t *class,
    perm_call_t *call, uint32_t tag, uint32_t first, uint32_t now,
    ngx_uint_t live, perm_cache_place_t *place);
static ngx_uint_t perm_cache_choose(perm_cache_place_t *place,
    ngx_uint_t live);
static ngx_uint_t perm_cache_outdated(perm_cache_slot_t *slot,
    int64_t fetched, perm_generation_t generation);
static void perm_cache_fill(perm_cache_slot_t *slot, uint32_t *tag,
    uint64_t hash, perm_call_t *call, perm_cache_slot_t *values);


perm_cache_t *
perm_cache_create(ngx_slab_pool_t *shpool, size_t size, uint64_t seed)
{
    size_t               large;
    uint32_t             changes;
    ngx_uint_t           i;
    perm_cache_t        *cache;
    perm_cache_class_t  *classes;

    /* the more, the fewer keys share both slots with one that changed */

    changes = PERM_CACHE_CHANGE_MIN;

    while (changes < UINT32_MAX / 4
           && (size_t) changes * 4 * sizeof(uint32_t)
              <= size / PERM_CACHE_CHANGE_SHARE)
    {
        changes *= 2;
    }

    if (size < (size_t) changes * 6 * sizeof(uint32_t)) {
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

        cache->excused[i] = ngx_slab_calloc(shpool,
                                            changes * sizeof(uint16_t));
        if (cache->excused[i] == NULL) {
            return NULL;
        }

        size -= changes * (sizeof(uint32_t) + sizeof(uint16_t));
    }

    cache->change_mask = changes - 1;

    large = size / PERM_CACHE_LARGE_SHARE;
    classes = cache->classes;

    if (perm_cache_create_class(shpool, &classes[0], size - large,
                                PERM_CACHE_SMALL)
        != NGX_OK
        || perm_cache_create_class(shpool, &classes[1], large,
                                   PERM_CACHE_LARGE)
           != NGX_OK)
    {
        return NULL;
    }

    classes[1].first = classes[0].buckets * PERM_BUCKET;

    cache->mutex = &shpool->mutex;
    cache->seed = seed;

    /* what a state file brings back is of the epoch before */
    cache->epoch = 1;

    return cache;
}


static ngx_int_t
perm_cache_create_class(ngx_slab_pool_t *shpool, perm_cache_class_t *class,
    size_t size, size_t slot_size)
{
    size_t  n;

    n = size / (PERM_BUCKET * (slot_size + sizeof(uint32_t)));

    if (n == 0) {
        return NGX_ERROR;
    }

    class->buckets = (uint32_t) ngx_min(n, UINT32_MAX / PERM_BUCKET / 2);
    class->slot_size = slot_size;
    class->names_max = ngx_min(slot_size - PERM_CACHE_HEADER, PERM_CALL_MAX);

    n = (size_t) class->buckets * PERM_BUCKET;

    class->slots = ngx_slab_calloc(shpool, n * slot_size);
    class->tags = ngx_slab_calloc(shpool, n * sizeof(uint32_t));

    return (class->slots && class->tags) ? NGX_OK : NGX_ERROR;
}


void
perm_cache_store(perm_cache_t *cache, perm_call_t *call, uint64_t hash,
    perm_grants_t grants, ngx_uint_t live, int64_t fetched,
    perm_generation_t generation)
{
    size_t               len;
    ngx_uint_t           i;
    perm_cache_slot_t   *slot, values;
    perm_cache_class_t  *class;
    perm_cache_place_t   place;

    if (call->gateway.len > PERM_GATEWAY_MAX
        || call->resource.len > PERM_RESOURCE_MAX
        || call->app.len > PERM_APP_MAX)
    {
        return;
    }

    len = perm_call_len(call);
    class = &cache->classes[len > cache->classes[0].names_max];

    values.gateway = grants.gateway;
    values.resource = grants.resource;
    values.fetched = fetched;
    values.epoch = generation.epoch;
    values.change[0] = generation.change[0];
    values.change[1] = generation.change[1];
    perm_cache_change_slots(cache, call->gateway, call->app,
                            values.change_slot);
    values.live = (live != 0);
    values.untold = generation.untold;
    values.used = (uint32_t) (ngx_current_msec / 1000);

    ngx_shmtx_lock(cache->mutex);

    perm_cache_survey(class, call, hash, values.used, live, &place);
    i = perm_cache_choose(&place, live);

    if (i == (ngx_uint_t) NGX_ERROR) {
        goto done;
    }

    slot = perm_cache_slot(class, i);

    if (i == place.own) {

        if (perm_cache_outdated(slot, fetched, generation)) {
            goto done;
        }

        /* a refresh is no use of it */

        values.used = slot->used;
    }

    if (i != place.free) {
        cache->entries--;
        cache->denied -= !slot->live;
        cache->evicted += (i != place.own);
    }

    perm_cache_fill(slot, &class->tags[i], hash, call, &values);

    cache->entries++;
    cache->denied += !live;

done:

    ngx_shmtx_unlock(cache->mutex);
}


static void
perm_cache_survey(perm_cache_class_t *class, perm_call_t *call, uint64_t hash,
    uint32_t now, ngx_uint_t live, perm_cache_place_t *place)
{
    uint32_t  tag, first[2];

    tag = perm_bucket_tag(hash);
    first[0] = perm_bucket_first(hash, class->buckets, 0);
    first[1] = perm_bucket_first(hash, class->buckets, 1);

    place->own = (ngx_uint_t) NGX_ERROR;
    place->free = (ngx_uint_t) NGX_ERROR;
    place->denial = (ngx_uint_t) NGX_ERROR;
    place->grant = (ngx_uint_t) NGX_ERROR;
    place->room = 0;

    perm_cache_survey_bucket(class, call, tag, first[0], now, live, place);

    if (first[1] != first[0]) {
        perm_cache_survey_bucket(class, call, tag, first[1], now, live,
                                 place);
    }
}


static void
perm_cache_survey_bucket(perm_cache_class_t *class, perm_call_t *call,
    uint32_t tag, uint32_t first, uint32_t now, ngx_uint_t live,
    perm_cache_place_t *place)
{
    uint32_t            i, age;
    ngx_uint_t          free, denied, room;
    perm_cache_slot_t  *slot;

    free = (ngx_uint_t) NGX_ERROR;
    room = 0;
    denied = 0;

    for (i = first; i < first + PERM_BUCKET; i++) {
        slot = perm_cache_slot(class, i);

        if (class->tags[i] == 0 || (perm_cache_sequence(slot->state) & 1)) {
            free = i;
            room++;
            continue;
        }

        if (class->tags[i] == tag && perm_cache_match(slot, call)) {
            place->own = i;
        }

        age = now - slot->used;
        age = (age > INT32_MAX) ? 0 : age;

        if (slot->live) {
            if (place->grant == (ngx_uint_t) NGX_ERROR
                || age > place->grant_age)
            {
                place->grant = i;
                place->grant_age = age;
            }

            continue;
        }

        denied++;

        if (place->denial == (ngx_uint_t) NGX_ERROR
            || age > place->denial_age)
        {
            place->denial = i;
            place->denial_age = age;
        }
    }

    if (!live && denied >= PERM_CACHE_DENIED) {
        /* its share of this bucket is used up */
        return;
    }

    /* the emptier bucket of the two: that is what makes them fill evenly */

    if (room > place->room) {
        place->free = free;
        place->room = room;
    }
}


static ngx_uint_t
perm_cache_choose(perm_cache_place_t *place, ngx_uint_t live)
{
    if (place->own != (ngx_uint_t) NGX_ERROR) {
        return place->own;
    }

    if (place->free != (ngx_uint_t) NGX_ERROR) {
        return place->free;
    }

    if (place->denial != (ngx_uint_t) NGX_ERROR || !live) {
        return place->denial;
    }

    return place->grant;
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
    perm_call_t *call, perm_cache_slot_t *values)
{
    uint32_t  sequence;

    sequence = perm_cache_sequence(slot->state) | 1;

    __atomic_store_n(&slot->state, (uint64_t) sequence << 32,
                     __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);

    __atomic_store_n(tag, perm_bucket_tag(hash), __ATOMIC_RELAXED);

    slot->gateway = values->gateway;
    slot->resource = values->resource;
    slot->fetched = values->fetched;
    slot->epoch = values->epoch;
    slot->change[0] = values->change[0];
    slot->change[1] = values->change[1];
    slot->change_slot[0] = values->change_slot[0];
    slot->change_slot[1] = values->change_slot[1];
    slot->live = values->live;
    slot->untold = values->untold;
    slot->used = values->used;

    slot->gateway_len = (uint8_t) call->gateway.len;
    slot->app_len = (uint8_t) call->app.len;
    slot->resource_len = (uint16_t) call->resource.len;

    perm_call_put(call, slot->names);

    __atomic_store_n(&slot->state, (uint64_t) (sequence + 1) << 32,
                     __ATOMIC_RELEASE);
}


void
perm_cache_stat(perm_cache_t *cache, perm_cache_stat_t *stat)
{
    ngx_uint_t  i;

    stat->entries = cache->entries;
    stat->denied = cache->denied;
    stat->evicted = cache->evicted;
    stat->capacity = 0;

    for (i = 0; i < PERM_CACHE_CLASSES; i++) {
        stat->capacity += (ngx_uint_t) cache->classes[i].buckets
                          * PERM_BUCKET;
    }

    /* a worker killed between counting and storing leaves them off by one */

    if (stat->entries > stat->capacity) {
        stat->entries = 0;
    }

    if (stat->denied > stat->entries) {
        stat->denied = 0;
    }
}


static ngx_int_t
perm_cache_copy_out(perm_cache_t *cache, perm_cache_class_t *class,
    ngx_uint_t i, perm_call_t *call, char *names, perm_cache_entry_t *entry)
{
    size_t              len;
    uint64_t            state;
    perm_cache_slot_t  *slot;

    slot = perm_cache_slot(class, i);
    state = __atomic_load_n(&slot->state, __ATOMIC_ACQUIRE);

    if (class->tags[i] == 0 || (perm_cache_sequence(state) & 1)) {
        return NGX_DECLINED;
    }

    call->gateway.len = slot->gateway_len;
    call->app.len = slot->app_len;
    call->resource.len = slot->resource_len;

    len = perm_call_len(call);

    if (len > class->names_max) {
        /* torn */
        return NGX_DECLINED;
    }

    ngx_memcpy(names, slot->names, len);
    perm_cache_copy(cache, slot, state, entry);

    if (!perm_cache_valid(slot, state)) {
        return NGX_DECLINED;
    }

    perm_call_point(call, names);

    return NGX_OK;
}


ngx_int_t
perm_cache_next(perm_cache_t *cache, ngx_uint_t *cursor, perm_call_t *call,
    char *names, perm_cache_entry_t *entry)
{
    ngx_uint_t           i, n, end;
    perm_cache_class_t  *class;

    for (n = 0; n < PERM_CACHE_WALK; n++) {

        class = &cache->classes[*cursor >= cache->classes[1].first];
        i = *cursor - class->first;
        end = (ngx_uint_t) class->buckets * PERM_BUCKET;

        if (i >= end) {
            return NGX_DONE;
        }

        (*cursor)++;

        if (perm_cache_copy_out(cache, class, i, call, names, entry)
            == NGX_OK)
        {
            return NGX_OK;
        }
    }

    return NGX_AGAIN;
}
