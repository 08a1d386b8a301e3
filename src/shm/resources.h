
/*
 * What happens at each (gateway, resource), in bounded shared memory: its
 * policy as last seen, what was allowed and refused, what dry run would
 * refuse.
 */


#ifndef _PERM_SHM_RESOURCES_H_INCLUDED_
#define _PERM_SHM_RESOURCES_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "core/decision.h"
#include "shm/names.h"


#define PERM_RESOURCES_MAX  256


typedef struct perm_resources_s  perm_resources_t;


typedef struct {
    perm_tuple_t    tuple;     /* into names; no app */
    perm_policy_t   policy;    /* of the last call noted */
    ngx_uint_t      dry_run;   /* likewise: 1 with dry run on */
    ngx_uint_t      allowed;   /* hits and "open" are sampled, so about */
    ngx_uint_t      denied;
    ngx_uint_t      failed;
    ngx_uint_t      would_deny;
    time_t          first;     /* unix seconds */
    time_t          last;
    perm_names_t    names;
} perm_resource_entry_t;


/*
 * Up to "entries", fewer in a small zone.  NULL when there is no room.
 */
perm_resources_t *perm_resources_create(ngx_slab_pool_t *shpool,
    ngx_uint_t entries);

/*
 * To be called for "weight" calls at a time: 1 for a call that was not
 * allowed or not a hit; hits and "open" calls may be sampled.  "dry_run": the
 * location's.  A resource keeps its place until the zone ends; refused calls
 * alone fill no more than half of the places, since a variable may take the
 * name from the request.  Takes no lock for a known resource, never waits.
 */
void perm_resources_note(perm_resources_t *resources, perm_tuple_t *tuple,
    perm_policy_t policy, ngx_uint_t dry_run, perm_outcome_t outcome,
    ngx_uint_t weight, time_t now);

/*
 * Copies them out, most refused or would-be refused first, up to n; returns
 * how many.  Takes no lock.  The calls point into the entries.
 */
ngx_uint_t perm_resources_list(perm_resources_t *resources,
    perm_resource_entry_t *entries, ngx_uint_t n);


#endif /* _PERM_SHM_RESOURCES_H_INCLUDED_ */
