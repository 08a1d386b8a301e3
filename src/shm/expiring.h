
/*
 * Grants in use that end soon, in bounded shared memory: of what passed
 * through, the grant that allowed it.
 */


#ifndef _PERM_SHM_EXPIRING_H_INCLUDED_
#define _PERM_SHM_EXPIRING_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "core/decision.h"
#include "shm/names.h"


#define PERM_EXPIRING_MAX      512   /* grants */
#define PERM_EXPIRING_WINDOWS  4     /* 1, 3, 7 and 15 days */
#define PERM_EXPIRING_DAYS     15


typedef struct perm_expiring_s  perm_expiring_t;


typedef struct {
    perm_tuple_t    tuple;     /* resource "-": a grant on the gateway */
    int64_t         expires;   /* unix seconds */
    time_t          seen;      /* unix seconds, last looked up */
    perm_names_t    names;
} perm_expiring_entry_t;


extern const ngx_uint_t  perm_expiring_days[PERM_EXPIRING_WINDOWS];


/*
 * Up to "entries", fewer in a small zone.  NULL when there is no room.
 */
perm_expiring_t *perm_expiring_create(ngx_slab_pool_t *shpool,
    ngx_uint_t entries);

/* 1 for a live grant that ends within PERM_EXPIRING_DAYS */

ngx_uint_t perm_expiring_soon(int64_t expires, time_t now);

/*
 * A call was decided so, by an answer of Redis, or by a cached one if the
 * grant ends soon: "expires" is that of the decision.  A grant that ends soon
 * is kept, one that was renewed or is gone is taken out.  With no room the one
 * that ends last is left out.  Never waits: when another worker stays at it,
 * nothing is noted until the next call.  "hash" is perm_tuple_hash().
 */
void perm_expiring_note(perm_expiring_t *expiring, perm_tuple_t *tuple,
    uint64_t hash, perm_reason_t reason, int64_t expires, time_t now);

/*
 * How many end within each of perm_expiring_days[] from now.  Returns how
 * many were left out for want of room, since start.  Takes no lock.
 */
ngx_uint_t perm_expiring_count(perm_expiring_t *expiring, time_t now,
    ngx_uint_t counts[PERM_EXPIRING_WINDOWS]);

/*
 * Copies out those that have not ended, soonest first, up to n; returns how
 * many.  Takes no lock.  The calls point into the entries.
 */
ngx_uint_t perm_expiring_list(perm_expiring_t *expiring, time_t now,
    perm_expiring_entry_t *entries, ngx_uint_t n);


#endif /* _PERM_SHM_EXPIRING_H_INCLUDED_ */
