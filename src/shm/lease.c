
#include "shm/lease.h"


/*
 * Only the holder writes "until"; "holder" changes by compare and swap.  A
 * holder that slept through its term may go on until its next renewal: a duty
 * must do no harm if two workers have it for that long.
 */


ngx_uint_t
perm_lease_hold(perm_lease_t *lease, ngx_msec_t now)
{
    ngx_atomic_uint_t  holder;

    holder = lease->holder;

    if (holder != (ngx_atomic_uint_t) ngx_pid) {

        if (holder != 0
            && (ngx_msec_int_t) (now - (ngx_msec_t) lease->until) < 0
            && (kill((ngx_pid_t) holder, 0) == 0 || ngx_errno != NGX_ESRCH))
        {
            return 0;
        }

        if (!ngx_atomic_cmp_set(&lease->holder, holder, ngx_pid)) {
            return 0;
        }
    }

    lease->until = now + PERM_LEASE_TERM;

    return 1;
}


void
perm_lease_release(perm_lease_t *lease)
{
    (void) ngx_atomic_cmp_set(&lease->holder, ngx_pid, 0);
}
