
/*
 * The table of grants: what Redis said of a tuple, and how far that can still
 * be trusted.  Expiries are cached, never verdicts.
 */


#ifndef _PERM_SHM_CACHE_H_INCLUDED_
#define _PERM_SHM_CACHE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "core/decision.h"
#include "shm/tuple.h"


typedef struct perm_cache_s       perm_cache_t;
typedef struct perm_cache_slot_s  perm_cache_slot_t;


/*
 * Counters that only grow.  "epoch" is one for the whole table: it moves when
 * changes may have been missed.  Those of "change" are for two hash slots of
 * (gateway, app): both move when that key was pushed as changed.  A key of
 * which one stands still was not, whatever shares a slot with it.
 * "untracked": the server that answered may not push changes, so that the
 * answer is used as stale only.
 */

typedef struct {
    uint32_t        epoch;
    uint32_t        change[2];
    unsigned        untracked:1;
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

    ngx_uint_t         trusted;     /* nothing was or can have been missed */
    ngx_uint_t         unchanged;   /* no change of its key was pushed */

    /* where it is, for perm_cache_claim() and perm_cache_accessed() */
    perm_cache_slot_t *slot;
    uint32_t           sequence;
} perm_cache_entry_t;


typedef struct {
    ngx_uint_t      entries;   /* all of them, denied ones too */
    ngx_uint_t      capacity;
    ngx_uint_t      denied;    /* entries without a live grant when stored */
    ngx_uint_t      evicted;   /* entries that made room, since start */
    ngx_uint_t      displaced; /* known grants among them */
    time_t          displacing; /* unix seconds of the last one, 0: none */
} perm_cache_stat_t;


/*
 * About "size" bytes of the slab pool; NULL when it does not fit.  "seed" is
 * that of the hashes.
 */

perm_cache_t *perm_cache_create(ngx_slab_pool_t *shpool, size_t size,
    uint64_t seed);


/*
 * Takes no lock, allocates nothing.  Names are compared in full.  Returns
 * NGX_OK with *entry filled, or NGX_DECLINED.  "now" (ms, monotonic) is when
 * the entry was last used.
 */

ngx_int_t perm_cache_lookup(perm_cache_t *cache, perm_tuple_t *tuple,
    uint64_t hash, ngx_msec_t now, perm_cache_entry_t *entry);


/* to be read before a lookup is sent to Redis, and stored with its answer */

perm_generation_t perm_cache_generation(perm_cache_t *cache,
    perm_str_t gateway, perm_str_t app);


/*
 * Stores an answer under the zone's mutex, in place of an older one for the
 * same tuple.  "live" tells a known grant from a denial: denials make room for
 * grants, never the other way round, and have a bounded share.  A grant takes
 * a bigger slot than it needs before it makes another one go.  An answer whose
 * generation is not current any more is stored, too, but not trusted; it never
 * replaces a newer one.
 */

void perm_cache_store(perm_cache_t *cache, perm_tuple_t *tuple, uint64_t hash,
    perm_grants_t grants, ngx_uint_t live, int64_t fetched,
    perm_generation_t generation);


/*
 * Stores a grant that a state file or another zone knew: it is used as stale
 * only, until Redis says more.
 */

void perm_cache_restore(perm_cache_t *cache, perm_tuple_t *tuple,
    perm_grants_t grants, int64_t fetched);


/* the key was pushed as changed */

void perm_cache_invalidate(perm_cache_t *cache, perm_str_t gateway,
    perm_str_t app);


/* changes may have been missed: nothing that was fetched before is trusted */

void perm_cache_distrust(perm_cache_t *cache);


/*
 * perm_cache_mark() notes where the counters of changes are now.  Then
 * perm_cache_unchanged_at_mark() is 1 for an entry that was unchanged at that
 * time, or was fetched later.
 */

void perm_cache_mark(perm_cache_t *cache);
ngx_uint_t perm_cache_unchanged_at_mark(perm_cache_t *cache,
    perm_tuple_t *tuple, perm_cache_entry_t *entry);


/*
 * 1 for one caller in all workers per fetched entry, and again when it was not
 * refreshed within "retry" ms: that one refreshes it ahead of its end.
 */

ngx_uint_t perm_cache_claim(perm_cache_entry_t *entry, ngx_msec_t now,
    ngx_msec_t retry);


/*
 * Whether an access in this second (unix seconds) was noted for this very
 * entry, and noting it: a hint that spares the recorder's work.
 */

ngx_uint_t perm_cache_accessed(perm_cache_entry_t *entry, time_t now);
void perm_cache_note_access(perm_cache_entry_t *entry, time_t now);


void perm_cache_stat(perm_cache_t *cache, perm_cache_stat_t *stat);


/*
 * Walks the table without a lock, a bounded number of slots a call.  *cursor
 * is 0 at first.  Returns NGX_OK with an entry and its names copied into
 * "names" (PERM_TUPLE_MAX bytes), NGX_AGAIN when this call's bound is reached,
 * NGX_DONE at the end.
 */

ngx_int_t perm_cache_next(perm_cache_t *cache, ngx_uint_t *cursor,
    perm_tuple_t *tuple, char *names, perm_cache_entry_t *entry);


#endif /* _PERM_SHM_CACHE_H_INCLUDED_ */
