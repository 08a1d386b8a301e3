
/*
 * Who is refused most, and would be refused by dry run: a Space-Saving sketch
 * (Metwally, Agrawal, El Abbadi, 2005) of (gateway, resource, app, reason).
 *
 * Of N requests counted in n records, each that came more than N / n times is
 * in the list, and no count is too large by more than N / n.  Reasons that any
 * stranger can bring about have three quarters of the records for themselves,
 * so that made-up apps push out no app whose grant has ended.
 */


#ifndef _PERM_SHM_HEAVY_HITTERS_H_INCLUDED_
#define _PERM_SHM_HEAVY_HITTERS_H_INCLUDED_


#include "core/decision.h"
#include "shm/records.h"


#define PERM_HEAVY_HITTERS_MAX  256   /* records */


typedef struct {
    perm_record_t   record;    /* its kind is the reason; an invalid or absent
                                  app has len 0 */
    ngx_uint_t      count;     /* never too small, but for requests while
                                  another worker held the lock */
    ngx_uint_t      error;     /* by how much it may be too large */
} perm_heavy_hitters_entry_t;


/*
 * Never waits: while another worker holds the lock, the request is not counted
 * here (the counters of the status have it).  Nor is it with a gateway or
 * resource that is no valid name.
 */

void perm_heavy_hitters_add(perm_records_t *records, perm_tuple_t *tuple,
    perm_reason_t reason, time_t now);

/*
 * Copies the list out, in the order of count less error; returns how many.
 * Room for PERM_HEAVY_HITTERS_MAX.
 */

ngx_uint_t perm_heavy_hitters_list(perm_records_t *records,
    perm_heavy_hitters_entry_t *entries);


#endif /* _PERM_SHM_HEAVY_HITTERS_H_INCLUDED_ */
