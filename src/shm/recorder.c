
#include "shm/recorder_priv.h"


#define PERM_RECORDER_NONE  UINT32_MAX


static ngx_int_t perm_recorder_update(perm_recorder_t *recorder,
    perm_slots_class_t *natural, perm_tuple_t *tuple, uint64_t hash,
    uint32_t now);
static ngx_int_t perm_recorder_touch(perm_recorder_t *recorder,
    perm_slots_class_t *class, uint32_t i, perm_tuple_t *tuple, uint32_t now);
static ngx_int_t perm_recorder_insert(perm_recorder_t *recorder,
    perm_slots_class_t *natural, perm_tuple_t *tuple, uint64_t hash,
    uint32_t now);
static perm_slots_class_t *perm_recorder_find_room(perm_recorder_t *recorder,
    perm_slots_class_t *natural, uint64_t hash, uint32_t *found);
static void perm_recorder_survey(perm_recorder_t *recorder,
    perm_slots_class_t *class, uint64_t hash, uint32_t *unused,
    uint32_t *flushed);
static ngx_int_t perm_recorder_free(perm_recorder_t *recorder, uint32_t n);


static const perm_slots_size_t  perm_recorder_sizes[PERM_SLOTS_CLASSES] = {
    { 72, 72 - PERM_RECORDER_HEADER, 0 },
    { 120, 120 - PERM_RECORDER_HEADER, 35 },
    { 452, PERM_TUPLE_MAX, 13 }
};


perm_recorder_t *
perm_recorder_create(ngx_slab_pool_t *shpool, size_t size)
{
    size_t            n;
    perm_recorder_t  *recorder;

    recorder = ngx_slab_calloc(shpool, sizeof(perm_recorder_t));
    if (recorder == NULL) {
        return NULL;
    }

    if (perm_slots_create(shpool, recorder->classes, perm_recorder_sizes,
                          size, 2 * sizeof(uint64_t) + sizeof(uint32_t))
        != NGX_OK)
    {
        return NULL;
    }

    n = perm_slots_total(recorder->classes);

    recorder->words = ngx_slab_calloc(shpool, n * sizeof(uint64_t));
    recorder->acked = ngx_slab_calloc(shpool, n * sizeof(uint64_t));
    recorder->since = ngx_slab_calloc(shpool, n * sizeof(uint32_t));
    recorder->mutex = &shpool->mutex;

    return (recorder->words && recorder->acked && recorder->since) ? recorder
                                                                   : NULL;
}


ngx_int_t
perm_recorder_record(perm_recorder_t *recorder, perm_tuple_t *tuple,
    uint64_t hash, time_t now)
{
    ngx_int_t            rc;
    perm_slots_class_t  *natural;

    if (!perm_tuple_fits(tuple) || now <= 0) {
        return NGX_DECLINED;
    }

    natural = perm_slots_natural(recorder->classes, tuple);

    rc = perm_recorder_update(recorder, natural, tuple, hash, (uint32_t) now);

    if (rc != NGX_DECLINED) {
        return NGX_OK;
    }

    ngx_shmtx_lock(recorder->mutex);

    rc = perm_recorder_insert(recorder, natural, tuple, hash, (uint32_t) now);

    ngx_shmtx_unlock(recorder->mutex);

    if (rc == NGX_DECLINED) {
        (void) ngx_atomic_fetch_add(&recorder->dropped, 1);
    }

    return rc;
}


/* a known call: NGX_OK, or NGX_DECLINED when it is none */

static ngx_int_t
perm_recorder_update(perm_recorder_t *recorder, perm_slots_class_t *natural,
    perm_tuple_t *tuple, uint64_t hash, uint32_t now)
{
    perm_slots_probe_t  probe;

    perm_slots_probe(&probe, natural, hash);

    while (perm_slots_probe_next(&probe)) {

        if (perm_recorder_touch(recorder, probe.class, probe.i, tuple, now)
            == NGX_OK)
        {
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


/*
 * The names were read under the version that the exchange insists on, so that
 * it cannot land on another call.
 */

static ngx_int_t
perm_recorder_touch(perm_recorder_t *recorder, perm_slots_class_t *class,
    uint32_t i, perm_tuple_t *tuple, uint32_t now)
{
    uint32_t  n, version, last;
    uint64_t  word, newer;

    n = class->first + i;
    word = __atomic_load_n(&recorder->words[n], __ATOMIC_ACQUIRE);
    version = perm_recorder_version(word);

    if ((version & 1)
        || !perm_tuple_equal(tuple, perm_recorder_names(class, i)))
    {
        return NGX_DECLINED;
    }

    do {
        if (perm_recorder_version(word) != version) {
            return NGX_DECLINED;
        }

        if (__atomic_load_n(&recorder->acked[n], __ATOMIC_RELAXED) >= word) {
            /* pending from now on */
            __atomic_store_n(&recorder->since[n], now, __ATOMIC_RELAXED);
        }

        /* an older or equal second is exchanged too: it proves the version */

        last = ngx_max(now, perm_recorder_second(word));
        newer = perm_recorder_word(version, last);

    } while (!__atomic_compare_exchange_n(&recorder->words[n], &word, newer,
                                          0, __ATOMIC_ACQ_REL,
                                          __ATOMIC_ACQUIRE));

    if (now > perm_recorder_second(word)) {
        (void) ngx_atomic_fetch_add(&recorder->recorded, 1);
    }

    return NGX_OK;
}


static ngx_int_t
perm_recorder_insert(perm_recorder_t *recorder, perm_slots_class_t *natural,
    perm_tuple_t *tuple, uint64_t hash, uint32_t now)
{
    uint32_t             i, n, version;
    perm_slots_class_t  *class;

    /* another worker may have been first */

    if (perm_recorder_update(recorder, natural, tuple, hash, now) == NGX_OK) {
        return NGX_OK;
    }

    do {
        class = perm_recorder_find_room(recorder, natural, hash, &i);
        if (class == NULL) {
            return NGX_DECLINED;
        }

        n = class->first + i;

    } while (perm_recorder_free(recorder, n) != NGX_OK);

    /* the version is odd: nobody else touches the slot */

    __atomic_store_n(&class->tags[i], perm_slots_tag(hash),
                     __ATOMIC_RELAXED);

    perm_tuple_put(perm_recorder_names(class, i), tuple);

    version = perm_recorder_version(recorder->words[n]) + 1;

    __atomic_store_n(&recorder->acked[n], perm_recorder_word(version, 0),
                     __ATOMIC_RELAXED);
    __atomic_store_n(&recorder->since[n], now, __ATOMIC_RELAXED);
    __atomic_store_n(&recorder->words[n], perm_recorder_word(version, now),
                     __ATOMIC_RELEASE);

    (void) ngx_atomic_fetch_add(&recorder->recorded, 1);

    return NGX_OK;
}


/*
 * A slot that is not in use, of a bigger class, too; else one whose access was
 * acknowledged.  Returns its class, NULL when there is none.
 */

static perm_slots_class_t *
perm_recorder_find_room(perm_recorder_t *recorder,
    perm_slots_class_t *natural, uint64_t hash, uint32_t *found)
{
    uint32_t             unused, flushed;
    perm_slots_class_t  *class, *room;

    room = NULL;

    for (class = natural; /* void */ ; class++) {

        perm_recorder_survey(recorder, class, hash, &unused, &flushed);

        if (unused != PERM_RECORDER_NONE) {
            *found = unused;
            return class;
        }

        if (room == NULL && flushed != PERM_RECORDER_NONE) {
            *found = flushed;
            room = class;
        }

        if (!class->bigger) {
            return room;
        }
    }
}


/*
 * Of the slots of a call in a class, one that is not in use, in the emptier
 * bucket so that both fill evenly, and the one whose access was acknowledged
 * and is the oldest.
 */

static void
perm_recorder_survey(perm_recorder_t *recorder, perm_slots_class_t *class,
    uint64_t hash, uint32_t *unused, uint32_t *flushed)
{
    uint32_t    i, n, first, last, oldest;
    uint64_t    word;
    ngx_uint_t  bucket, room, most;

    *unused = PERM_RECORDER_NONE;
    *flushed = PERM_RECORDER_NONE;

    most = 0;
    oldest = UINT32_MAX;

    for (bucket = 0; bucket < 2; bucket++) {
        room = 0;
        last = 0;
        first = perm_slots_first(hash, class->buckets, bucket);

        for (i = first; i < first + PERM_SLOTS_BUCKET; i++) {
            n = class->first + i;
            word = __atomic_load_n(&recorder->words[n], __ATOMIC_ACQUIRE);

            if (word == 0 || (perm_recorder_version(word) & 1)) {
                last = i;
                room++;
                continue;
            }

            if (__atomic_load_n(&recorder->acked[n], __ATOMIC_ACQUIRE) >= word
                && perm_recorder_second(word) < oldest)
            {
                *flushed = i;
                oldest = perm_recorder_second(word);
            }
        }

        if (room > most) {
            most = room;
            *unused = last;
        }
    }
}


/* makes the version odd, unless a newer second has come in meanwhile */

static ngx_int_t
perm_recorder_free(perm_recorder_t *recorder, uint32_t n)
{
    uint64_t  word, acked, odd;

    word = __atomic_load_n(&recorder->words[n], __ATOMIC_ACQUIRE);

    if (perm_recorder_version(word) & 1) {
        return NGX_OK;
    }

    acked = __atomic_load_n(&recorder->acked[n], __ATOMIC_ACQUIRE);

    if (acked < word) {
        return NGX_DECLINED;
    }

    odd = word + perm_recorder_word(1, 0);

    if (!__atomic_compare_exchange_n(&recorder->words[n], &word, odd, 0,
                                     __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
    {
        return NGX_DECLINED;
    }

    __atomic_thread_fence(__ATOMIC_SEQ_CST);

    return NGX_OK;
}
