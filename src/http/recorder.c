
#include "http/recorder_slot.h"


#define PERM_RECORDER_SMALL        72      /* bytes */
#define PERM_RECORDER_LARGE        (4 + PERM_CALL_MAX)
#define PERM_RECORDER_LARGE_SHARE  20      /* one in so many bytes */


static ngx_int_t perm_recorder_create_class(ngx_slab_pool_t *shpool,
    perm_recorder_class_t *class, size_t size, size_t slot_size);
static ngx_int_t perm_recorder_update(perm_recorder_t *recorder,
    perm_recorder_class_t *class, perm_call_t *call, uint64_t hash,
    uint32_t now);
static ngx_int_t perm_recorder_touch(perm_recorder_t *recorder,
    perm_recorder_class_t *class, uint32_t i, perm_call_t *call,
    uint32_t now);
static ngx_int_t perm_recorder_insert(perm_recorder_t *recorder,
    perm_recorder_class_t *class, perm_call_t *call, uint64_t hash,
    uint32_t now);
static ngx_int_t perm_recorder_find_room(perm_recorder_class_t *class,
    uint64_t hash, uint32_t *found);
static ngx_int_t perm_recorder_free(perm_recorder_class_t *class, uint32_t i);


perm_recorder_t *
perm_recorder_create(ngx_slab_pool_t *shpool, size_t size)
{
    size_t                  large;
    perm_recorder_t        *recorder;
    perm_recorder_class_t  *classes;

    recorder = ngx_slab_calloc(shpool, sizeof(perm_recorder_t));
    if (recorder == NULL) {
        return NULL;
    }

    large = size / PERM_RECORDER_LARGE_SHARE;
    classes = recorder->classes;

    if (perm_recorder_create_class(shpool, &classes[0], size - large,
                                   PERM_RECORDER_SMALL)
        != NGX_OK
        || perm_recorder_create_class(shpool, &classes[1], large,
                                      PERM_RECORDER_LARGE)
           != NGX_OK)
    {
        return NULL;
    }

    classes[1].first = classes[0].buckets * PERM_BUCKET;
    recorder->mutex = &shpool->mutex;

    return recorder;
}


static ngx_int_t
perm_recorder_create_class(ngx_slab_pool_t *shpool,
    perm_recorder_class_t *class, size_t size, size_t slot_size)
{
    size_t  n;

    n = size / (PERM_BUCKET * (slot_size + 2 * sizeof(uint64_t)
                               + 2 * sizeof(uint32_t)));

    if (n == 0) {
        return NGX_ERROR;
    }

    class->buckets = (uint32_t) ngx_min(n, UINT32_MAX / PERM_BUCKET / 2);
    class->slot_size = slot_size;
    class->names_max = slot_size - PERM_RECORDER_HEADER;

    n = (size_t) class->buckets * PERM_BUCKET;

    class->slots = ngx_slab_calloc(shpool, n * slot_size);
    class->words = ngx_slab_calloc(shpool, n * sizeof(uint64_t));
    class->acked = ngx_slab_calloc(shpool, n * sizeof(uint64_t));
    class->since = ngx_slab_calloc(shpool, n * sizeof(uint32_t));
    class->tags = ngx_slab_calloc(shpool, n * sizeof(uint32_t));

    return (class->slots && class->words && class->acked && class->since
            && class->tags)
           ? NGX_OK : NGX_ERROR;
}


ngx_int_t
perm_recorder_record(perm_recorder_t *recorder, perm_call_t *call,
    uint64_t hash, time_t now)
{
    size_t                  len;
    ngx_int_t               rc;
    perm_recorder_class_t  *class;

    if (call->gateway.len > PERM_GATEWAY_MAX
        || call->resource.len > PERM_RESOURCE_MAX
        || call->app.len > PERM_APP_MAX
        || now <= 0)
    {
        return NGX_DECLINED;
    }

    len = perm_call_len(call);
    class = &recorder->classes[len > recorder->classes[0].names_max];

    rc = perm_recorder_update(recorder, class, call, hash, (uint32_t) now);

    if (rc != NGX_DECLINED) {
        return NGX_OK;
    }

    ngx_shmtx_lock(recorder->mutex);

    rc = perm_recorder_insert(recorder, class, call, hash, (uint32_t) now);

    ngx_shmtx_unlock(recorder->mutex);

    if (rc == NGX_DECLINED) {
        (void) ngx_atomic_fetch_add(&recorder->dropped, 1);
    }

    return rc;
}


/* a known call: NGX_OK, or NGX_DECLINED when it is none */

static ngx_int_t
perm_recorder_update(perm_recorder_t *recorder, perm_recorder_class_t *class,
    perm_call_t *call, uint64_t hash, uint32_t now)
{
    uint32_t    tag, i, first;
    ngx_uint_t  n, found;

    tag = perm_bucket_tag(hash);

    for (n = 0; n < 2; n++) {
        first = perm_bucket_first(hash, class->buckets, n);
        found = perm_bucket_find(class->tags + first, tag);

        for ( /* void */ ; found; found &= found - 1) {
            i = first + (uint32_t) __builtin_ctzl(found);

            if (perm_recorder_touch(recorder, class, i, call, now)
                == NGX_OK)
            {
                return NGX_OK;
            }
        }
    }

    return NGX_DECLINED;
}


/*
 * The names were read under the version that the exchange insists on, so that
 * it cannot land on another call.
 */

static ngx_int_t
perm_recorder_touch(perm_recorder_t *recorder, perm_recorder_class_t *class,
    uint32_t i, perm_call_t *call, uint32_t now)
{
    uint32_t               version, last;
    uint64_t               word, newer;
    perm_recorder_slot_t  *slot;

    slot = perm_recorder_slot(class, i);
    word = __atomic_load_n(&class->words[i], __ATOMIC_ACQUIRE);
    version = perm_recorder_version(word);

    if ((version & 1)
        || slot->gateway_len != call->gateway.len
        || slot->app_len != call->app.len
        || slot->resource_len != call->resource.len
        || !perm_call_equal(call, slot->names))
    {
        return NGX_DECLINED;
    }

    do {
        if (perm_recorder_version(word) != version) {
            return NGX_DECLINED;
        }

        if (__atomic_load_n(&class->acked[i], __ATOMIC_RELAXED) >= word) {
            /* pending from now on */
            __atomic_store_n(&class->since[i], now, __ATOMIC_RELAXED);
        }

        /* an older or equal second is exchanged too: it proves the version */

        last = ngx_max(now, perm_recorder_second(word));
        newer = perm_recorder_word(version, last);

    } while (!__atomic_compare_exchange_n(&class->words[i], &word, newer, 0,
                                          __ATOMIC_ACQ_REL,
                                          __ATOMIC_ACQUIRE));

    if (now > perm_recorder_second(word)) {
        (void) ngx_atomic_fetch_add(&recorder->recorded, 1);
    }

    return NGX_OK;
}


static ngx_int_t
perm_recorder_insert(perm_recorder_t *recorder, perm_recorder_class_t *class,
    perm_call_t *call, uint64_t hash, uint32_t now)
{
    uint32_t               i, version;
    perm_recorder_slot_t  *slot;

    /* another worker may have been first */

    if (perm_recorder_update(recorder, class, call, hash, now) == NGX_OK) {
        return NGX_OK;
    }

    do {
        if (perm_recorder_find_room(class, hash, &i) != NGX_OK) {
            return NGX_DECLINED;
        }

    } while (perm_recorder_free(class, i) != NGX_OK);

    /* the version is odd: nobody else touches the slot */

    __atomic_store_n(&class->tags[i], perm_bucket_tag(hash),
                     __ATOMIC_RELAXED);

    slot = perm_recorder_slot(class, i);
    slot->gateway_len = (uint8_t) call->gateway.len;
    slot->app_len = (uint8_t) call->app.len;
    slot->resource_len = (uint16_t) call->resource.len;
    perm_call_put(call, slot->names);

    version = perm_recorder_version(class->words[i]) + 1;

    __atomic_store_n(&class->acked[i], perm_recorder_word(version, 0),
                     __ATOMIC_RELAXED);
    __atomic_store_n(&class->since[i], now, __ATOMIC_RELAXED);
    __atomic_store_n(&class->words[i], perm_recorder_word(version, now),
                     __ATOMIC_RELEASE);

    (void) ngx_atomic_fetch_add(&recorder->recorded, 1);

    return NGX_OK;
}


/*
 * A slot that is not in use, in the emptier bucket so that both fill evenly;
 * else the one whose access was acknowledged and is the oldest.
 */

static ngx_int_t
perm_recorder_find_room(perm_recorder_class_t *class, uint64_t hash,
    uint32_t *found)
{
    uint32_t    i, first, unused, flushed, oldest;
    uint64_t    word;
    ngx_uint_t  n, room, most;

    most = 0;
    flushed = UINT32_MAX;
    oldest = UINT32_MAX;

    for (n = 0; n < 2; n++) {
        room = 0;
        unused = 0;
        first = perm_bucket_first(hash, class->buckets, n);

        for (i = first; i < first + PERM_BUCKET; i++) {
            word = __atomic_load_n(&class->words[i], __ATOMIC_ACQUIRE);

            if (word == 0 || (perm_recorder_version(word) & 1)) {
                unused = i;
                room++;
                continue;
            }

            if (__atomic_load_n(&class->acked[i], __ATOMIC_ACQUIRE) >= word
                && perm_recorder_second(word) < oldest)
            {
                flushed = i;
                oldest = perm_recorder_second(word);
            }
        }

        if (room > most) {
            most = room;
            *found = unused;
        }
    }

    if (most) {
        return NGX_OK;
    }

    *found = flushed;

    return (flushed == UINT32_MAX) ? NGX_DECLINED : NGX_OK;
}


/* makes the version odd, unless a newer second has come in meanwhile */

static ngx_int_t
perm_recorder_free(perm_recorder_class_t *class, uint32_t i)
{
    uint64_t  word, acked, odd;

    word = __atomic_load_n(&class->words[i], __ATOMIC_ACQUIRE);

    if (perm_recorder_version(word) & 1) {
        return NGX_OK;
    }

    acked = __atomic_load_n(&class->acked[i], __ATOMIC_ACQUIRE);

    if (acked < word) {
        return NGX_DECLINED;
    }

    odd = word + perm_recorder_word(1, 0);

    if (!__atomic_compare_exchange_n(&class->words[i], &word, odd, 0,
                                     __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
    {
        return NGX_DECLINED;
    }

    __atomic_thread_fence(__ATOMIC_SEQ_CST);

    return NGX_OK;
}
