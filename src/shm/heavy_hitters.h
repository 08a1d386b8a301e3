
/*
 * The heaviest (gateway, resource, app, reason) among refused and would-be
 * refused calls, in bounded shared memory: a Space-Saving sketch (Metwally,
 * Agrawal, El Abbadi, 2005).
 *
 * Of N calls counted in n entries, each that came more than N / n times is
 * in the list, and no count is too large by more than N / n.  Reasons that
 * any stranger can bring about have three quarters of the entries for
 * themselves, so that made-up apps push out no app whose grant has ended.
 */


#ifndef _PERM_SHM_HEAVY_HITTERS_H_INCLUDED_
#define _PERM_SHM_HEAVY_HITTERS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "core/decision.h"
#include "shm/names.h"


#define PERM_HEAVY_HITTERS_MAX  512   /* entries */


typedef struct perm_heavy_hitters_s  perm_heavy_hitters_t;


typedef struct {
    perm_tuple_t    tuple;     /* into names; an invalid or absent one of
                                  them has len 0 */
    perm_reason_t   reason;
    ngx_uint_t      count;     /* never too small, but for what was left out
                                  when two workers were at it at once */
    ngx_uint_t      error;     /* by how much it may be too large */
    time_t          first;     /* unix seconds, since it is in the list */
    time_t          last;
    perm_names_t    names;
} perm_heavy_hitters_entry_t;


/*
 * Up to "entries", fewer in a small zone.  NULL when there is no room.
 */
perm_heavy_hitters_t *perm_heavy_hitters_create(ngx_slab_pool_t *shpool,
    ngx_uint_t entries);

/*
 * Never waits: when another worker stays at it, the call is not counted here
 * (the counters have it).  "hash" is perm_tuple_hash() of a call that was
 * looked up, else anything.
 */
void perm_heavy_hitters_add(perm_heavy_hitters_t *top, perm_tuple_t *tuple,
    uint64_t hash, perm_reason_t reason, time_t now);

/*
 * Copies out the entries, up to n, first those whose count is large for sure,
 * its error taken off; returns how many.  Takes no lock.  The calls point into
 * the entries.
 */
ngx_uint_t perm_heavy_hitters_list(perm_heavy_hitters_t *top,
    perm_heavy_hitters_entry_t *entries, ngx_uint_t n);


#endif /* _PERM_SHM_HEAVY_HITTERS_H_INCLUDED_ */
