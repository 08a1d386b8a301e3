
/*
 * The heaviest (gateway, resource, app, reason) among refused and would-be
 * refused calls, in bounded shared memory: a Space-Saving sketch (Metwally,
 * Agrawal, El Abbadi, 2005).
 */


#ifndef _PERM_TOP_H_INCLUDED_
#define _PERM_TOP_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "core/decision.h"


typedef struct perm_top_s  perm_top_t;


typedef struct {
    perm_call_t     call;      /* an invalid or absent app has len 0 */
    perm_reason_t   reason;
    ngx_uint_t      count;     /* never too small */
    ngx_uint_t      error;     /* by how much it may be too large */
    time_t          first;     /* unix seconds, since it is in the list */
    time_t          last;
    char            names[PERM_CALL_MAX];
} perm_top_entry_t;


perm_top_t *perm_top_create(ngx_slab_pool_t *shpool, ngx_uint_t entries);

/* never waits: when another worker is at it, the call is counted later or,
   at worst, not here (the counters have it) */
void perm_top_add(perm_top_t *top, perm_call_t *call, uint64_t hash,
    perm_reason_t reason, time_t now);

/* copies out the entries, heaviest first, up to n; returns how many */
ngx_uint_t perm_top_list(perm_top_t *top, perm_top_entry_t *entries,
    ngx_uint_t n);


#endif /* _PERM_TOP_H_INCLUDED_ */
