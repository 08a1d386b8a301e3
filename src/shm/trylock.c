
#include "shm/trylock.h"


#define PERM_TRYLOCK_SPINS  16
#define PERM_TRYLOCK_READS  8


static ngx_uint_t perm_trylock_dead(ngx_atomic_uint_t holder);


ngx_uint_t
perm_trylock_enter(perm_trylock_t *lock)
{
    ngx_uint_t         i;
    ngx_atomic_uint_t  holder;

    for (i = 0; i < PERM_TRYLOCK_SPINS; i++) {

        if (lock->holder == 0
            && ngx_atomic_cmp_set(&lock->holder, 0, ngx_pid))
        {
            return 1;
        }

        ngx_cpu_pause();
    }

    holder = lock->holder;

    /* own pid: that of a dead process, since this one does not hold it */

    if (holder == (ngx_atomic_uint_t) ngx_pid
        || (holder != 0 && perm_trylock_dead(holder)))
    {
        return ngx_atomic_cmp_set(&lock->holder, holder, ngx_pid);
    }

    return 0;
}


/* a system call: at most one a second for a worker that is turned away */

static ngx_uint_t
perm_trylock_dead(ngx_atomic_uint_t holder)
{
    static time_t  asked;

    if (asked == ngx_time()) {
        return 0;
    }

    asked = ngx_time();

    return kill((ngx_pid_t) holder, 0) == -1 && ngx_errno == NGX_ESRCH;
}


void
perm_trylock_leave(perm_trylock_t *lock)
{
    (void) ngx_atomic_cmp_set(&lock->holder, ngx_pid, 0);
}


ngx_int_t
perm_trylock_read(void *copy, void *record, size_t size, ngx_atomic_t *sequence)
{
    ngx_uint_t         i;
    ngx_atomic_uint_t  before;

    for (i = 0; i < PERM_TRYLOCK_READS; i++) {

        /* the sequence number before the record */
        before = __atomic_load_n(sequence, __ATOMIC_ACQUIRE);

        if ((before & 1) == 0) {
            ngx_memcpy(copy, record, size);

            /* the record before the sequence number */
            __atomic_thread_fence(__ATOMIC_ACQUIRE);

            if (__atomic_load_n(sequence, __ATOMIC_RELAXED) == before) {
                return NGX_OK;
            }
        }

        ngx_cpu_pause();
    }

    return NGX_BUSY;
}
