
#include "shm/recorder_priv.h"


#define PERM_RECORDER_WALK  65536   /* slots a call */


static ngx_int_t perm_recorder_copy(perm_recorder_t *recorder, uint32_t n,
    perm_recorder_access_t *access);


ngx_uint_t
perm_recorder_take(perm_recorder_t *recorder, ngx_uint_t *cursor,
    perm_recorder_access_t *accesses, ngx_uint_t n)
{
    uint32_t    end;
    ngx_uint_t  taken, walked;

    taken = 0;
    end = perm_slots_total(recorder->classes);

    for (walked = 0; walked < PERM_RECORDER_WALK && taken < n; walked++) {

        if (*cursor >= end) {
            *cursor = 0;
            break;
        }

        if (perm_recorder_copy(recorder, (uint32_t) *cursor, &accesses[taken])
            == NGX_OK)
        {
            accesses[taken].slot = *cursor;
            taken++;
        }

        (*cursor)++;

        if (*cursor == end) {
            *cursor = 0;
            break;
        }
    }

    return taken;
}


/* NGX_DECLINED: nothing is pending there */

static ngx_int_t
perm_recorder_copy(perm_recorder_t *recorder, uint32_t n,
    perm_recorder_access_t *access)
{
    uint64_t             word;
    perm_slots_class_t  *class;

    word = __atomic_load_n(&recorder->words[n], __ATOMIC_ACQUIRE);

    if (word <= __atomic_load_n(&recorder->acked[n], __ATOMIC_RELAXED)
        || (perm_recorder_version(word) & 1))
    {
        return NGX_DECLINED;
    }

    class = perm_slots_class(recorder->classes, n);

    if (perm_tuple_copy(&access->tuple, access->names,
                        perm_recorder_names(class, n - class->first),
                        class->names_max)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    access->version = perm_recorder_version(word);
    access->last = perm_recorder_second(word);

    __atomic_thread_fence(__ATOMIC_ACQUIRE);

    word = __atomic_load_n(&recorder->words[n], __ATOMIC_RELAXED);

    return (perm_recorder_version(word) == access->version) ? NGX_OK
                                                             : NGX_DECLINED;
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
                                          flushed, 0, __ATOMIC_RELEASE,
                                          __ATOMIC_RELAXED));

    (void) ngx_atomic_fetch_add(&recorder->flushed, 1);

    word = __atomic_load_n(&recorder->words[slot], __ATOMIC_RELAXED);

    if (word > flushed) {
        __atomic_store_n(&recorder->since[slot], perm_recorder_second(word),
                         __ATOMIC_RELAXED);
    }
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

    stat->recorded = recorder->recorded;
    stat->flushed = recorder->flushed;
    stat->dropped = recorder->dropped;
    stat->pending = 0;
    stat->capacity = perm_slots_total(recorder->classes);
    stat->oldest = 0;

    for (n = 0; n < stat->capacity; n++) {
        word = __atomic_load_n(&recorder->words[n], __ATOMIC_RELAXED);

        if (word <= __atomic_load_n(&recorder->acked[n], __ATOMIC_RELAXED)
            || (perm_recorder_version(word) & 1))
        {
            continue;
        }

        since = __atomic_load_n(&recorder->since[n], __ATOMIC_RELAXED);

        if (stat->oldest == 0 || since < stat->oldest) {
            stat->oldest = since;
        }

        stat->pending++;
    }
}
