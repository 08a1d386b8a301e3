
/*
 * Whether the table of grants in Redis is loaded, as all workers together know
 * it, and which cached grants may decide while Redis does not.
 *
 * A table is emptied (FLUSHALL, DEL of "meta", a Redis that comes back without
 * its data) and loaded again, key by key.  The load pushes each key as changed,
 * although nobody lost a grant.  So while the table is not loaded a grant that
 * was known before goes on deciding, whatever is pushed.  A grant that was
 * revoked before the table was emptied must not.  To tell them apart, the
 * cache marks where its counters of changes are when the table may be about to
 * be emptied: a change before the mark counts, a change after it does not as
 * long as the table is not loaded.
 *
 *   event      push of "meta"  push of all    gap in      asked:      asked:
 *   state      or end of gap   (FLUSHALL)     pushes      not loaded  loaded
 *   --------------------------------------------------------------------------
 *   LOADED     SUSPECT, m      FLUSHED, m     LOADED      FOUND, m    LOADED
 *   SUSPECT    SUSPECT, m      FLUSHED, m     SUSPECT, m  FOUND       LOADED
 *   FLUSHED    SUSPECT, m      FLUSHED, m     FLUSHED, m  EMPTY       LOADED
 *   FOUND      EMPTY, m        EMPTY, m       EMPTY       FOUND       LOADED, d
 *   EMPTY      EMPTY           EMPTY          EMPTY       EMPTY       LOADED, d
 *
 *   m  the cache marks its counters
 *   d  the cache trusts nothing that it has; pushes and gaps do that always
 *
 *   LOADED     found loaded, or never asked; in a gap, too: other masters of a
 *              cluster go on pushing changes, which count
 *   SUSPECT    it may have been emptied or loaded since; to be asked
 *   FLUSHED    likewise, and the push of what emptied it is here
 *   FOUND      not loaded, but the push of what emptied it may be on its way:
 *              what is pushed before that counts as changes
 *   EMPTY      not loaded; what is pushed is the load
 *
 * Only FOUND and EMPTY let a changed grant decide.  Where a mark is set too
 * late or too often, too many changes count: an app is unavailable until the
 * table is loaded, but no revoked grant is allowed.
 */


#ifndef _PERM_SHM_TABLE_STATE_H_INCLUDED_
#define _PERM_SHM_TABLE_STATE_H_INCLUDED_


#include "shm/cache.h"


typedef enum {
    PERM_TABLE_UNKNOWN = 0,
    PERM_TABLE_LOADED,
    PERM_TABLE_NOT_LOADED
} perm_table_known_t;


typedef enum {
    PERM_TABLE_META = 0,       /* "meta" was pushed as changed, or may have
                                  changed in a gap that is over */
    PERM_TABLE_FLUSH,          /* everything was pushed as changed */
    PERM_TABLE_GAP             /* changes may be missed from now on */
} perm_table_event_t;


typedef struct {
    perm_cache_t   *cache;
    ngx_atomic_t    word;      /* the state, and how often the table may have
                                  been emptied or loaded */
    ngx_atomic_t    since;     /* unix seconds of the answer that found what is
                                  known; 0: unknown */
} perm_table_state_t;


void perm_table_state_init(perm_table_state_t *table, perm_cache_t *cache);


/* by the last answers */

perm_table_known_t perm_table_state_known(perm_table_state_t *table);


/*
 * For the worker that changes are pushed to, in their order.  The table is to
 * be asked for then; in a gap that can wait for its end.
 */

void perm_table_state_event(perm_table_state_t *table,
    perm_table_event_t event, ngx_log_t *log);


/*
 * Whether the table is loaded is asked: to be read before, and handed to
 * perm_table_state_answered() with the answer.  That returns NGX_OK when the
 * table is loaded, NGX_ABORT when it is not, or NGX_AGAIN: it was emptied
 * or loaded meanwhile, so that answers to lookups of the same time may be of
 * before or after that.  A change of what is known is logged once in all
 * workers; "prefix" is of the keys.
 */

ngx_atomic_uint_t perm_table_state_ask(perm_table_state_t *table);
ngx_int_t perm_table_state_answered(perm_table_state_t *table,
    ngx_atomic_uint_t asked, ngx_uint_t loaded, ngx_str_t *prefix,
    ngx_log_t *log);


/*
 * 1: the cached entry may decide where Redis cannot be asked, as far as
 * changes are concerned.  How old it may be is the caller's business.
 */

ngx_uint_t perm_table_state_stale_ok(perm_table_state_t *table,
    perm_tuple_t *tuple, perm_cache_entry_t *entry);


#endif /* _PERM_SHM_TABLE_STATE_H_INCLUDED_ */
