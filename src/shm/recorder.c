
#include "shm/recorder.h"

#include "shm/slots.h"


#define PERM_RECORDER_WALK    65536   /* slots a call */
#define PERM_RECORDER_MOVED   64      /* accesses a call */
#define PERM_RECORDER_HEADER  offsetof(perm_tuple_names_t, bytes)


/*
 * A slot has the names of a tuple.  Its numbers are in arrays, so that a search
 * for pending accesses reads little memory.
 *
 * The upper half of a word in "words" is the version of the slot, the lower one
 * its newest access (unix seconds).  An odd version: the holder of the zone's
 * mutex gives the slot to another tuple, or died over it.  A word in "acked" is
 * the same with the newest acknowledged access; one of another version means
 * nothing.  An access is pending while its word is greater than that.
 */

struct perm_recorder_s {
    perm_slots_class_t   classes[PERM_SLOTS_CLASSES];
    uint64_t            *words;         /* of all classes' slots */
    uint64_t            *acked;
    uint32_t            *since;         /* unix second: turned pending */
    ngx_shmtx_t         *mutex;

    /* the counters are written: another line than what is only read */
    u_char               padding[64];

    ngx_atomic_t         recorded;
    ngx_atomic_t         flushed;
    ngx_atomic_t         dropped;
};


#define perm_recorder_word(version, second)                                   \
    ((uint64_t) (version) << 32 | (uint32_t) (second))

#define perm_recorder_version(word)  ((uint32_t) ((word) >> 32))
#define perm_recorder_second(word)   ((uint32_t) (word))

#define perm_recorder_names(place)                                            \
    ((perm_tuple_names_t *) perm_slots_at(place))


static ngx_uint_t perm_recorder_update(perm_recorder_t *recorder,
    perm_slots_class_t *natural, perm_tuple_t *tuple, uint64_t hash,
    uint32_t now);
static ngx_uint_t perm_recorder_touch(perm_recorder_t *recorder,
    perm_slots_place_t *place, perm_tuple_t *tuple, uint32_t now);
static ngx_int_t perm_recorder_insert(perm_recorder_t *recorder,
    perm_slots_class_t *natural, perm_tuple_t *tuple, uint64_t hash,
    uint32_t now);
static perm_slots_kind_t perm_recorder_kind(void *table,
    perm_slots_place_t *place, uint32_t *stamp);
static ngx_uint_t perm_recorder_free(perm_recorder_t *recorder, uint32_t n);
static ngx_uint_t perm_recorder_pending(perm_recorder_t *recorder,
    ngx_uint_t n, uint64_t *word);
static ngx_uint_t perm_recorder_walk(perm_recorder_t *recorder,
    ngx_uint_t *cursor, perm_recorder_access_t *accesses, ngx_uint_t n,
    time_t from);
static ngx_uint_t perm_recorder_copy(perm_recorder_t *recorder, ngx_uint_t n,
    time_t from, perm_recorder_access_t *access);


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

    if (perm_recorder_update(recorder, natural, tuple, hash, (uint32_t) now)) {
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


/* 1: the tuple is known */

static ngx_uint_t
perm_recorder_update(perm_recorder_t *recorder, perm_slots_class_t *natural,
    perm_tuple_t *tuple, uint64_t hash, uint32_t now)
{
    perm_slots_probe_t  probe;

    perm_slots_probe(&probe, natural, hash);

    while (perm_slots_probe_next(&probe)) {

        if (perm_recorder_touch(recorder, &probe.place, tuple, now)) {
            return 1;
        }
    }

    return 0;
}


/*
 * 1: the slot has the tuple.  The exchange insists on the version under which
 * the names were read, so that it cannot change the slot of another tuple.
 */

static ngx_uint_t
perm_recorder_touch(perm_recorder_t *recorder, perm_slots_place_t *place,
    perm_tuple_t *tuple, uint32_t now)
{
    uint32_t  n, version, last;
    uint64_t  word, newer;

    n = perm_slots_number(place);

    /* orders: the version before the names */
    word = __atomic_load_n(&recorder->words[n], __ATOMIC_ACQUIRE);
    version = perm_recorder_version(word);

    if ((version & 1)
        || !perm_tuple_equal(tuple, perm_recorder_names(place)))
    {
        return 0;
    }

    do {
        if (perm_recorder_version(word) != version) {
            return 0;
        }

        if (__atomic_load_n(&recorder->acked[n], __ATOMIC_RELAXED) >= word) {
            /* pending from now on */
            __atomic_store_n(&recorder->since[n], now, __ATOMIC_RELAXED);
        }

        /* an older or equal second is exchanged too: it proves the version */

        last = ngx_max(now, perm_recorder_second(word));
        newer = perm_recorder_word(version, last);

        /* orders: the names before the exchange */

    } while (!__atomic_compare_exchange_n(&recorder->words[n], &word, newer,
                                          0, __ATOMIC_ACQ_REL,
                                          __ATOMIC_ACQUIRE));

    if (now > perm_recorder_second(word)) {
        (void) ngx_atomic_fetch_add(&recorder->recorded, 1);
    }

    return 1;
}


static ngx_int_t
perm_recorder_insert(perm_recorder_t *recorder, perm_slots_class_t *natural,
    perm_tuple_t *tuple, uint64_t hash, uint32_t now)
{
    uint32_t             n, version;
    perm_slots_place_t   place;

    /* another worker may have been first */

    if (perm_recorder_update(recorder, natural, tuple, hash, now)) {
        return NGX_OK;
    }

    do {
        if (perm_slots_find_room(natural, hash, perm_recorder_kind, recorder,
                                 now, 0, &place)
            != NGX_OK)
        {
            return NGX_DECLINED;
        }

        n = perm_slots_number(&place);

    } while (!perm_recorder_free(recorder, n));

    /* the version is odd: nobody else touches the slot */

    __atomic_store_n(&place.class->tags[place.i], perm_slots_tag(hash),
                     __ATOMIC_RELAXED);

    perm_tuple_put(perm_recorder_names(&place), tuple);

    version = perm_recorder_version(recorder->words[n]) + 1;

    __atomic_store_n(&recorder->acked[n], perm_recorder_word(version, 0),
                     __ATOMIC_RELAXED);
    __atomic_store_n(&recorder->since[n], now, __ATOMIC_RELAXED);

    /* orders: the slot before its version, which is even again */
    __atomic_store_n(&recorder->words[n], perm_recorder_word(version, now),
                     __ATOMIC_RELEASE);

    (void) ngx_atomic_fetch_add(&recorder->recorded, 1);

    return NGX_OK;
}


/*
 * A pending access makes no room.  An acknowledged one is dear, since a known
 * tuple costs less to record again.
 */

static perm_slots_kind_t
perm_recorder_kind(void *table, perm_slots_place_t *place, uint32_t *stamp)
{
    uint32_t          n;
    uint64_t          word;
    perm_recorder_t  *recorder;

    recorder = table;
    n = perm_slots_number(place);

    /* perm_recorder_free() looks again */

    word = __atomic_load_n(&recorder->words[n], __ATOMIC_RELAXED);

    if (word == 0 || (perm_recorder_version(word) & 1)) {
        return PERM_SLOTS_FREE;
    }

    if (__atomic_load_n(&recorder->acked[n], __ATOMIC_RELAXED) < word) {
        return PERM_SLOTS_KEPT;
    }

    *stamp = perm_recorder_second(word);

    return PERM_SLOTS_DEAR;
}


/* makes the version odd; 0: a newer second has come in meanwhile */

static ngx_uint_t
perm_recorder_free(perm_recorder_t *recorder, uint32_t n)
{
    uint64_t  word, odd, acked;

    word = __atomic_load_n(&recorder->words[n], __ATOMIC_RELAXED);
    odd = word | perm_recorder_word(1, 0);
    acked = __atomic_load_n(&recorder->acked[n], __ATOMIC_RELAXED);

    /* orders: only this word */

    if (odd != word
        && (acked < word
            || !__atomic_compare_exchange_n(&recorder->words[n], &word, odd, 0,
                                            __ATOMIC_SEQ_CST,
                                            __ATOMIC_RELAXED)))
    {
        return 0;
    }

    /* also for the version of a writer that died, and after others compared */

    /* orders: the odd version before the slot */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);

    return 1;
}


ngx_uint_t
perm_recorder_take(perm_recorder_t *recorder, ngx_uint_t *cursor,
    perm_recorder_access_t *accesses, ngx_uint_t n)
{
    return perm_recorder_walk(recorder, cursor, accesses, n, 0);
}


static ngx_uint_t
perm_recorder_walk(perm_recorder_t *recorder, ngx_uint_t *cursor,
    perm_recorder_access_t *accesses, ngx_uint_t n, time_t from)
{
    ngx_uint_t  end, taken, walked;

    taken = 0;
    end = perm_slots_total(recorder->classes);

    for (walked = 0; walked < PERM_RECORDER_WALK && taken < n; walked++) {

        if (*cursor < end
            && perm_recorder_copy(recorder, *cursor, from, &accesses[taken]))
        {
            taken++;
        }

        if (++*cursor >= end) {
            *cursor = 0;
            break;
        }
    }

    return taken;
}


static ngx_uint_t
perm_recorder_pending(perm_recorder_t *recorder, ngx_uint_t n, uint64_t *word)
{
    /* orders: the version before the names */
    *word = __atomic_load_n(&recorder->words[n], __ATOMIC_ACQUIRE);

    return *word > __atomic_load_n(&recorder->acked[n], __ATOMIC_RELAXED)
           && !(perm_recorder_version(*word) & 1);
}


/* 0: nothing is pending there */

static ngx_uint_t
perm_recorder_copy(perm_recorder_t *recorder, ngx_uint_t n, time_t from,
    perm_recorder_access_t *access)
{
    uint64_t            word;
    perm_slots_place_t  place;

    if (!perm_recorder_pending(recorder, n, &word)
        || (time_t) perm_recorder_second(word) < from)
    {
        return 0;
    }

    place = perm_slots_place(recorder->classes, n);

    if (perm_tuple_copy(&access->tuple, access->names,
                        perm_recorder_names(&place), place.class->names_max)
        != NGX_OK)
    {
        return 0;
    }

    access->slot = n;
    access->version = perm_recorder_version(word);
    access->last = perm_recorder_second(word);

    /* orders: the names before the version */
    __atomic_thread_fence(__ATOMIC_ACQUIRE);

    word = __atomic_load_n(&recorder->words[n], __ATOMIC_RELAXED);

    return perm_recorder_version(word) == access->version;
}


void
perm_recorder_move(perm_recorder_t *recorder, ngx_uint_t *cursor,
    perm_recorder_t *to, uint64_t seed, time_t from)
{
    ngx_uint_t               i, n;
    perm_recorder_access_t  *access, accesses[PERM_RECORDER_MOVED];

    n = perm_recorder_walk(recorder, cursor, accesses, PERM_RECORDER_MOVED,
                           from);

    for (i = 0; i < n; i++) {
        access = &accesses[i];

        (void) perm_recorder_record(to, &access->tuple,
                                    perm_tuple_hash(&access->tuple, seed),
                                    access->last);

        if (from) {
            perm_recorder_flushed(recorder, access->slot, access->version,
                                  access->last);
        }
    }
}


void
perm_recorder_flushed(perm_recorder_t *recorder, ngx_uint_t slot,
    uint32_t version, time_t last)
{
    uint64_t  acked, word, flushed;

    flushed = perm_recorder_word(version, last);
    acked = __atomic_load_n(&recorder->acked[slot], __ATOMIC_RELAXED);

    do {
        if (perm_recorder_version(acked) != version || acked >= flushed) {
            return;
        }

    } while (!__atomic_compare_exchange_n(&recorder->acked[slot], &acked,
                                          flushed, 0, __ATOMIC_RELAXED,
                                          __ATOMIC_RELAXED));

    (void) ngx_atomic_fetch_add(&recorder->flushed, 1);

    word = __atomic_load_n(&recorder->words[slot], __ATOMIC_RELAXED);

    if (word > flushed) {
        __atomic_store_n(&recorder->since[slot], perm_recorder_second(word),
                         __ATOMIC_RELAXED);
    }
}


void
perm_recorder_clamp(perm_recorder_t *recorder, ngx_uint_t slot,
    uint32_t version, time_t last, time_t written)
{
    uint64_t  word;

    word = perm_recorder_word(version, last);

    /* orders: only this word */
    (void) __atomic_compare_exchange_n(&recorder->words[slot], &word,
                                       perm_recorder_word(version, written),
                                       0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}


ngx_uint_t
perm_recorder_dropped(perm_recorder_t *recorder)
{
    return recorder->dropped;
}


void
perm_recorder_stat(perm_recorder_t *recorder, perm_recorder_stat_t *stat)
{
    time_t      since;
    uint64_t    word;
    ngx_uint_t  n;

    ngx_memzero(stat, sizeof(perm_recorder_stat_t));

    stat->recorded = recorder->recorded;
    stat->flushed = recorder->flushed;
    stat->dropped = recorder->dropped;
    stat->capacity = perm_slots_total(recorder->classes);

    for (n = 0; n < stat->capacity; n++) {

        if (!perm_recorder_pending(recorder, n, &word)) {
            continue;
        }

        since = __atomic_load_n(&recorder->since[n], __ATOMIC_RELAXED);

        if (stat->oldest == 0 || since < stat->oldest) {
            stat->oldest = since;
        }

        stat->pending++;
    }
}
