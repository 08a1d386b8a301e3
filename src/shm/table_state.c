
#include "shm/table_state.h"

#include "shm/health.h"


#define PERM_TABLE_STATE_BITS      3     /* of the word: the state */
#define PERM_TABLE_STATE_MASK      ((1 << PERM_TABLE_STATE_BITS) - 1)


/* the diagram of the header */

enum {
    LOADED = 0,
    FOUND,                     /* from here on it is not loaded */
    EMPTY
};


static ngx_int_t perm_table_state_take(perm_table_state_t *table,
    ngx_atomic_uint_t asked, ngx_uint_t loaded, ngx_uint_t settled,
    ngx_str_t *prefix, ngx_log_t *log);
static ngx_uint_t perm_table_state_replaced(perm_table_state_t *table,
    uint64_t id, ngx_log_t *log);
static void perm_table_state_another(perm_table_state_t *table);
static void perm_table_state_found(perm_table_state_t *table,
    ngx_uint_t loaded, ngx_str_t *prefix, ngx_log_t *log);


#if (NGX_DEBUG)

static const char *const  perm_table_state_names[] = {
    "loaded", "found not loaded", "not loaded"
};

static const char *const  perm_table_state_events[] = {
    "\"meta\" was pushed", "all was pushed", "a gap"
};

#endif


/* orders: the word before the marks, and before a question */

#define perm_table_state_load(table)                                          \
    __atomic_load_n(&(table)->word, __ATOMIC_ACQUIRE)

#define perm_table_state_of(word)       ((word) & PERM_TABLE_STATE_MASK)
#define perm_table_state_version(word)  ((word) >> PERM_TABLE_STATE_BITS)

#define perm_table_state_word(version, state)                                 \
    ((version) << PERM_TABLE_STATE_BITS | (state))


void
perm_table_state_init(perm_table_state_t *table, perm_cache_t *cache)
{
    table->cache = cache;
    table->word = LOADED;
    table->since = 0;
    table->before = 0;
    table->id = 0;
    table->floor = 0;
    table->source = 0;
    table->found = 0;
}


perm_table_known_t
perm_table_state_known(perm_table_state_t *table)
{
    if (perm_table_state_of(perm_table_state_load(table)) >= FOUND) {
        return PERM_TABLE_NOT_LOADED;
    }

    return table->since ? PERM_TABLE_LOADED : PERM_TABLE_UNKNOWN;
}


/* answers to questions of before say nothing from then on */

void
perm_table_state_event(perm_table_state_t *table, perm_table_event_t event,
    ngx_log_t *log)
{
    ngx_log_debug1(NGX_LOG_DEBUG_CORE, log, 0,
                   "app_permission: table state: %s",
                   perm_table_state_events[event]);

    if (event == PERM_TABLE_FLUSH) {
        perm_epoch_suspend(perm_cache_epoch(table->cache));

    } else {

        /* the next id may be another one */

        /* orders: only this word */
        __atomic_store_n(&table->id, 0, __ATOMIC_SEQ_CST);
        perm_cache_distrust(table->cache);
    }

    if (event != PERM_TABLE_GAP) {

        /* orders: what was pushed before the version */
        (void) ngx_atomic_fetch_add(&table->word, 1 << PERM_TABLE_STATE_BITS);
    }
}


ngx_atomic_uint_t
perm_table_state_ask(perm_table_state_t *table)
{
    return perm_table_state_version(perm_table_state_load(table));
}


perm_table_asked_t
perm_table_state_ask_settled(perm_table_state_t *table)
{
    perm_table_asked_t  asked;

    asked.version = perm_table_state_ask(table);
    asked.epoch = perm_epoch_seen(perm_cache_epoch(table->cache));

    return asked;
}


ngx_int_t
perm_table_state_answered(perm_table_state_t *table, ngx_atomic_uint_t asked,
    ngx_uint_t loaded, ngx_str_t *prefix, ngx_log_t *log)
{
    ngx_int_t  rc;

    rc = perm_table_state_take(table, asked, loaded, 0, prefix, log);

    if (rc == NGX_DONE) {
        return loaded ? NGX_AGAIN : NGX_ABORT;
    }

    return rc;
}


ngx_int_t
perm_table_state_settled(perm_table_state_t *table, perm_table_asked_t *asked,
    perm_table_answer_t *answer, ngx_str_t *prefix, ngx_log_t *log)
{
    ngx_int_t  rc;

    rc = perm_table_state_take(table, asked->version, answer->loaded, 1, prefix,
                               log);

    if (rc == NGX_AGAIN) {
        return NGX_AGAIN;
    }

    if (answer->loaded && perm_table_state_replaced(table, answer->id, log)) {
        rc = NGX_DONE;
    }

    perm_epoch_resume(perm_cache_epoch(table->cache), asked->epoch);

    return rc;
}


void
perm_table_state_stored(perm_table_state_t *table, uint32_t source,
    ngx_log_t *log)
{
    ngx_atomic_uint_t  before;

    before = table->source;

    if (before == source) {
        return;
    }

    if (before) {
        perm_table_state_another(table);
    }

    /* orders: only this word */
    if (ngx_atomic_cmp_set(&table->source, before, source) && before) {
        ngx_log_error(NGX_LOG_NOTICE, log, 0,
                      "app_permission: Redis, its database or the prefix is "
                      "another one since the reload: all grants are looked up "
                      "there");
    }
}


ngx_uint_t
perm_table_state_stale_ok(perm_table_state_t *table, perm_tuple_t *tuple,
    perm_cache_entry_t *entry)
{
    if ((int32_t) (entry->generation.epoch - (perm_epoch_t) table->floor) < 0) {
        return 0;
    }

    if (entry->unchanged) {
        return 1;
    }

    /* a denial may be just what the load changes */

    return perm_table_state_of(perm_table_state_load(table)) == EMPTY
           && perm_decision_allows(entry->grants, ngx_time())
           && perm_cache_unchanged_at_mark(table->cache, tuple, entry);
}


/*
 * The mark comes before the state that makes use of it.  Returns NGX_OK when
 * the table is loaded as before, NGX_ABORT when it is not, NGX_DONE when that
 * changed, or NGX_AGAIN: the question is too old.
 */

static ngx_int_t
perm_table_state_take(perm_table_state_t *table, ngx_atomic_uint_t asked,
    ngx_uint_t loaded, ngx_uint_t settled, ngx_str_t *prefix, ngx_log_t *log)
{
    ngx_uint_t         state, to, turned;
    ngx_atomic_uint_t  word, next;

    do {
        word = perm_table_state_load(table);

        if (perm_table_state_version(word) != asked) {
            return NGX_AGAIN;
        }

        state = perm_table_state_of(word);
        to = loaded ? LOADED : settled ? EMPTY : ngx_max(state, FOUND);
        turned = (state == LOADED) != (to == LOADED);
        next = perm_table_state_word(asked + turned, to);

        if (to == EMPTY && state != EMPTY) {
            perm_cache_mark(table->cache);
            perm_cache_distrust(table->cache);

        } else if (loaded && turned) {
            perm_cache_distrust(table->cache);
        }

        /* orders: the mark before the state */

    } while (next != word && !ngx_atomic_cmp_set(&table->word, word, next));

    if (next != word) {
        ngx_log_debug2(NGX_LOG_DEBUG_CORE, log, 0,
                       "app_permission: table state: %s, was %s",
                       perm_table_state_names[to],
                       perm_table_state_names[state]);
    }

    if (turned || table->since == 0) {
        perm_table_state_found(table, loaded, prefix, log);
    }

    if (turned) {
        return NGX_DONE;
    }

    return loaded ? NGX_OK : NGX_ABORT;
}


/*
 * Redis pushes nothing when SWAPDB puts another database into the place of the
 * table: another id tells it.
 */

static ngx_uint_t
perm_table_state_replaced(perm_table_state_t *table, uint64_t id,
    ngx_log_t *log)
{
    uint64_t  before;

    /* orders: only this word */
    before = __atomic_exchange_n(&table->id, id, __ATOMIC_SEQ_CST);

    if (before == 0 || before == id) {
        return 0;
    }

    perm_table_state_another(table);

    ngx_log_error(NGX_LOG_NOTICE, log, 0,
                  "app_permission: Redis has another grant table (SWAPDB?) "
                  "without having pushed that: all grants are looked up "
                  "again");

    return 1;
}


/* a lookup that is on its way may be of the former table: it is of before */

static void
perm_table_state_another(perm_table_state_t *table)
{
    perm_epoch_t  epoch;

    perm_cache_distrust(table->cache);

    epoch = perm_epoch_seen(perm_cache_epoch(table->cache));
    table->floor = perm_epoch_base(epoch);
}


/* one worker gets through for each turn, and for the first answer */

static void
perm_table_state_found(perm_table_state_t *table, ngx_uint_t loaded,
    ngx_str_t *prefix, ngx_log_t *log)
{
    ngx_atomic_uint_t  before;

    before = table->since;

    /* orders: only this word */
    if (!ngx_atomic_cmp_set(&table->since, before, ngx_time())) {
        return;
    }

    if (loaded) {
        perm_health_log_good("the grant table is loaded", NGX_LOG_INFO,
                             (time_t) before,
                             !perm_health_turned(&table->before, 1), log);
        return;
    }

    ngx_log_error(NGX_LOG_ERR, log, 0,
                  "app_permission: the grant table is not loaded: no "
                  "\"schema\" of \"1\" in the Redis hash \"%Vmeta\"; this "
                  "counts as an outage until it is loaded: \"app-permission "
                  "init\" begins a new table, \"app-permission import\" "
                  "brings a lost one back from its export; if it should be "
                  "loaded, check the database in \"app_permission_redis\" and "
                  "\"app_permission_redis_prefix\"", prefix);
}
