
/*
 * A counter of changes of the keys in one hash slot, and what it was at the
 * last mark.
 */


#ifndef _PERM_SHM_CHANGE_H_INCLUDED_
#define _PERM_SHM_CHANGE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


typedef struct {
    uint32_t             count;
    uint32_t             marked;         /* the count at the mark */
} perm_change_t;


/*
 * A change that is before the mark is seen before it.  A worker that was
 * stopped in here does not take back a later mark.
 */

static ngx_inline void
perm_change_mark(perm_change_t *change)
{
    uint32_t  count, marked;

    /* orders: the last mark before the count */
    marked = __atomic_load_n(&change->marked, __ATOMIC_ACQUIRE);

    do {
        count = __atomic_load_n(&change->count, __ATOMIC_RELAXED);

        /* orders: the count before its mark */

    } while (!__atomic_compare_exchange_n(&change->marked, &marked, count, 0,
                                          __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
}


#endif /* _PERM_SHM_CHANGE_H_INCLUDED_ */
