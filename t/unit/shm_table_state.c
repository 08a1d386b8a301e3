
/*
 * Whether the table is loaded, and what may decide while it is not: a grant
 * that was changed after the table was emptied, and nothing else, also while
 * another worker hears of more.
 * sources: src/shm/slots.c src/shm/tuple.c src/shm/cache.c
 * sources: src/shm/table_state.c src/shm/health.c
 */


#include "nginx_test.h"

#include <sys/wait.h>

#include "shm/table_state.h"


#define SEED    UINT64_C(0x0f1e2d3c4b5a6978)
#define LATER   INT64_C(4000000000)
#define ROUNDS  20
#define CHANGES 60000   /* pushed in a round */


static perm_cache_t        *cache;
static perm_table_state_t   table;
static int64_t              fetched;    /* ms */
static ngx_str_t            prefix = ngx_string("p:");


static void
store(perm_tuple_t *tuple, int64_t expires)
{
    perm_grants_t  grants;

    grants.gateway = -1;
    grants.resource = expires;
    grants.left = PERM_GRANTS_ENDLESS;

    perm_cache_store(cache, tuple, perm_tuple_hash(tuple, SEED), grants,
                     expires == LATER, ++fetched,
                     perm_cache_generation(cache, tuple->gateway, tuple->app));
}


static void
change(perm_tuple_t *tuple)
{
    perm_cache_invalidate(cache, tuple->gateway, tuple->app, 0);
}


static perm_cache_entry_t
lookup(perm_tuple_t *tuple)
{
    perm_cache_entry_t  entry;

    (void) perm_cache_lookup(cache, tuple, perm_tuple_hash(tuple, SEED), 0,
                             &entry);

    return entry;
}


static ngx_uint_t
stale_ok(perm_tuple_t *tuple)
{
    perm_cache_entry_t  entry;

    entry = lookup(tuple);

    return perm_table_state_stale_ok(&table, tuple, &entry);
}


static void
event(perm_table_event_t e)
{
    perm_table_state_event(&table, e, &test_log);
}


static ngx_int_t
answer(ngx_uint_t loaded)
{
    return perm_table_state_answered(&table, perm_table_state_ask(&table),
                                     loaded, &prefix, &test_log);
}


static ngx_int_t
settle_as(ngx_uint_t loaded, uint64_t id)
{
    perm_table_asked_t   asked;
    perm_table_answer_t  settled;

    asked = perm_table_state_ask_settled(&table);
    settled.loaded = loaded;
    settled.id = id;

    return perm_table_state_settled(&table, &asked, &settled, &prefix,
                                    &test_log);
}


static ngx_int_t
settle(ngx_uint_t loaded)
{
    return settle_as(loaded, 1);
}


/* loaded, and with these in the cache */

static test_tuple_t  before, after, both, never;

static void
loaded(void)
{
    (void) settle(1);
    (void) settle(1);

    store(test_tuple(&before, "gw", "res", "before"), LATER);
    store(test_tuple(&after, "gw", "res", "after"), LATER);
    store(test_tuple(&both, "gw", "res", "both"), LATER);
    store(test_tuple(&never, "gw", "res", "never"), LATER);
}


static void
check(const char *what)
{
    ok(!stale_ok(&before.tuple) && stale_ok(&after.tuple)
       && !stale_ok(&both.tuple) && stale_ok(&never.tuple), "%s", what);
}


static void
test_known(void)
{
    ok(perm_table_state_known(&table) == PERM_TABLE_UNKNOWN, "not asked yet");

    event(PERM_TABLE_GAP);
    ok(perm_table_state_known(&table) == PERM_TABLE_UNKNOWN, "nor in a gap");

    test_lines = 0;
    ok(answer(0) == NGX_ABORT && answer(0) == NGX_ABORT
       && perm_table_state_known(&table) == PERM_TABLE_NOT_LOADED,
       "not loaded");
    ok(test_logged("hash \"p:meta\""), "logged once");

    ok(answer(1) == NGX_AGAIN && answer(1) == NGX_OK
       && perm_table_state_known(&table) == PERM_TABLE_LOADED,
       "lookups that found it loaded are asked again");
    ok(test_logged("is loaded after"), "logged, for the first time");

    (void) answer(0);
    ok(test_logged("is not loaded"), "and lost");
    ok(answer(1) == NGX_AGAIN && test_logged("is loaded again after"),
       "which is \"again\" only then");

    event(PERM_TABLE_META);
    ok(perm_table_state_known(&table) == PERM_TABLE_LOADED
       && answer(1) == NGX_OK && test_lines == 0,
       "\"meta\" changed, and it is loaded still: nothing to log");
}


static void
test_asked_before(void)
{
    ngx_atomic_uint_t   asked;
    perm_cache_entry_t  entry;

    asked = perm_table_state_ask(&table);
    event(PERM_TABLE_META);
    ok(perm_table_state_answered(&table, asked, 0, &prefix, &test_log)
       == NGX_AGAIN
       && perm_table_state_known(&table) == PERM_TABLE_LOADED,
       "asked before an event: says nothing");

    asked = perm_table_state_ask(&table);
    (void) answer(0);
    ok(perm_table_state_answered(&table, asked, 1, &prefix, &test_log)
       == NGX_AGAIN
       && perm_table_state_known(&table) == PERM_TABLE_NOT_LOADED,
       "nor when another worker's answer came between");

    loaded();
    entry = lookup(&never.tuple);
    ok(entry.trusted, "trusted");

    asked = perm_table_state_ask(&table);
    event(PERM_TABLE_META);
    entry = lookup(&never.tuple);
    ok(!entry.trusted && entry.unchanged, "\"meta\" changed: not any more");

    asked = perm_table_state_ask(&table);
    (void) answer(1);
    ok(perm_table_state_answered(&table, asked, 1, &prefix, &test_log)
       == NGX_OK, "two answers that nothing happened");
}


static void
test_order(void)
{
    loaded();
    event(PERM_TABLE_FLUSH);
    change(&before.tuple);
    change(&both.tuple);
    ok(!stale_ok(&before.tuple), "it may not be loaded: a change counts");
    (void) answer(0);
    ok(!stale_ok(&before.tuple) && stale_ok(&never.tuple),
       "found empty: a change counts until that is settled");
    (void) settle(0);
    change(&after.tuple);
    change(&both.tuple);
    check("settled: what is changed after that does not count");
    event(PERM_TABLE_FLUSH);
    event(PERM_TABLE_META);
    event(PERM_TABLE_GAP);
    check("... whatever happens while it is loaded");
    (void) answer(0);
    (void) settle(0);
    check("... and asked once more");

    store(&after.tuple, 5);
    change(&after.tuple);
    ok(!stale_ok(&after.tuple), "... but a denial, which the load may change");

    (void) answer(1);
    ok(!stale_ok(&after.tuple) && !stale_ok(&both.tuple)
       && stale_ok(&never.tuple), "loaded: every change counts");

    event(PERM_TABLE_FLUSH);
    ok(!stale_ok(&after.tuple) && stale_ok(&never.tuple),
       "... when another worker hears late of what emptied it, too");
}


/* a tracker was stopped while another one found the table empty */

static void
test_late(void)
{
    loaded();
    event(PERM_TABLE_FLUSH);
    (void) settle(0);
    change(&after.tuple);
    perm_cache_invalidate(cache, before.tuple.gateway, before.tuple.app, 1);

    ok(!stale_ok(&before.tuple), "a change of before, read late, counts");
    ok(stale_ok(&after.tuple) && stale_ok(&never.tuple),
       "... and that of no other key");

    change(&before.tuple);
    ok(!stale_ok(&before.tuple), "... also when the load changes it again");
}


/* trust while Redis does not say which database was emptied */

static ngx_uint_t
trusted(perm_tuple_t *tuple)
{
    perm_cache_entry_t  entry;

    entry = lookup(tuple);

    return entry.trusted;
}


static void
test_suspended(void)
{
    perm_table_asked_t   asked;
    perm_table_answer_t  yes = { 1, 1 };

    loaded();
    event(PERM_TABLE_FLUSH);
    ok(!trusted(&never.tuple), "everything was pushed: nothing is trusted");
    (void) answer(1);
    ok(!trusted(&never.tuple), "... when \"loaded\" is not settled, either");
    store(&after.tuple, LATER);
    ok(settle(1) == NGX_OK && trusted(&never.tuple) && trusted(&after.tuple),
       "loaded still: trusted again, and what was fetched meanwhile is");

    event(PERM_TABLE_FLUSH);
    event(PERM_TABLE_META);
    ok(settle(1) == NGX_OK && !trusted(&never.tuple),
       "\"meta\" was pushed, too: not any more");

    loaded();
    event(PERM_TABLE_FLUSH);
    asked = perm_table_state_ask_settled(&table);
    event(PERM_TABLE_FLUSH);
    ok(perm_table_state_settled(&table, &asked, &yes, &prefix, &test_log)
       == NGX_AGAIN && !trusted(&never.tuple),
       "pushed again since it was asked");
    ok(settle(1) == NGX_OK && trusted(&never.tuple), "... and asked again");

    event(PERM_TABLE_FLUSH);
    asked = perm_table_state_ask_settled(&table);
    ok(settle(1) == NGX_OK && trusted(&never.tuple),
       "another worker is quicker");
    event(PERM_TABLE_FLUSH);
    perm_epoch_resume(perm_cache_epoch(cache), asked.epoch);
    ok(!trusted(&never.tuple),
       "... the slow one does not speak of the next push");
    ok(settle(1) == NGX_OK && trusted(&never.tuple), "... which is answered");

    event(PERM_TABLE_FLUSH);
    ok(settle(0) == NGX_DONE && !trusted(&never.tuple), "not loaded");
    event(PERM_TABLE_FLUSH);
    (void) settle(0);
    ok(settle(1) == NGX_DONE && !trusted(&never.tuple),
       "... and loaded again: looked up again");
}


static void
test_replaced(void)
{
    loaded();
    test_lines = 0;
    ok(settle_as(1, 3) == NGX_DONE && !trusted(&never.tuple),
       "another id: nothing is trusted");
    ok(test_logged("another grant table"), "logged");

    store(&never.tuple, LATER);
    ok(settle_as(1, 3) == NGX_OK && trusted(&never.tuple) && test_lines == 0,
       "the same id");

    event(PERM_TABLE_META);
    ok(settle_as(1, 5) == NGX_OK && test_lines == 0,
       "another id, and \"meta\" was pushed: nothing to log");
    (void) settle(1);
    test_lines = 0;
}


/* answers of other servers: what was stored before decides no more */

static void
test_stored(void)
{
    loaded();
    store(&before.tuple, 1);
    perm_table_state_stored(&table, 7, &test_log);
    ok(stale_ok(&never.tuple) && stale_ok(&before.tuple) && test_lines == 0,
       "the first server: nothing is known of another one");

    perm_cache_distrust(cache);
    perm_table_state_stored(&table, 7, &test_log);
    ok(stale_ok(&never.tuple) && stale_ok(&before.tuple),
       "a gap: all goes on deciding");

    perm_table_state_stored(&table, 8, &test_log);
    ok(!stale_ok(&never.tuple) && !trusted(&never.tuple)
       && !stale_ok(&before.tuple),
       "another server: neither a grant nor a denial of before decides");
    ok(test_logged("another one since the reload"), "logged");

    store(&never.tuple, LATER);
    store(&before.tuple, 1);
    perm_table_state_stored(&table, 8, &test_log);
    perm_cache_distrust(cache);
    ok(stale_ok(&never.tuple) && stale_ok(&before.tuple) && test_lines == 0,
       "those of its own do");

    (void) settle(0);
    ok(stale_ok(&never.tuple), "also while it is not loaded");
    (void) settle(1);
    (void) settle_as(1, 9);
    ok(!stale_ok(&never.tuple) && !stale_ok(&before.tuple),
       "another id is another table as well");
    event(PERM_TABLE_META);
    (void) settle(1);
    test_lines = 0;
}


/* the diagram of table_state.h */

enum { LOADED, FOUND, EMPTY };

enum { META, FLUSH, GAP, NOT_LOADED, NOT_LOADED_SETTLED, IS_LOADED,
       IS_LOADED_SETTLED, EVENTS };

#define D  8     /* distrusts */
#define S  16    /* suspends */
#define M  32    /* marks */


static const char *const  states[] = { "loaded", "found", "empty" };

static const char *const  events[] = {
    "push of meta", "push of all", "gap", "not loaded", "not loaded, settled",
    "loaded", "loaded, settled"
};

static const int  diagram[3][EVENTS] = {
    { LOADED|D, LOADED|S, LOADED|D, FOUND, EMPTY|D|M, LOADED,   LOADED   },
    { FOUND|D,  FOUND|S,  FOUND|D,  FOUND, EMPTY|D|M, LOADED|D, LOADED|D },
    { EMPTY|D,  EMPTY|S,  EMPTY|D,  EMPTY, EMPTY,     LOADED|D, LOADED|D }
};


static void
step(int e)
{
    switch (e) {

    case META:
    case FLUSH:
    case GAP:
        event((perm_table_event_t) e);
        break;

    case NOT_LOADED:
    case IS_LOADED:
        (void) answer(e == IS_LOADED);
        break;

    default:
        (void) settle(e == IS_LOADED_SETTLED);
    }
}


static void
test_cell(int state, int e)
{
    int  cell, to, good;

    cell = diagram[state][e];
    to = cell & 3;

    loaded();

    if (state == FOUND) {
        (void) answer(0);

    } else if (state == EMPTY) {
        (void) settle(0);
    }

    store(&never.tuple, LATER);
    change(&before.tuple);
    step(e);
    change(&after.tuple);

    good = ((perm_table_state_known(&table) == PERM_TABLE_NOT_LOADED)
            == (to != LOADED));
    good &= (trusted(&never.tuple) == !(cell & (D|S)));

    /* a change may be passed over in "empty" only, if no mark came after it */

    good &= (stale_ok(&before.tuple) == (to == EMPTY && !(cell & M)));
    good &= (stale_ok(&after.tuple) == (to == EMPTY));

    if (cell & S) {
        (void) settle(to == LOADED);
        good &= (trusted(&never.tuple) == (to != FOUND));
    }

    ok(good, "%s, %s: %s", states[state], events[e], states[to]);
}


static void
test_diagram(void)
{
    int  state, e;

    for (state = LOADED; state <= EMPTY; state++) {
        for (e = 0; e < EVENTS; e++) {
            test_cell(state, e);
        }
    }
}


static void
test_meanwhile(void)
{
    int    i, n, wrong, looks;
    pid_t  pid;

    loaded();

    for (i = 0, wrong = 0, looks = 0; i < ROUNDS; i++) {
        (void) settle(1);
        (void) settle(1);
        store(&before.tuple, LATER);
        change(&before.tuple);
        event(PERM_TABLE_FLUSH);
        (void) settle(0);

        pid = test_fork();

        if (pid == 0) {
            for (n = 0; n < CHANGES; n++) {
                change(&before.tuple);
            }

            _exit(0);
        }

        while (waitpid(pid, NULL, WNOHANG) == 0) {
            wrong += stale_ok(&before.tuple);
            looks++;
        }
    }

    ok(wrong == 0, "changed before: may decide %d times of %d", wrong, looks);
}


int
main(void)
{
    ngx_slab_pool_t  *shpool;

    shpool = test_zone(NULL, 2 * 1024 * 1024);
    cache = perm_cache_create(shpool, 1024 * 1024, SEED);
    ngx_cached_time->sec = 1700000000;

    if (cache == NULL) {
        printf("Bail out! no cache\n");
        return 2;
    }

    perm_table_state_init(&table, cache);

    test_known();
    test_asked_before();
    test_order();
    test_late();
    test_suspended();
    test_replaced();
    test_stored();
    test_diagram();
    test_meanwhile();

    return done();
}
