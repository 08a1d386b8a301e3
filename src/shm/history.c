
#include "shm/history.h"


ngx_uint_t
perm_history_due(perm_history_t *history, time_t now)
{
    now -= now % PERM_HISTORY_STEP;

    /* a clock that was set back starts a new history */

    if (history->newest == now || !perm_trylock_enter(&history->lock)) {
        return 0;
    }

    if (history->newest == now) {
        perm_trylock_leave(&history->lock);
        return 0;
    }

    history->newest = now;

    return 1;
}


void
perm_history_add(perm_history_t *history, perm_history_point_t *point)
{
    perm_history_slot_t  *slot;

    slot = &history->slots[point->time / PERM_HISTORY_STEP
                           % PERM_HISTORY_POINTS];

    perm_trylock_write(&slot->sequence);
    slot->point = *point;
    perm_trylock_written(&slot->sequence);

    perm_trylock_leave(&history->lock);
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
