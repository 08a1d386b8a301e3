
/*
 * A duty that one worker at a time has, in shared memory: another takes over
 * when its holder dies or stops renewing it.
 */


#ifndef _PERM_SHM_LEASE_H_INCLUDED_
#define _PERM_SHM_LEASE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


typedef struct {
    ngx_atomic_t    holder;    /* pid, 0: nobody */
    ngx_atomic_t    until;     /* ms, monotonic */
} perm_lease_t;


#define PERM_LEASE_RENEW  200    /* ms: how often to call perm_lease_hold() */
#define PERM_LEASE_TERM   2000   /* ms: a living but silent holder loses it */


/*
 * Takes or renews the lease.  Returns 1 if this process holds it.  The lease of
 * a dead holder is free at once.
 */

ngx_uint_t perm_lease_hold(perm_lease_t *lease, ngx_msec_t now);
void perm_lease_release(perm_lease_t *lease);


#endif /* _PERM_SHM_LEASE_H_INCLUDED_ */
