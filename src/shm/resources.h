
/*
 * The last policy of each (gateway, resource), and how many requests were
 * allowed and refused there, or would be refused without dry run.
 */


#ifndef _PERM_SHM_RESOURCES_H_INCLUDED_
#define _PERM_SHM_RESOURCES_H_INCLUDED_


#include "core/decision.h"
#include "shm/records.h"


#define PERM_RESOURCES_MAX  256   /* records */


typedef struct {
    perm_record_t   record;     /* without an app */
    ngx_atomic_t    policy;     /* perm_policy_t of the last request noted */
    ngx_atomic_t    dry_run;    /* likewise: 1 with dry run on */
    ngx_atomic_t    allowed;    /* about, since hits are sampled */
    ngx_atomic_t    sampled;    /* of these: hits of the sample, not weighted */
    ngx_atomic_t    denied;
    ngx_atomic_t    failed;
    ngx_atomic_t    would_deny;
} perm_resource_entry_t;


/*
 * Notes a request that stands for "weight" ones: more than 1 for a hit of the
 * sample.  "dry_run" is the location's.  A resource keeps its place until the
 * zone ends.  Refused requests fill no more than half of the places, since a
 * variable may take the name from the request.  Names that are not valid are
 * left out.  It takes no lock for a known resource, and never waits.
 */

void perm_resources_note(perm_records_t *records, perm_tuple_t *tuple,
    perm_policy_t policy, ngx_uint_t dry_run, perm_outcome_t outcome,
    ngx_uint_t weight, time_t now);

/*
 * Copies out the list, the most refused first, into
 * entries[PERM_RESOURCES_MAX]; returns how many.
 */

ngx_uint_t perm_resources_list(perm_records_t *records,
    perm_resource_entry_t *entries);


#endif /* _PERM_SHM_RESOURCES_H_INCLUDED_ */
