
/*
 * A duty that one worker at a time has, in shared memory: another takes over
 * when its holder dies or stops renewing it.
 */


#ifndef _PERM_SHM_LEASE_H_INCLUDED_
#define _PERM_SHM_LEASE_H_INCLUDED_


#include "shm/process.h"


/*
 * One word has the holder and the end, so that a lease is taken in one step:
 * the lower bits are a perm_process_t, the upper ones the lower bits of the
 * time (ms, monotonic) at which it ends.  0: nobody has it.
 */

typedef struct {
    uint64_t    word;
} perm_lease_t;


#define PERM_LEASE_RENEW  200    /* ms: how often to call perm_lease_hold() */
#define PERM_LEASE_TERM   2000   /* ms: a living but silent holder loses it */


/*
 * Takes or renews the lease.  Returns 1 if this process holds it.  The lease of
 * a dead holder is free at once.  A holder that slept through its term may go
 * on until its next call: a duty must do no harm if two workers have it for
 * that long.
 */

ngx_uint_t perm_lease_hold(perm_lease_t *lease, ngx_msec_t now);

/* if this process holds it */

void perm_lease_release(perm_lease_t *lease);

/* 1: a process that lives holds it */

ngx_uint_t perm_lease_held(perm_lease_t *lease, ngx_msec_t now);


#endif /* _PERM_SHM_LEASE_H_INCLUDED_ */
