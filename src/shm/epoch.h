
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


typedef struct {
    perm_epoch_t  word;
    uint32_t      suspensions;   /* so far */
} perm_epoch_shared_t;


#define PERM_EPOCH_STEP  0x100

/* of an entry */

#define perm_epoch_base(word)       ((word) & ~(perm_epoch_t) 0xff)
#define perm_epoch_suspended(word)  ((word) & 0xff)


static ngx_inline perm_epoch_t
perm_epoch_seen(perm_epoch_shared_t *epoch)
{
    /* orders: the word before the question */
    return __atomic_load_n(&epoch->word, __ATOMIC_SEQ_CST);
}


/* to the next epoch, which is not suspended */

static ngx_inline void
perm_epoch_move(perm_epoch_shared_t *epoch)
{
    perm_epoch_t  word;

    word = perm_epoch_seen(epoch);

    /* orders: the gap before the next epoch */

    while (!__atomic_compare_exchange_n(&epoch->word, &word,
                                        perm_epoch_base(word)
                                        + PERM_EPOCH_STEP,
                                        0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
    {
        /* void */
    }
}


/*
 * Whoever suspends asks after that, and reads the word before it asks.  So the
 * answer is newer than all that was suspended for by then.
 * perm_epoch_resume() does nothing when the word is not "seen" any more: it was
 * moved, or suspended once more.  Lower bits come back after 255 suspensions,
 * also when trust was resumed between two of them.
 */

static ngx_inline void
perm_epoch_suspend(perm_epoch_shared_t *epoch)
{
    perm_epoch_t  word, suspended;

    /* orders: only this word */
    suspended = __atomic_add_fetch(&epoch->suspensions, 1, __ATOMIC_SEQ_CST)
                % 0xff + 1;

    word = perm_epoch_seen(epoch);

    /* orders: what was pushed before the suspension */

    while (!__atomic_compare_exchange_n(&epoch->word, &word,
                                        perm_epoch_base(word) | suspended,
                                        0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
    {
        /* void */
    }
}


static ngx_inline void
perm_epoch_resume(perm_epoch_shared_t *epoch, perm_epoch_t seen)
{
    /* orders: only this word */
    (void) __atomic_compare_exchange_n(&epoch->word, &seen,
                                       perm_epoch_base(seen), 0,
                                       __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}


#endif /* _PERM_SHM_EPOCH_H_INCLUDED_ */
