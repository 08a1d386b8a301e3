
/*
 * The epoch of the cache: an entry is trusted while the word is what it was
 * when its lookup was sent.
 *
 * The upper bits move when changes may have been missed, and nothing that is
 * older is trusted again.  The lower bits are not 0 while trust is suspended:
 * something may have happened to all entries, and whether it did is being
 * asked.  Entries have lower bits of 0, so that none is trusted meanwhile, and
 * readers have one word to compare.  Those of before are trusted again when the
 * answer is that nothing happened.
 */


#ifndef _PERM_SHM_EPOCH_H_INCLUDED_
#define _PERM_SHM_EPOCH_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


typedef uint32_t  perm_epoch_t;


#define PERM_EPOCH_STEP  0x100

/* of an entry */

#define perm_epoch_base(word)       ((word) & ~(perm_epoch_t) 0xff)
#define perm_epoch_suspended(word)  ((word) & 0xff)


/* after it, what is read is as new */

static ngx_inline perm_epoch_t
perm_epoch_seen(perm_epoch_t *epoch)
{
    return __atomic_load_n(epoch, __ATOMIC_SEQ_CST);
}


/* to the next epoch, which is not suspended */

static ngx_inline void
perm_epoch_move(perm_epoch_t *epoch)
{
    perm_epoch_t  word;

    word = __atomic_load_n(epoch, __ATOMIC_SEQ_CST);

    while (!__atomic_compare_exchange_n(epoch, &word,
                                        perm_epoch_base(word)
                                        + PERM_EPOCH_STEP,
                                        0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
    {
        /* void */
    }
}


/*
 * Whoever suspends asks.  perm_epoch_resume() does nothing when the word is not
 * "seen" any more: it was moved, or suspended once more, since the caller read
 * it.  A resumption between these two goes unseen; the answer to the second
 * suspension is as late then as if the push had been.
 */

static ngx_inline void
perm_epoch_suspend(perm_epoch_t *epoch)
{
    perm_epoch_t  word, next;

    word = __atomic_load_n(epoch, __ATOMIC_SEQ_CST);

    do {
        next = perm_epoch_base(word) | (uint8_t) (word + 1);

        if (!perm_epoch_suspended(next)) {
            next++;
        }

    } while (!__atomic_compare_exchange_n(epoch, &word, next, 0,
                                          __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
}


static ngx_inline void
perm_epoch_resume(perm_epoch_t *epoch, perm_epoch_t seen)
{
    (void) __atomic_compare_exchange_n(epoch, &seen, perm_epoch_base(seen), 0,
                                       __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}


#endif /* _PERM_SHM_EPOCH_H_INCLUDED_ */
