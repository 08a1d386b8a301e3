
/*
 * The last minutes of the counters: a page that was just opened shows rates,
 * and whether refusals jumped.
 */


#ifndef _PERM_SHM_HISTORY_H_INCLUDED_
#define _PERM_SHM_HISTORY_H_INCLUDED_


#include "core/decision.h"
#include "shm/trylock.h"


#define PERM_HISTORY_STEP    5     /* seconds between two points */
#define PERM_HISTORY_POINTS  132   /* 11 minutes */


/* counters as they stood at that time, all since start */

typedef struct {
    time_t          time;          /* unix seconds */
    ngx_uint_t      allow;
    ngx_uint_t      deny;
    ngx_uint_t      fail;
    ngx_uint_t      would_deny;
    ngx_uint_t      hit;
    ngx_uint_t      miss;
    ngx_uint_t      stale;
    ngx_uint_t      denied[PERM_REASONS];
} perm_history_point_t;


typedef struct {
    ngx_atomic_t           sequence;   /* odd: it is being written */
    perm_history_point_t   point;
} perm_history_slot_t;


/* the time of a point says which slot it has */

typedef struct {
    perm_trylock_t         lock;
    time_t                 newest;     /* unix seconds, whole steps */
    perm_history_slot_t    slots[PERM_HISTORY_POINTS];
} perm_history_t;


/*
 * 1 for one caller in all workers per PERM_HISTORY_STEP: that one adds a point
 * now, and no other can until it did.
 */

ngx_uint_t perm_history_due(perm_history_t *history, time_t now);
void perm_history_add(perm_history_t *history, perm_history_point_t *point);


/*
 * Copies out the points that are not too old, the oldest first, into
 * points[PERM_HISTORY_POINTS]; returns how many.  Takes no lock.
 */

ngx_uint_t perm_history_list(perm_history_t *history, time_t now,
    perm_history_point_t *points);


#endif /* _PERM_SHM_HISTORY_H_INCLUDED_ */
