
/*
 * The table of grants: what Redis answered for a tuple, and whether a change
 * may have been missed since.  It has expiries, never decisions.
 */


#ifndef _PERM_SHM_CACHE_H_INCLUDED_
#define _PERM_SHM_CACHE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "core/decision.h"
#include "shm/epoch.h"
#include "shm/tuple.h"


typedef struct perm_cache_s       perm_cache_t;
typedef struct perm_cache_slot_s  perm_cache_slot_t;


/*
 * Counters that only grow.  The table has one "epoch", which moves when changes
 * may have been missed.  "change" are the counters of two hash slots of
 * (gateway, app): both move when that key is pushed as changed.  If one of them
 * did not move, the key has not changed, and the other counter moved for
 * another key.  "untracked": the server that answered may not push changes, and
 * the answer is used as stale only.
 */

typedef struct {
    perm_epoch_t    epoch;
    uint32_t        change[2];
    uint32_t        untracked;   /* 0 or 1 */
} perm_generation_t;


static ngx_inline ngx_uint_t
perm_generation_unchanged(perm_generation_t *then, perm_generation_t *now)
{
    return then->change[0] == now->change[0]
           || then->change[1] == now->change[1];
}


typedef struct {
    perm_grants_t      grants;
    int64_t            fetched;     /* ms, monotonic: ngx_current_msec */
    perm_generation_t  generation;  /* from before the fetch was sent */

    ngx_uint_t         trusted;     /* no change of it can have been missed */
    ngx_uint_t         unchanged;   /* no change of its key was pushed */

    /* for perm_cache_claim() and perm_cache_accessed() */
    perm_cache_slot_t *slot;
    uint64_t           accessed;
    uint32_t           sequence;
} perm_cache_entry_t;


#define perm_cache_word(sequence, low)                                        \
    ((uint64_t) (sequence) << 32 | (uint32_t) (low))


typedef struct {
    ngx_uint_t      entries;   /* all of them, denied ones too */
    ngx_uint_t      capacity;
    ngx_uint_t      denied;    /* entries without a live grant when stored */
    ngx_uint_t      evicted;   /* entries that made room, since start */
    ngx_uint_t      displaced; /* known grants among them */
    time_t          displacing; /* unix seconds of the last one, 0: none */
} perm_cache_stat_t;


/* ms since then; the clock of another worker may be a little ahead */

static ngx_inline int64_t
perm_cache_age(int64_t fetched)
{
    int64_t  age;

    age = (int64_t) ngx_current_msec - fetched;

    return ngx_max(age, 0);
}


/* "seed" of the hashes; NULL when "size" bytes of the slab pool do not fit */

perm_cache_t *perm_cache_create(ngx_slab_pool_t *shpool, size_t size,
    uint64_t seed);


/*
 * Takes no lock, allocates nothing.  Names are compared in full.  Returns
 * NGX_OK with *entry filled, or NGX_DECLINED.  "now" (ms, monotonic) is when
 * the entry was last used.
 */

ngx_int_t perm_cache_lookup(perm_cache_t *cache, perm_tuple_t *tuple,
    uint64_t hash, ngx_msec_t now, perm_cache_entry_t *entry);


/* read it before a lookup is sent to Redis, and store it with the answer */

perm_generation_t perm_cache_generation(perm_cache_t *cache,
    perm_str_t gateway, perm_str_t app);


/*
 * Stores an answer under the zone's mutex, in place of an older one for the
 * same tuple.  "live": a grant, not a denial.  Denials make room for grants,
 * never the other way round, and have a bounded share.  A grant takes a bigger
 * slot than it needs before it displaces another grant.  An answer whose
 * generation is not current any more is stored, too, but not trusted; it never
 * replaces a newer one.
 */

void perm_cache_store(perm_cache_t *cache, perm_tuple_t *tuple, uint64_t hash,
    perm_grants_t grants, ngx_uint_t live, int64_t fetched,
    perm_generation_t generation);


/* stores a grant of a state file or another zone, for use as stale only */

void perm_cache_restore(perm_cache_t *cache, perm_tuple_t *tuple,
    perm_grants_t grants, int64_t fetched);


/* the key was pushed as changed; "mark": perm_cache_mark() of this key, too */

void perm_cache_invalidate(perm_cache_t *cache, perm_str_t gateway,
    perm_str_t app, ngx_uint_t mark);


/* changes may have been missed: no entry that is here is trusted any more */

void perm_cache_distrust(perm_cache_t *cache);


/* to suspend trust, and to resume it */

perm_epoch_shared_t *perm_cache_epoch(perm_cache_t *cache);


/*
 * perm_cache_mark() notes the counters of changes.  After that
 * perm_cache_unchanged_at_mark() is 1 for an entry that was unchanged at that
 * time, or was fetched later.
 */

void perm_cache_mark(perm_cache_t *cache);
ngx_uint_t perm_cache_unchanged_at_mark(perm_cache_t *cache,
    perm_tuple_t *tuple, perm_cache_entry_t *entry);


/*
 * 1: the caller is to refresh the entry ahead of its end.  One caller of all
 * workers gets that, and another one if "retry" ms later it is not refreshed.
 */

ngx_uint_t perm_cache_claim(perm_cache_entry_t *entry, ngx_msec_t now,
    ngx_msec_t retry);


/*
 * Whether an access of this entry had been noted in this second (unix seconds)
 * when it was found, and noting one.  This is a hint, which saves calls of the
 * recorder.
 */

static ngx_inline ngx_uint_t
perm_cache_accessed(perm_cache_entry_t *entry, time_t now)
{
    return entry->accessed == perm_cache_word(entry->sequence, now);
}

void perm_cache_note_access(perm_cache_entry_t *entry, time_t now);


void perm_cache_stat(perm_cache_t *cache, perm_cache_stat_t *stat);


/*
 * Walks the table without a lock, a bounded number of slots a call.  *cursor
 * is 0 at first.  Returns NGX_OK with an entry and its names copied into
 * "names" (PERM_TUPLE_MAX bytes), NGX_AGAIN when the bound is reached, or
 * NGX_DONE at the end.
 */

ngx_int_t perm_cache_next(perm_cache_t *cache, ngx_uint_t *cursor,
    perm_tuple_t *tuple, char *names, perm_cache_entry_t *entry);


#endif /* _PERM_SHM_CACHE_H_INCLUDED_ */
