
#include "shm/table_state.h"

#include "shm/health.h"


#define PERM_TABLE_STATE_BITS      3     /* of the word: the state */
#define PERM_TABLE_STATE_MASK      ((1 << PERM_TABLE_STATE_BITS) - 1)

#define PERM_TABLE_STATE_MARK      1
#define PERM_TABLE_STATE_DISTRUST  2


enum {
    LOADED = 0,
    SUSPECT,
    FLUSHED,
    FOUND,                     /* from here on it is not loaded */
    EMPTY,
    STATES
};


/* after those of perm_table_event_t */

enum {
    ANSWER_NOT_LOADED = PERM_TABLE_GAP + 1,
    ANSWER_LOADED,
    EVENTS
};


typedef struct {
    ngx_uint_t  next;
    ngx_uint_t  action;
} perm_table_step_t;


static void perm_table_state_act(perm_table_state_t *table, ngx_uint_t action);
static void perm_table_state_found(perm_table_state_t *table,
    ngx_uint_t loaded, ngx_str_t *prefix, ngx_log_t *log);


/* the diagram of the header */

#define M  PERM_TABLE_STATE_MARK
#define D  PERM_TABLE_STATE_DISTRUST

static const perm_table_step_t  perm_table_steps[STATES][EVENTS] = {
    { {SUSPECT, M}, {FLUSHED, M}, {LOADED, 0},  {FOUND, M}, {LOADED, 0} },
    { {SUSPECT, M}, {FLUSHED, M}, {SUSPECT, M}, {FOUND, 0}, {LOADED, 0} },
    { {SUSPECT, M}, {FLUSHED, M}, {FLUSHED, M}, {EMPTY, 0}, {LOADED, 0} },
    { {EMPTY, M},   {EMPTY, M},   {EMPTY, 0},   {FOUND, 0}, {LOADED, D} },
    { {EMPTY, 0},   {EMPTY, 0},   {EMPTY, 0},   {EMPTY, 0}, {LOADED, D} }
};

#undef M
#undef D


#if (NGX_DEBUG)

static const char *const  perm_table_state_names[STATES] = {
    "loaded", "suspect", "flushed", "found not loaded", "not loaded"
};

#endif


#define perm_table_state_of(word)       ((word) & PERM_TABLE_STATE_MASK)
#define perm_table_state_version(word)  ((word) >> PERM_TABLE_STATE_BITS)

#define perm_table_state_word(version, state)                                 \
    ((version) << PERM_TABLE_STATE_BITS | (state))


#define perm_table_state_debug(log, word, next)                               \
    ngx_log_debug2(NGX_LOG_DEBUG_CORE, log, 0,                                \
                   "app_permission: table state: %s, was %s",                 \
                   perm_table_state_names[perm_table_state_of(next)],         \
                   perm_table_state_names[perm_table_state_of(word)])


void
perm_table_state_init(perm_table_state_t *table, perm_cache_t *cache)
{
    table->cache = cache;
    table->word = LOADED;
    table->since = 0;
}


perm_table_known_t
perm_table_state_known(perm_table_state_t *table)
{
    if (perm_table_state_of(table->word) >= FOUND) {
        return PERM_TABLE_NOT_LOADED;
    }

    return table->since ? PERM_TABLE_LOADED : PERM_TABLE_UNKNOWN;
}


/*
 * The mark comes before the state that makes use of it.  A worker that is
 * overtaken by another one marks once more.
 */

void
perm_table_state_event(perm_table_state_t *table, perm_table_event_t event,
    ngx_log_t *log)
{
    ngx_atomic_uint_t         word, next;
    const perm_table_step_t  *step;

    do {
        word = table->word;
        step = &perm_table_steps[perm_table_state_of(word)][event];
        next = perm_table_state_word(perm_table_state_version(word)
                                     + (event != PERM_TABLE_GAP), step->next);

        perm_table_state_act(table, step->action | PERM_TABLE_STATE_DISTRUST);

    } while (!ngx_atomic_cmp_set(&table->word, word, next));

    perm_table_state_debug(log, word, next);
}


ngx_atomic_uint_t
perm_table_state_ask(perm_table_state_t *table)
{
    return perm_table_state_version(table->word);
}


ngx_int_t
perm_table_state_answered(perm_table_state_t *table, ngx_atomic_uint_t asked,
    ngx_uint_t loaded, ngx_str_t *prefix, ngx_log_t *log)
{
    ngx_uint_t                state, turned;
    ngx_atomic_uint_t         word, next;
    const perm_table_step_t  *step;

    do {
        word = table->word;

        if (perm_table_state_version(word) != asked) {
            return NGX_AGAIN;
        }

        state = perm_table_state_of(word);
        step = &perm_table_steps[state][loaded ? ANSWER_LOADED
                                               : ANSWER_NOT_LOADED];
        turned = (state >= FOUND) != (step->next >= FOUND);
        next = perm_table_state_word(asked + turned, step->next);

        perm_table_state_act(table, step->action);

    } while (next != word && !ngx_atomic_cmp_set(&table->word, word, next));

    if (next != word) {
        perm_table_state_debug(log, word, next);
    }

    if (turned || table->since == 0) {
        perm_table_state_found(table, loaded, prefix, log);
    }

    if (!loaded) {
        return NGX_ABORT;
    }

    return turned ? NGX_AGAIN : NGX_OK;
}


ngx_uint_t
perm_table_state_stale_ok(perm_table_state_t *table, perm_tuple_t *tuple,
    perm_cache_entry_t *entry)
{
    if (entry->unchanged) {
        return 1;
    }

    /* a denial may be just what the load changes */

    return perm_table_state_known(table) == PERM_TABLE_NOT_LOADED
           && perm_decision_allows(entry->grants, ngx_time())
           && perm_cache_unchanged_at_mark(table->cache, tuple, entry);
}


static void
perm_table_state_act(perm_table_state_t *table, ngx_uint_t action)
{
    if (action & PERM_TABLE_STATE_MARK) {
        perm_cache_mark(table->cache);
    }

    if (action & PERM_TABLE_STATE_DISTRUST) {
        perm_cache_distrust(table->cache);
    }
}


/* one worker gets through for each turn, and for the first answer */

static void
perm_table_state_found(perm_table_state_t *table, ngx_uint_t loaded,
    ngx_str_t *prefix, ngx_log_t *log)
{
    ngx_atomic_uint_t  before;

    before = table->since;

    if (!ngx_atomic_cmp_set(&table->since, before, ngx_time())) {
        return;
    }

    if (loaded) {
        perm_health_log_good("the grant table is loaded", NGX_LOG_INFO,
                             (time_t) before, log);
        return;
    }

    ngx_log_error(NGX_LOG_ERR, log, 0,
                  "app_permission: the grant table is not loaded: no "
                  "\"schema\" of \"1\" in the Redis hash \"%Vmeta\"; this "
                  "counts as an outage until it is loaded; if it should be, "
                  "check the database in \"app_permission_redis\" and "
                  "\"app_permission_redis_prefix\"", prefix);
}
