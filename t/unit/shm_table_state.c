
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
    perm_cache_invalidate(cache, tuple->gateway, tuple->app);
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


/* loaded, and with these in the cache */

static test_tuple_t  before, after, both, never;

static void
loaded(void)
{
    (void) answer(1);
    (void) answer(1);

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
    ok(test_logged("is loaded again after"), "logged");

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
    change(&before.tuple);
    change(&both.tuple);
    event(PERM_TABLE_FLUSH);
    change(&after.tuple);
    change(&both.tuple);

    ok(!stale_ok(&after.tuple), "it may not be loaded: a change counts");
    (void) answer(0);
    check("emptied: what was changed after that does not count");
    event(PERM_TABLE_FLUSH);
    event(PERM_TABLE_META);
    event(PERM_TABLE_GAP);
    check("... whatever happens while it is loaded");
    (void) answer(0);
    check("... and asked once more");

    store(&after.tuple, 5);
    change(&after.tuple);
    ok(!stale_ok(&after.tuple), "... but a denial, which the load may change");

    (void) answer(1);
    ok(!stale_ok(&after.tuple) && !stale_ok(&both.tuple)
       && stale_ok(&never.tuple), "loaded: every change counts");
}


/* the worker that is told of changes is late */

static void
test_found(void)
{
    loaded();
    (void) answer(0);
    change(&before.tuple);
    change(&both.tuple);
    event(PERM_TABLE_FLUSH);
    change(&after.tuple);
    change(&both.tuple);
    check("found empty before the push of that came");

    loaded();
    event(PERM_TABLE_META);
    (void) answer(0);
    change(&before.tuple);
    change(&both.tuple);
    event(PERM_TABLE_FLUSH);
    change(&after.tuple);
    change(&both.tuple);
    check("... after a push of something else");

    loaded();
    change(&before.tuple);
    change(&both.tuple);
    (void) answer(0);
    check("found empty");
    event(PERM_TABLE_GAP);
    change(&after.tuple);
    change(&both.tuple);
    event(PERM_TABLE_FLUSH);
    check("... and nothing of it is pushed any more");

    loaded();
    event(PERM_TABLE_META);
    change(&before.tuple);
    change(&both.tuple);
    event(PERM_TABLE_GAP);
    (void) answer(0);
    change(&after.tuple);
    change(&both.tuple);
    check("changed before a gap");

    loaded();
    event(PERM_TABLE_GAP);
    change(&before.tuple);
    change(&both.tuple);
    (void) answer(0);
    change(&after.tuple);
    change(&both.tuple);
    check("changed in a gap, as another master of a cluster pushed");
}


/*
 * The diagram of table_state.h: from each state by each event, with a mark.
 * Where that leads shows in which changes may be passed over later.
 */

#define LOADED   0
#define SUSPECT  1
#define FLUSHED  2
#define FOUND    3
#define EMPTY    4

#define MARK     8


static const char *const  states[] = {
    "loaded", "suspect", "flushed", "found", "empty"
};

static const char *const  events[] = {
    "push of meta", "push of all", "gap", "not loaded", "loaded"
};

static const int  diagram[5][5] = {
    { SUSPECT|MARK, FLUSHED|MARK, LOADED,       FOUND|MARK, LOADED },
    { SUSPECT|MARK, FLUSHED|MARK, SUSPECT|MARK, FOUND,      LOADED },
    { SUSPECT|MARK, FLUSHED|MARK, FLUSHED|MARK, EMPTY,      LOADED },
    { EMPTY|MARK,   EMPTY|MARK,   EMPTY,        FOUND,      LOADED },
    { EMPTY,        EMPTY,        EMPTY,        EMPTY,      LOADED }
};


static void
step(int e)
{
    if (e <= PERM_TABLE_GAP) {
        event(e);

    } else {
        (void) answer(e == PERM_TABLE_GAP + 2);
    }
}


static void
test_cell(int state, int e)
{
    int                 to, marked, good;
    perm_cache_entry_t  entry;

    to = diagram[state][e] & ~MARK;
    marked = diagram[state][e] & MARK;

    loaded();

    if (state == SUSPECT) {
        event(PERM_TABLE_META);

    } else if (state == FLUSHED || state == EMPTY) {
        event(PERM_TABLE_FLUSH);
    }

    if (state >= FOUND) {
        (void) answer(0);
    }

    store(&never.tuple, LATER);
    change(&before.tuple);
    step(e);
    change(&after.tuple);

    entry = lookup(&never.tuple);

    good = ((perm_table_state_known(&table) == PERM_TABLE_NOT_LOADED)
            == (to >= FOUND));

    /* what an event or the end of a load leaves */

    good &= (entry.trusted == (e > PERM_TABLE_GAP
                               && (state < FOUND || to >= FOUND)));

    /* "loaded" marks when it is found not to be, "found" by the push of all */

    (void) answer(0);
    good &= (stale_ok(&before.tuple) == (to != LOADED && !marked));
    good &= (stale_ok(&after.tuple) == (to != LOADED));

    change(&both.tuple);
    event(PERM_TABLE_FLUSH);
    good &= (stale_ok(&both.tuple) == (to == FLUSHED || to == EMPTY));

    ok(good, "%s, %s: %s%s", states[state], events[e], states[to],
       marked ? ", marked" : "");
}


static void
test_diagram(void)
{
    int  state, e;

    for (state = LOADED; state <= EMPTY; state++) {
        for (e = 0; e < 5; e++) {
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
        (void) answer(1);
        (void) answer(1);
        store(&before.tuple, LATER);
        change(&before.tuple);
        event(PERM_TABLE_FLUSH);
        (void) answer(0);

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
    test_found();
    test_diagram();
    test_meanwhile();

    return done();
}
