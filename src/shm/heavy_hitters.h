
/*
 * The requests that are refused most, or would be without dry run: a
 * Space-Saving sketch (Metwally, Agrawal, El Abbadi, 2005) of (gateway,
 * resource, app, reason).
 *
 * Of N requests counted in n records, each that came more than N / n times is
 * in the list, and no count is too large by more than N / n.  A quarter of the
 * records is for grants that have ended: made-up apps cannot push these out.
 */


#ifndef _PERM_SHM_HEAVY_HITTERS_H_INCLUDED_
#define _PERM_SHM_HEAVY_HITTERS_H_INCLUDED_


#include "core/decision.h"
#include "shm/records.h"


#define PERM_HEAVY_HITTERS_MAX  512   /* records */


typedef struct {
    perm_record_t   record;    /* its kind is the reason; an invalid or absent
                                  app has len 0 */
    ngx_uint_t      count;     /* too small only by requests while another
                                  worker held the lock */
    ngx_uint_t      error;     /* by how much it may be too large */
} perm_heavy_hitters_entry_t;


/* how complete the list is, since start */

typedef struct {
    ngx_uint_t      kept;      /* records in it */
    ngx_uint_t      capacity;  /* records at the most */
    ngx_uint_t      distinct;  /* keys seen */
    ngx_uint_t      exact;     /* 1: that is counted, 0: estimated */
    ngx_uint_t      busy;      /* requests of keys that may not be in it, left
                                  out as another worker held the lock */
} perm_heavy_hitters_stat_t;


/*
 * Counts a request.  It never waits: requests are left out while another worker
 * holds the lock, and those without a valid gateway and resource.
 */

void perm_heavy_hitters_add(perm_records_t *records, perm_tuple_t *tuple,
    perm_reason_t reason, time_t now);

/*
 * Copies out the list, the largest (count - error) first, into
 * entries[PERM_HEAVY_HITTERS_MAX]; returns how many.
 */

ngx_uint_t perm_heavy_hitters_list(perm_records_t *records,
    perm_heavy_hitters_entry_t *entries);

void perm_heavy_hitters_stat(perm_records_t *records,
    perm_heavy_hitters_stat_t *stat);


#endif /* _PERM_SHM_HEAVY_HITTERS_H_INCLUDED_ */
