
#include "shm/history.h"

#include "shm/trylock.h"


typedef struct {
    ngx_atomic_t           sequence;
    perm_history_point_t   point;
} perm_history_slot_t;


struct perm_history_s {
    ngx_atomic_t           last;       /* unix seconds of the newest claim */
    perm_history_slot_t    slots[PERM_HISTORY_POINTS];
};


perm_history_t *
perm_history_create(ngx_slab_pool_t *shpool)
{
    return ngx_slab_calloc(shpool, sizeof(perm_history_t));
}


ngx_uint_t
perm_history_due(perm_history_t *history, time_t now)
{
    ngx_atomic_uint_t  last;

    now -= now % PERM_HISTORY_STEP;
    last = history->last;

    /* a clock that was set back starts anew */

    return last != (ngx_atomic_uint_t) now
           && ngx_atomic_cmp_set(&history->last, last, now);
}


/* the time says which slot, so that a claim is all the exclusion it takes */

void
perm_history_add(perm_history_t *history, perm_history_point_t *point)
{
    perm_history_slot_t  *slot;

    slot = &history->slots[point->time / PERM_HISTORY_STEP
                           % PERM_HISTORY_POINTS];

    perm_trylock_write(&slot->sequence);
    slot->point = *point;
    perm_trylock_written(&slot->sequence);
}


ngx_uint_t
perm_history_list(perm_history_t *history, time_t now,
    perm_history_point_t *points)
{
    time_t                age, span;
    ngx_uint_t            i, n, newest;
    perm_history_slot_t   slot, *from;

    n = 0;
    span = PERM_HISTORY_STEP * PERM_HISTORY_POINTS;
    newest = now / PERM_HISTORY_STEP;

    for (i = 1; i <= PERM_HISTORY_POINTS; i++) {
        from = &history->slots[(newest + i) % PERM_HISTORY_POINTS];

        if (perm_trylock_read(&slot, from, sizeof(perm_history_slot_t),
                              &from->sequence)
            != NGX_OK)
        {
            continue;
        }

        age = now - slot.point.time;

        if (slot.point.time && age >= 0 && age < span) {
            points[n++] = slot.point;
        }
    }

    return n;
}
