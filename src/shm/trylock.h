
/*
 * Writers that never wait and readers that take no lock, for the small tables
 * of statistics in shared memory.
 */


#ifndef _PERM_SHM_TRYLOCK_H_INCLUDED_
#define _PERM_SHM_TRYLOCK_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* one writer at a time; 0, or the pid of the worker that is writing */

typedef struct {
    ngx_atomic_t    holder;
} perm_trylock_t;


/*
 * Returns 1 when the caller may write, 0 when another worker is at it and did
 * not finish within about a microsecond: whatever was to be written is to be
 * left out then.  A dead worker's guard is taken over.
 */
ngx_uint_t perm_trylock_enter(perm_trylock_t *guard);
void perm_trylock_leave(perm_trylock_t *guard);


/*
 * A record's sequence number is odd while it is being written.  One that is
 * odd for somebody who holds the guard was left by a worker that died.
 */

static ngx_inline ngx_uint_t
perm_trylock_torn(ngx_atomic_t *sequence)
{
    return *sequence & 1;
}


static ngx_inline void
perm_trylock_write(ngx_atomic_t *sequence)
{
    __atomic_store_n(sequence, *sequence | 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
}


static ngx_inline void
perm_trylock_written(ngx_atomic_t *sequence)
{
    __atomic_store_n(sequence, *sequence + 1, __ATOMIC_RELEASE);
}


/*
 * Copies a record of "size" bytes, whose sequence number is in it.  Returns
 * NGX_OK, or NGX_BUSY when it was being written all the time.
 */
ngx_int_t perm_trylock_read(void *copy, void *record, size_t size,
    ngx_atomic_t *sequence);


#endif /* _PERM_SHM_TRYLOCK_H_INCLUDED_ */
