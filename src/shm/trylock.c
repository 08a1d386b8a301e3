
#include "shm/trylock.h"


#define PERM_TRYLOCK_SPINS  16
#define PERM_TRYLOCK_READS  8


static ngx_uint_t perm_trylock_take(perm_trylock_t *lock,
    perm_process_t before);
static ngx_uint_t perm_trylock_dead(perm_process_t holder);


ngx_uint_t
perm_trylock_enter(perm_trylock_t *lock)
{
    ngx_uint_t      i;
    perm_process_t  holder;

    holder = 0;

    for (i = 0; i < PERM_TRYLOCK_SPINS; i++) {

        holder = __atomic_load_n(&lock->holder, __ATOMIC_RELAXED);

        if (holder == 0 && perm_trylock_take(lock, 0)) {
            return 1;
        }

        ngx_cpu_pause();
    }

    /* this process does not hold it: a dead one was just like it */

    return holder != 0
           && (holder == perm_process_self() || perm_trylock_dead(holder))
           && perm_trylock_take(lock, holder);
}


static ngx_uint_t
perm_trylock_take(perm_trylock_t *lock, perm_process_t before)
{
    /* orders: the lock before the records */
    return __atomic_compare_exchange_n(&lock->holder, &before,
                                       perm_process_self(), 0,
                                       __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}


/* system calls: at most once a second for a worker that is turned away */

static ngx_uint_t
perm_trylock_dead(perm_process_t holder)
{
    static time_t  asked;

    if (asked == ngx_time()) {
        return 0;
    }

    asked = ngx_time();

    return perm_process_dead(holder);
}


void
perm_trylock_leave(perm_trylock_t *lock)
{
    perm_process_t  self;

    self = perm_process_self();

    /* orders: the records before the end of the lock */
    (void) __atomic_compare_exchange_n(&lock->holder, &self, 0, 0,
                                       __ATOMIC_RELEASE, __ATOMIC_RELAXED);
}


ngx_int_t
perm_trylock_read(void *copy, void *record, size_t size, ngx_atomic_t *sequence)
{
    ngx_uint_t         i;
    ngx_atomic_uint_t  before;

    for (i = 0; i < PERM_TRYLOCK_READS; i++) {

        /* orders: the sequence number before the record */
        before = __atomic_load_n(sequence, __ATOMIC_ACQUIRE);

        if ((before & 1) == 0) {
            ngx_memcpy(copy, record, size);

            /* orders: the record before the sequence number */
            __atomic_thread_fence(__ATOMIC_ACQUIRE);

            if (__atomic_load_n(sequence, __ATOMIC_RELAXED) == before) {
                return NGX_OK;
            }
        }

        ngx_cpu_pause();
    }

    return NGX_BUSY;
}
