
#include "shm/lease.h"


#define PERM_LEASE_HOLDER    (((uint64_t) 1 << PERM_PROCESS_BITS) - 1)
#define PERM_LEASE_TIME_MAX  (UINT64_MAX >> PERM_PROCESS_BITS)    /* ms */

#define perm_lease_word(holder, until)                                        \
    ((holder) | (uint64_t) (until) << PERM_PROCESS_BITS)


static ngx_uint_t perm_lease_live(uint64_t word, ngx_msec_t now);


ngx_uint_t
perm_lease_hold(perm_lease_t *lease, ngx_msec_t now)
{
    uint64_t        word;
    perm_process_t  self;

    self = perm_process_self();

    /* orders: only this word */
    word = __atomic_load_n(&lease->word, __ATOMIC_ACQUIRE);

    if ((word & PERM_LEASE_HOLDER) != self && perm_lease_live(word, now)) {
        return 0;
    }

    /* of all that saw this word, one gets through */

    /* orders: the former holder's work before its successor's */

    return __atomic_compare_exchange_n(&lease->word, &word,
                                  perm_lease_word(self, now + PERM_LEASE_TERM),
                                  0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}


void
perm_lease_release(perm_lease_t *lease)
{
    uint64_t  word;

    /* orders: only this word */
    word = __atomic_load_n(&lease->word, __ATOMIC_ACQUIRE);

    if ((word & PERM_LEASE_HOLDER) == perm_process_self()) {

        /* orders: the holder's work before its end */
        (void) __atomic_compare_exchange_n(&lease->word, &word, 0, 0,
                                           __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    }
}


ngx_uint_t
perm_lease_held(perm_lease_t *lease, ngx_msec_t now)
{
    /* orders: only this word */
    return perm_lease_live(__atomic_load_n(&lease->word, __ATOMIC_ACQUIRE),
                           now);
}


/*
 * The clock of another worker may be ahead by a little, and a lease that ended
 * long ago is not taken for one of the future when the bits of the time wrap.
 */

static ngx_uint_t
perm_lease_live(uint64_t word, ngx_msec_t now)
{
    uint64_t  left;

    left = ((word >> PERM_PROCESS_BITS) - (uint64_t) now)
           & PERM_LEASE_TIME_MAX;

    return word != 0
           && left > 0
           && left <= 2 * PERM_LEASE_TERM
           && !perm_process_dead(word & PERM_LEASE_HOLDER);
}
