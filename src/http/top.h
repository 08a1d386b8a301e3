
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


#ifndef _PERM_TOP_H_INCLUDED_
#define _PERM_TOP_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "core/decision.h"
#include "http/names.h"


#define PERM_TOP_MAX  512   /* entries */


typedef struct perm_top_s  perm_top_t;


typedef struct {
    perm_call_t     call;      /* into names; an invalid or absent one of
                                  them has len 0 */
    perm_reason_t   reason;
    ngx_uint_t      count;     /* never too small, but for what was left out
                                  when two workers were at it at once */
    ngx_uint_t      error;     /* by how much it may be too large */
    time_t          first;     /* unix seconds, since it is in the list */
    time_t          last;
    perm_names_t    names;
} perm_top_entry_t;


/*
 * Up to "entries", fewer in a small zone.  NULL when there is no room.
 */
perm_top_t *perm_top_create(ngx_slab_pool_t *shpool, ngx_uint_t entries);

/*
 * Never waits: when another worker stays at it, the call is not counted here
 * (the counters have it).  "hash" is perm_call_hash() of a call that was
 * looked up, else anything.
 */
void perm_top_add(perm_top_t *top, perm_call_t *call, uint64_t hash,
    perm_reason_t reason, time_t now);

/*
 * Copies out the entries, up to n, first those whose count is large for sure,
 * its error taken off; returns how many.  Takes no lock.  The calls point into
 * the entries.
 */
ngx_uint_t perm_top_list(perm_top_t *top, perm_top_entry_t *entries,
    ngx_uint_t n);


#endif /* _PERM_TOP_H_INCLUDED_ */
