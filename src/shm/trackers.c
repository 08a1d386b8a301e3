
#include "shm/trackers.h"


/* orders: each load in one order with all stores */

#define perm_trackers_load(word)  __atomic_load_n(word, __ATOMIC_SEQ_CST)

/* orders: each store in one order with all loads */

#define perm_trackers_store(word, value)                                      \
    __atomic_store_n(word, value, __ATOMIC_SEQ_CST)

/* orders: counts and epoch before "covered" */

#define perm_trackers_swap(word, was, is)                                     \
    __atomic_compare_exchange_n(word, was, is, 0, __ATOMIC_SEQ_CST,           \
                                __ATOMIC_SEQ_CST)

/* "one" is after "other" */

#define perm_trackers_after(one, other)                                       \
    ((ngx_msec_int_t) ((one) - (other)) > 0)


static ngx_uint_t perm_trackers_find(perm_trackers_t *trackers,
    perm_trackers_slot_t *besides, ngx_uint_t generation, ngx_msec_t covered,
    ngx_msec_t now);
static ngx_uint_t perm_trackers_hears(perm_trackers_slot_t *slot,
    ngx_msec_t from, ngx_msec_t now);


void
perm_trackers_init(perm_trackers_t *trackers, perm_cache_t *cache)
{
    trackers->cache = cache;
    trackers->covered = ngx_current_msec - PERM_TRACKERS_LATE;
    trackers->moved = trackers->covered;
}


ngx_uint_t
perm_trackers_configured(perm_trackers_t *trackers, uint32_t source,
    ngx_uint_t *same)
{
    *same = (trackers->generation == 0
             || perm_trackers_source(trackers, source));
    perm_trackers_store(&trackers->source, source);
    perm_trackers_store(&trackers->refused, PERM_TRACKERS_ACCEPTED);

    /* orders: only this word */
    return ngx_atomic_fetch_add(&trackers->generation, 1) + 1;
}


ngx_uint_t
perm_trackers_source(perm_trackers_t *trackers, uint32_t source)
{
    return perm_trackers_load(&trackers->source) == source;
}


ngx_uint_t
perm_trackers_hold(perm_tracker_t *tracker, ngx_msec_t now)
{
    ngx_uint_t             i;
    perm_trackers_t       *trackers;
    perm_trackers_slot_t  *slots;

    trackers = tracker->trackers;

    if (tracker->slot) {

        if (perm_lease_hold(&tracker->slot->lease, now)) {
            return 1;
        }

        tracker->slot = NULL;
        return 0;
    }

    slots = trackers->slots[tracker->generation % PERM_TRACKERS_GENERATIONS];

    for (i = 0; i < PERM_TRACKERS_EACH; i++) {

        if (perm_lease_hold(&slots[i].lease, now)) {
            tracker->slot = &slots[i];
            perm_trackers_store(&tracker->slot->since, 0);
            return 1;
        }
    }

    return 0;
}


ngx_uint_t
perm_trackers_begin(perm_tracker_t *tracker, ngx_msec_t now)
{
    tracker->since = now;
    perm_trackers_store(&tracker->trackers->refused, PERM_TRACKERS_ACCEPTED);

    return perm_trackers_heard(tracker, now, now);
}


ngx_uint_t
perm_trackers_heard(perm_tracker_t *tracker, ngx_msec_t heard, ngx_msec_t now)
{
    ngx_uint_t         distrusted;
    ngx_msec_t         moved, since;
    ngx_atomic_uint_t  covered;
    perm_trackers_t   *trackers;

    if (tracker->since == 0) {
        return 0;
    }

    if (tracker->slot && tracker->slot->since != tracker->since) {
        perm_trackers_store(&tracker->slot->since, tracker->since);
    }

    trackers = tracker->trackers;
    distrusted = 0;

    covered = perm_trackers_load(&trackers->covered);

    do {
        moved = perm_trackers_load(&trackers->moved);
        since = perm_trackers_after(moved, tracker->since) ? moved
                                                           : tracker->since;

        if (perm_trackers_after(since, heard)
            || !perm_trackers_after(heard, covered))
        {
            break;
        }

        if (!distrusted && perm_trackers_after(since, covered)) {

            if ((ngx_msec_int_t) (now - covered) < PERM_TRACKERS_LATE
                && perm_trackers_find(trackers, tracker->slot, 0, covered,
                                      now))
            {
                break;
            }

            perm_cache_distrust(trackers->cache);
            distrusted = 1;
        }

    } while (!perm_trackers_swap(&trackers->covered, &covered, heard));

    return distrusted;
}


ngx_uint_t
perm_trackers_lost(perm_tracker_t *tracker, ngx_msec_t now)
{
    ngx_msec_t         late;
    ngx_atomic_uint_t  covered;
    perm_trackers_t   *trackers;

    trackers = tracker->trackers;
    late = now - PERM_TRACKERS_LATE;

    tracker->since = 0;

    if (tracker->slot) {
        perm_trackers_store(&tracker->slot->since, 0);
    }

    covered = perm_trackers_load(&trackers->covered);

    do {
        if (perm_trackers_find(trackers, tracker->slot, 0, covered, now)) {
            return 0;
        }

    } while (perm_trackers_after(covered, late)
             && !perm_trackers_swap(&trackers->covered, &covered, late));

    return 1;
}


ngx_uint_t
perm_trackers_release(perm_tracker_t *tracker, ngx_msec_t now)
{
    ngx_uint_t  gap;

    gap = tracker->since ? perm_trackers_lost(tracker, now) : 0;

    if (tracker->slot) {
        perm_lease_release(&tracker->slot->lease);
        tracker->slot = NULL;
    }

    return gap;
}


ngx_uint_t
perm_trackers_former(perm_tracker_t *tracker)
{
    return tracker->generation
           != perm_trackers_load(&tracker->trackers->generation);
}


ngx_uint_t
perm_trackers_relieved(perm_tracker_t *tracker, ngx_msec_t now)
{
    perm_trackers_t  *trackers;

    trackers = tracker->trackers;

    return perm_trackers_former(tracker)
           && perm_trackers_find(trackers, tracker->slot,
                                 perm_trackers_load(&trackers->generation),
                                 perm_trackers_load(&trackers->covered), now);
}


/* "covered" changes in any case: a swap of another worker fails then */

void
perm_trackers_moved(perm_trackers_t *trackers, ngx_msec_t until,
    ngx_msec_t now)
{
    ngx_msec_t         late;
    ngx_atomic_uint_t  moved, covered;

    late = now - PERM_TRACKERS_LATE;
    moved = perm_trackers_load(&trackers->moved);

    while (perm_trackers_after(until, moved)
           && !perm_trackers_swap(&trackers->moved, &moved, until))
    {
        /* void */
    }

    covered = perm_trackers_load(&trackers->covered);

    while (!perm_trackers_swap(&trackers->covered, &covered,
                               perm_trackers_after(covered, late)
                               ? late : covered - 1))
    {
        /* void */
    }
}


void
perm_trackers_ended(perm_trackers_t *trackers, ngx_msec_t opened,
    ngx_msec_t now)
{
    ngx_uint_t             i, k;
    ngx_msec_t             since;
    perm_trackers_slot_t  *slot;

    for (i = 0; i < PERM_TRACKERS_GENERATIONS; i++) {
        for (k = 0; k < PERM_TRACKERS_EACH; k++) {
            slot = &trackers->slots[i][k];
            since = perm_trackers_load(&slot->since);

            if (since != 0 && !perm_trackers_after(opened, since)
                && perm_lease_held(&slot->lease, now))
            {
                perm_trackers_moved(trackers, now, now);
                return;
            }
        }
    }
}


ngx_uint_t
perm_trackers_refuse(perm_trackers_t *trackers,
    perm_trackers_refused_t refused)
{
    ngx_atomic_uint_t  before;

    before = perm_trackers_load(&trackers->refused);

    return before < refused
           && perm_trackers_swap(&trackers->refused, &before, refused);
}


ngx_uint_t
perm_trackers_refused(perm_trackers_t *trackers)
{
    return perm_trackers_load(&trackers->refused) == PERM_TRACKERS_REFUSED;
}


ngx_uint_t
perm_trackers_active(perm_trackers_t *trackers, ngx_msec_t now)
{
    /* whenever it began, also by a clock that is ahead */

    return perm_trackers_find(trackers, NULL, 0, now + PERM_LEASE_TERM, now);
}


ngx_uint_t
perm_trackers_stopped(perm_trackers_t *trackers, ngx_msec_t now)
{
    return !perm_trackers_covered(trackers, now)
           && perm_trackers_after(now, perm_trackers_load(&trackers->moved));
}


int64_t
perm_trackers_gap(perm_trackers_t *trackers, ngx_msec_t now)
{
    if (perm_trackers_refused(trackers)) {
        return INT64_MAX;
    }

    return (now - perm_trackers_load(&trackers->covered) < PERM_TRACKERS_LONG)
           ? PERM_TRACKERS_GAP : PERM_TRACKERS_GAP_LONG;
}


/*
 * 1: a tracker that lives has heard of all changes since "covered".  Only one
 * of that generation counts, if it is not 0.
 */

static ngx_uint_t
perm_trackers_find(perm_trackers_t *trackers, perm_trackers_slot_t *besides,
    ngx_uint_t generation, ngx_msec_t covered, ngx_msec_t now)
{
    ngx_uint_t             i, k;
    perm_trackers_slot_t  *slot;

    for (i = 0; i < PERM_TRACKERS_GENERATIONS; i++) {

        if (generation && i != generation % PERM_TRACKERS_GENERATIONS) {
            continue;
        }

        for (k = 0; k < PERM_TRACKERS_EACH; k++) {
            slot = &trackers->slots[i][k];

            if (slot != besides && perm_trackers_hears(slot, covered, now)) {
                return 1;
            }
        }
    }

    return 0;
}


static ngx_uint_t
perm_trackers_hears(perm_trackers_slot_t *slot, ngx_msec_t from,
    ngx_msec_t now)
{
    ngx_msec_t  since;

    since = perm_trackers_load(&slot->since);

    return since != 0
           && !perm_trackers_after(since, from)
           && perm_lease_held(&slot->lease, now);
}
