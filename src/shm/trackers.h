
/*
 * The workers that Redis pushes changes to, and up to when all changes are
 * known.  Two workers track at the same time, where there are two, so that
 * nothing is missed when one of them ends, is killed or is stopped.
 *
 * One word is what the others trust, "covered": each change that was made
 * before that time has been counted in the cache, or the cache was distrusted
 * after it.  A tracker sends PING where changes are pushed to it, and where it
 * is tracked.  When both are answered, it has counted each change that was made
 * before they were sent, and after its tracking began, its "since".  So it may
 * move "covered" from c to the time of those PINGs in two ways:
 *
 *   since <= c   It has heard of all changes from c on: nothing is distrusted.
 *   since > c    Changes between c and since may be missed: the cache is
 *                distrusted first.  It leaves that to a tracker that has heard
 *                of them, if there is one that lives and is not late.
 *
 * Changes are counted, or the cache is distrusted, before the compare and swap
 * that moves "covered", and a reader loads "covered" before an entry and the
 * counters.  So it never trusts an entry by a "covered" that is newer than
 * them.  The swap is from the very value that the decision was made for:
 *
 * - Two trackers lose their connections at the same moment.  Each clears its
 *   "since" and then looks for others.  One of them at least finds none, and
 *   moves "covered" back, so that nothing is trusted from then on.
 * - One is lost while another begins.  Whichever comes first, "since" of the
 *   new one is after "covered", which only the lost one could move: the new
 *   one distrusts the cache before it moves it.  If the new one comes between
 *   the look and the swap of the lost one, that swap fails, and it looks again.
 * - A tracker is killed between two stores.  After distrusting, the cache is
 *   distrusted once more than needed.  After clearing "since", or anywhere
 *   else, "covered" stays where it is, and is late 500 ms after it.
 * - A tracker sleeps.  It does not move "covered", which gets late when no
 *   other tracker does.  When it is back, it counts what was pushed meanwhile
 *   before the answers to its PINGs.  Nothing was missed or is distrusted.
 * - The masters move.  "moved" is stored before "covered" goes back, and is
 *   read after "covered": a swap that did not see it fails.
 *
 * A tracker that slept through the term of its lease may write "since" of a
 * slot that is another's by now.  Then the others may look for a tracker in
 * vain, or wait for one until "covered" is late.  Only "since" in the memory
 * of a tracker itself decides whether it distrusts the cache.
 */


#ifndef _PERM_SHM_TRACKERS_H_INCLUDED_
#define _PERM_SHM_TRACKERS_H_INCLUDED_


#include "shm/cache.h"
#include "shm/lease.h"


#define PERM_TRACKERS_GENERATIONS  4    /* that may have trackers */
#define PERM_TRACKERS_EACH         2    /* of one generation */

#define PERM_TRACKERS_LATE         500  /* ms: "covered" is late from then on */

/* all workers know the new masters that long after a move */

#define PERM_TRACKERS_MOVE         3000 /* ms */

/*
 * While "covered" is late, a lookup counts for a moment: changes of that time
 * may be missed, but not each call shall be a lookup.
 */

#define PERM_TRACKERS_GAP          50     /* ms */
#define PERM_TRACKERS_GAP_LONG     1000   /* ms, after PERM_TRACKERS_LONG */
#define PERM_TRACKERS_LONG         10000  /* ms */


typedef struct {
    perm_lease_t     lease;
    ngx_atomic_t     since;       /* ms, monotonic, 0: does not track */
} perm_trackers_slot_t;


/* what Redis answers to the commands that begin tracking */

typedef enum {
    PERM_TRACKERS_ACCEPTED = 0,
    PERM_TRACKERS_FAILING,             /* an error that may be over soon */
    PERM_TRACKERS_REFUSED              /* not allowed, or not known */
} perm_trackers_refused_t;


typedef struct {
    perm_cache_t          *cache;
    ngx_atomic_t           covered;      /* ms, monotonic */
    ngx_atomic_t           moved;        /* ms, monotonic: nothing before it
                                            can be covered any more */
    ngx_atomic_t           refused;      /* perm_trackers_refused_t */
    ngx_atomic_t           generation;   /* of the newest configuration */
    ngx_atomic_t           source;       /* its hash, of what is tracked */
    perm_trackers_slot_t   slots[PERM_TRACKERS_GENERATIONS]
                                [PERM_TRACKERS_EACH];
} perm_trackers_t;


/* one worker's part; zeroed, with "trackers" and "generation" set */

typedef struct {
    perm_trackers_t       *trackers;
    ngx_uint_t             generation;
    perm_trackers_slot_t  *slot;         /* held; NULL: it must not track */
    ngx_msec_t             since;        /* monotonic; 0: does not track */
} perm_tracker_t;


void perm_trackers_init(perm_trackers_t *trackers, perm_cache_t *cache);

/*
 * In the master: returns the generation of a new configuration's workers.
 * "source" is a hash of the servers and keys that they track.  Returns 0 in
 * *same when it is another one: perm_trackers_moved() is due.
 */

ngx_uint_t perm_trackers_configured(perm_trackers_t *trackers,
    uint32_t source, ngx_uint_t *same);


/* 1: it is that of the newest configuration */

ngx_uint_t perm_trackers_source(perm_trackers_t *trackers, uint32_t source);


/*
 * In all of these "now" is ms, monotonic.
 *
 * Takes or renews a slot of the worker's generation: to be called as often as
 * PERM_LEASE_RENEW says.  Returns 1 while the worker is to track.
 */

ngx_uint_t perm_trackers_hold(perm_tracker_t *tracker, ngx_msec_t now);

/*
 * From now on each change is pushed.  Returns 1 when the cache was distrusted,
 * since changes before that may be missed.
 */

ngx_uint_t perm_trackers_begin(perm_tracker_t *tracker, ngx_msec_t now);

/*
 * All changes that were made before "heard" and after its begin were counted.
 * Returns 1 as perm_trackers_begin() does.
 */

ngx_uint_t perm_trackers_heard(perm_tracker_t *tracker, ngx_msec_t heard,
    ngx_msec_t now);

/*
 * Changes are not pushed any more.  Returns 1 when no other worker hears of
 * them: nothing is trusted from now on.
 */

ngx_uint_t perm_trackers_lost(perm_tracker_t *tracker, ngx_msec_t now);

/* perm_trackers_lost(), and gives the slot up */

ngx_uint_t perm_trackers_release(perm_tracker_t *tracker, ngx_msec_t now);

/*
 * 1: there is a newer configuration than the worker's.  The other one: and a
 * worker of the newest hears of changes without a gap.
 */

ngx_uint_t perm_trackers_former(perm_tracker_t *tracker);
ngx_uint_t perm_trackers_relieved(perm_tracker_t *tracker, ngx_msec_t now);


/*
 * Up to "until", answers may come from servers whose changes nobody tracks:
 * nothing is trusted before.
 */

void perm_trackers_moved(perm_trackers_t *trackers, ngx_msec_t until,
    ngx_msec_t now);

/*
 * A connection to a master that was opened then has ended.  A worker that began
 * to track later may be at another server by then, and what the former one
 * answered since is not pushed as changed.  So nothing is trusted until a
 * tracker, by its next PING, distrusts the cache.
 */

void perm_trackers_ended(perm_trackers_t *trackers, ngx_msec_t opened,
    ngx_msec_t now);

/*
 * Redis refuses to push changes.  Returns 1 to the first worker that says so
 * since it pushed them, or in this configuration: another right may be missing
 * by then.  After PERM_TRACKERS_REFUSED, answers count as long as they are
 * valid.
 */

ngx_uint_t perm_trackers_refuse(perm_trackers_t *trackers,
    perm_trackers_refused_t refused);

/* 1: with PERM_TRACKERS_REFUSED */

ngx_uint_t perm_trackers_refused(perm_trackers_t *trackers);

/* 1: changes are pushed to a worker that lives */

ngx_uint_t perm_trackers_active(perm_trackers_t *trackers, ngx_msec_t now);

/* 1: no worker has read what was pushed, for PERM_TRACKERS_LATE and longer */

ngx_uint_t perm_trackers_stopped(perm_trackers_t *trackers, ngx_msec_t now);


/* 1: no change that was made PERM_TRACKERS_LATE ago is missing */

static ngx_inline ngx_uint_t
perm_trackers_covered(perm_trackers_t *trackers, ngx_msec_t now)
{
    ngx_msec_t  covered;

    /* orders: "covered" before the entry and the counters */
    covered = __atomic_load_n(&trackers->covered, __ATOMIC_ACQUIRE);

    return (ngx_msec_int_t) (now - covered) < PERM_TRACKERS_LATE;
}


/*
 * ms for which an answer of Redis counts, as far as changes are concerned.  To
 * be called before the entry is looked up.
 */

int64_t perm_trackers_gap(perm_trackers_t *trackers, ngx_msec_t now);


static ngx_inline int64_t
perm_trackers_valid(perm_trackers_t *trackers, ngx_msec_t now)
{
    return perm_trackers_covered(trackers, now)
           ? INT64_MAX : perm_trackers_gap(trackers, now);
}


#endif /* _PERM_SHM_TRACKERS_H_INCLUDED_ */
