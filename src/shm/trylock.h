
/*
 * A lock for writers that never wait, and sequence numbers for readers that
 * take no lock.
 */


#ifndef _PERM_SHM_TRYLOCK_H_INCLUDED_
#define _PERM_SHM_TRYLOCK_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "shm/process.h"


typedef struct {
    perm_process_t  holder;    /* the worker that writes, or 0; atomic */
} perm_trylock_t;


/*
 * Returns 1 when the caller may write, 0 when another worker has the lock and
 * keeps it for more than about a microsecond.  The lock of a dead worker is
 * taken over, also when another process has its pid.
 */

ngx_uint_t perm_trylock_enter(perm_trylock_t *lock);
void perm_trylock_leave(perm_trylock_t *lock);


/*
 * A record's sequence number is odd while it is being written.  If the holder
 * of the lock finds an odd one, the worker that wrote the record died.
 */

static ngx_inline void
perm_trylock_write(ngx_atomic_t *sequence)
{
    __atomic_store_n(sequence, *sequence | 1, __ATOMIC_RELAXED);

    /* orders: the odd number before the record */
    __atomic_thread_fence(__ATOMIC_RELEASE);
}


static ngx_inline void
perm_trylock_written(ngx_atomic_t *sequence)
{
    /* orders: the record before the even number */
    __atomic_store_n(sequence, *sequence + 1, __ATOMIC_RELEASE);
}


/*
 * Copies a record of "size" bytes with its sequence number.  Returns NGX_OK, or
 * NGX_BUSY when the record was being written all the time.
 */

ngx_int_t perm_trylock_read(void *copy, void *record, size_t size,
    ngx_atomic_t *sequence);


#endif /* _PERM_SHM_TRYLOCK_H_INCLUDED_ */
