
/*
 * Whether the table of grants in Redis is loaded, as all workers together know
 * it, and which cached grants may decide while Redis does not.
 *
 * A table is emptied (FLUSHALL, DEL of "meta", a Redis that comes back without
 * its data) and loaded again, key by key.  The load pushes each key as changed,
 * although nobody lost a grant.  So while the table is not loaded a grant that
 * was known before goes on deciding, whatever is pushed.  A grant that was
 * revoked before the table was emptied must not.  To tell them apart, the cache
 * marks where its counters of changes are: a change before the mark counts, a
 * change after it does not as long as the table is not loaded.
 *
 * Redis pushes a FLUSHALL before the keys that were changed in the same turn,
 * and pushes and answers come on different connections.  So the mark waits for
 * a settled answer: a worker that changes are pushed to asks, and takes the
 * answer when each change that was made before it has been pushed to it.
 *
 *   state                    LOADED         FOUND          EMPTY
 *   event
 *   ----------------------------------------------------------------------
 *   push of "meta", gap      LOADED, d      FOUND, d       EMPTY, d
 *   push of all (FLUSHALL)   LOADED, s      FOUND, s       EMPTY, s
 *   answer: not loaded       FOUND          FOUND          EMPTY
 *   ... settled              EMPTY, d, m    EMPTY, d, m    EMPTY, r
 *   answer: loaded           LOADED         LOADED, d      LOADED, d
 *   ... settled              LOADED, r      LOADED, d      LOADED, d
 *
 *   d  the cache trusts nothing that it has
 *   s  it trusts nothing until r: Redis does not say whether another database
 *      was emptied.  If it was this one, "meta" is gone, or was pushed as
 *      changed before the answer settled: that has led to d
 *   r  what was suspended is trusted again
 *   m  the cache marks its counters
 *
 *   LOADED     found loaded, or never asked.  Each change counts
 *   FOUND      not loaded; the push of what emptied it, and changes before
 *              that, may be on their way.  Each change counts
 *   EMPTY      not loaded; what is pushed is the load
 *
 * Only EMPTY lets a changed grant decide.  Several workers may hear of the same
 * push, and one of them late: in EMPTY no event marks all again.  But a tracker
 * may read a change that was made before the table was emptied when another one
 * has marked; or a change that was made after a load, which nobody can ask
 * about.  So a tracker marks each key that it reads (perm_cache_invalidate()),
 * unless a settled answer of its own was "not loaded", and neither "meta" nor
 * everything was pushed to it since.  Where a mark is set too late, too many
 * changes count: an app is unavailable until the table is loaded, but no
 * revoked grant is allowed.
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
    PERM_TABLE_FLUSH,          /* everything was pushed as changed, maybe of
                                  another database */
    PERM_TABLE_GAP             /* changes may be missed from now on */
} perm_table_event_t;


typedef struct {
    perm_cache_t   *cache;
    ngx_atomic_t    word;      /* the state, and how often the table may have
                                  been emptied or loaded */
    ngx_atomic_t    since;     /* unix seconds of the answer that found what is
                                  known; 0: unknown */
    ngx_atomic_t    before;    /* 1: it was loaded once */
    uint64_t        id;        /* hash of the id in "meta", 0: unknown */
    ngx_atomic_t    floor;     /* the epoch of the first entries that are of
                                  this table, and of no other */
    ngx_atomic_t    source;    /* hash of the servers, the database and the
                                  prefix of the last entry, 0: unknown */
    ngx_atomic_t    found;     /* ... of the table that was found loaded last,
                                  likewise */
} perm_table_state_t;


/* when it was asked */

typedef struct {
    ngx_atomic_uint_t  version;
    perm_epoch_t       epoch;
} perm_table_asked_t;


/* of a settled answer; the hash is not 0, also where "meta" has no id */

typedef struct {
    ngx_uint_t         loaded;
    uint64_t           id;
} perm_table_answer_t;


void perm_table_state_init(perm_table_state_t *table, perm_cache_t *cache);


/* by the last answers */

perm_table_known_t perm_table_state_known(perm_table_state_t *table);


/*
 * For a worker that changes are pushed to, in their order.  The table is to be
 * asked for then; in a gap that can wait for its end.
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
 * The same for a worker that changes are pushed to, with an answer that is
 * settled.  NGX_OK or NGX_ABORT: nothing is new.  NGX_DONE: the table is
 * another one, or is loaded where it was not, or the other way round.
 * NGX_AGAIN: it says nothing any more, and is to be asked again.
 */

perm_table_asked_t perm_table_state_ask_settled(perm_table_state_t *table);
ngx_int_t perm_table_state_settled(perm_table_state_t *table,
    perm_table_asked_t *asked, perm_table_answer_t *answer, ngx_str_t *prefix,
    ngx_log_t *log);


/* the table of these servers, database and prefix, a hash of them, is loaded */

static ngx_inline void
perm_table_state_seen(perm_table_state_t *table, uint32_t source)
{
    if (table->found != source) {
        table->found = source;
    }
}


/* 1: the table that was found loaded last is of others than these */

static ngx_inline ngx_uint_t
perm_table_state_elsewhere(perm_table_state_t *table, uint32_t source)
{
    return table->found != 0 && table->found != source;
}


/*
 * An answer of these is about to be stored.  Where the one before was of
 * others, no entry of before decides any more, not even as stale.
 */

void perm_table_state_stored(perm_table_state_t *table, uint32_t source,
    ngx_log_t *log);


/*
 * 1: the cached entry may decide where Redis cannot be asked, as far as
 * changes, and other tables, are concerned.  How old it may be is the caller's
 * business.
 */

ngx_uint_t perm_table_state_stale_ok(perm_table_state_t *table,
    perm_tuple_t *tuple, perm_cache_entry_t *entry);


#endif /* _PERM_SHM_TABLE_STATE_H_INCLUDED_ */
