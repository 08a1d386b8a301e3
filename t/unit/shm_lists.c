
/*
 * The counters and the lists for operators: bounds, errors, dead writers.
 * sources: src/shm/stats.c src/shm/heavy_hitters.c src/shm/expiring.c
 * sources: src/shm/resources.c src/shm/history.c src/shm/trylock.c
 * sources: src/shm/process.c
 * sources: src/shm/records.c src/shm/tuple.c
 * sources: src/shm/distinct.c
 */


#include "nginx_test.h"

#include <sys/wait.h>

#include "shm/expiring.h"
#include "shm/trylock.h"
#include "shm/history.h"
#include "shm/resources.h"
#include "shm/stats.h"
#include "shm/heavy_hitters.h"


#define T     1700000000
#define DAY   86400
#define SEED  UINT64_C(0x5bd1e995a3c59ac3)


static ngx_slab_pool_t        *shpool;
static perm_heavy_hitters_entry_t        refused[PERM_HEAVY_HITTERS_MAX];
static perm_expiring_entry_t   ending[PERM_EXPIRING_MAX];
static perm_resource_entry_t   resources[PERM_RESOURCES_MAX];
static perm_stats_t            test_stats_cells;
static perm_history_t          test_history_slots;


static void
fresh(size_t size)
{
    shpool = test_zone(shpool, size);
}


/* ---- counters */

/* a denial without a grant */

static void
count(perm_stats_cell_t *cell, ngx_uint_t dry_run, perm_cache_status_t cache)
{
    perm_stats_add(&cell->requests[dry_run][PERM_DENY][PERM_NO_GRANT], 1);
    perm_stats_add(&cell->cache[cache], 1);
}


static void
test_stats(void)
{
    ngx_uint_t          i;
    perm_stats_t       *stats = &test_stats_cells;
    perm_stats_cell_t   sum, *cell, *other;

    cell = perm_stats_cell(stats, 0);
    other = perm_stats_cell(stats, 1);

    ok((uintptr_t) cell % 64 == 0, "a cell begins with a cache line");
    ok((u_char *) other - (u_char *) cell >= (long) sizeof(*cell),
       "cells do not overlap");
    ok(perm_stats_cell(stats, 100000) == perm_stats_cell(stats, 63),
       "workers beyond the cells share the last one");

    count(cell, 0, PERM_CACHE_HIT);
    count(other, 0, PERM_CACHE_MISS);
    count(other, 1, PERM_CACHE_HIT);

    perm_stats_sum(stats, &sum, T);

    ok(sum.requests[0][PERM_DENY][PERM_NO_GRANT] == 2
       && sum.requests[1][PERM_DENY][PERM_NO_GRANT] == 1, "requests add up");
    ok(sum.cache[PERM_CACHE_HIT] == 2 && sum.cache[PERM_CACHE_MISS] == 1,
       "and where their answers came from");

    /* 0 and 1 usec, 2, 3 and 4, and what is beyond all bounds */

    for (i = 0; i <= 4; i++) {
        perm_stats_time(cell, PERM_HISTOGRAM_HIT, i);
    }

    perm_stats_time(cell, PERM_HISTOGRAM_HIT, UINT64_C(1) << 22);
    perm_stats_time(cell, PERM_HISTOGRAM_HIT, (UINT64_C(1) << 22) + 1);
    perm_stats_time(cell, PERM_HISTOGRAM_HIT, UINT64_C(1) << 60);

    perm_stats_sum(stats, &sum, T);

    ok(sum.histograms[0].count[0] == 2 && sum.histograms[0].count[1] == 1
       && sum.histograms[0].count[2] == 2, "bucket i counts up to 2^i");
    ok(sum.histograms[0].count[22] == 1 && sum.histograms[0].count[23] == 2,
       "the last bucket counts the rest");

    perm_stats_age(cell, 700, T);
    perm_stats_age(other, 900, T);
    perm_stats_age(cell, 800, T + 60);

    perm_stats_sum(stats, &sum, T + 60);
    ok(sum.age.oldest == 900, "the oldest answer of this minute and the last");
    perm_stats_sum(stats, &sum, T + 120);
    ok(sum.age.oldest == 800, "a minute later");
    perm_stats_sum(stats, &sum, T + 180);
    ok(sum.age.oldest == 0, "nobody was answered for two minutes");
}


/* ---- most refused */

static ngx_uint_t
found(const char *app, ngx_uint_t n, perm_heavy_hitters_entry_t **entry)
{
    ngx_uint_t  i;

    for (i = 0; i < n; i++) {
        if (refused[i].record.tuple.app.len == strlen(app)
            && memcmp(refused[i].record.tuple.app.data, app, strlen(app)) == 0)
        {
            *entry = &refused[i];
            return 1;
        }
    }

    return 0;
}


static void
test_heavy_hitters(void)
{
    char                         app[32];
    ngx_uint_t                   i, k, n, heavy;
    perm_records_t              *list;
    test_tuple_t                 c;
    perm_tuple_t                *tuple;
    perm_heavy_hitters_entry_t  *e;

    fresh(32 * 1024 * 1024);
    list = perm_records_create(shpool, sizeof(refused[0]),
                               PERM_HEAVY_HITTERS_MAX, SEED);

    ok(perm_heavy_hitters_list(list, refused) == 0,
       "empty at first");

    for (i = 0; i < 5; i++) {
        tuple = test_tuple(&c, "g", "r", "late");
        perm_heavy_hitters_add(list, tuple, PERM_GATEWAY_GRANT_EXPIRED, T + i);
        tuple = test_tuple(&c, "g", "r", "");
        perm_heavy_hitters_add(list, tuple, PERM_NO_APP, T);
        tuple = test_tuple(&c, "g", "r", i & 1 ? "a b" : "a\nb");
        perm_heavy_hitters_add(list, tuple, PERM_INVALID_APP, T);
    }

    n = perm_heavy_hitters_list(list, refused);
    ok(n == 3, "invalid apps are one");
    ok(found("late", n, &e) && e->count == 5 && e->error == 0
       && e->record.first == T && e->record.last == T + 4
       && e->record.kind == PERM_GATEWAY_GRANT_EXPIRED, "as it was counted");

    /* 100,000 requests of which every 50th is of one app */

    heavy = 0;

    for (i = 0; i < 100000; i++) {
        (void) snprintf(app, sizeof(app), "made-up-%lu", (unsigned long) i);

        if (i % 50 == 0) {
            heavy++;
            (void) snprintf(app, sizeof(app), "heavy");
        }

        tuple = test_tuple(&c, "g", "r", app);
        perm_heavy_hitters_add(list, tuple, PERM_NO_GRANT, T + 10);
    }

    n = perm_heavy_hitters_list(list, refused);

    ok(n <= list->n, "as long as it was");
    ok(found("heavy", n, &e) && e->count >= heavy
       && e->count - e->error <= heavy, "the heavy one, its count in bounds");
    ok(e == &refused[0], "it comes first, being so for sure");
    ok(found("late", n, &e) && e->count == 5, "strangers push it not out");

    for (i = 0, k = 0; i < n; i++) {
        k += refused[i].error > 100000 / (list->n * 3 / 4) + 1;
    }

    ok(k == 0, "no error beyond N / n");

    fresh(1024 * 1024);
    n = shpool->pfree;
    list = perm_records_create(shpool, sizeof(refused[0]),
                               PERM_HEAVY_HITTERS_MAX, SEED);
    ok(list != NULL && (n - shpool->pfree) * ngx_pagesize < 64 * 1024,
       "small in a small zone");
}


/* ---- how many different ones */

static void
test_distinct(void)
{
    double            n, error, worst;
    uint64_t          key;
    perm_distinct_t  *d;

    fresh(1024 * 1024);
    d = ngx_slab_calloc(shpool, sizeof(perm_distinct_t));
    worst = 0;

    ok(perm_distinct_count(d) == 0, "none");

    for (key = 1; key <= 200000; key++) {
        perm_distinct_add(d, key * 64);
        perm_distinct_add(d, key * 64);

        if (key % 997 == 0) {
            n = (double) key;
            error = ((double) perm_distinct_count(d) - n) / n;
            error = (error < 0) ? -error : error;
            worst = ngx_max(worst, error);
        }
    }

    ok(worst > 0 && worst < 0.08, "each counts once, within 8 %%");
}


/* ---- dead writers */

static void
test_trylock(void)
{
    pid_t            pid;
    ngx_uint_t       taken;
    perm_trylock_t  *lock;

    fresh(1024 * 1024);
    lock = ngx_slab_calloc(shpool, sizeof(perm_trylock_t));

    ok(perm_trylock_enter(lock) == 1, "free");
    perm_trylock_leave(lock);

    pid = test_fork();

    if (pid == 0) {
        _exit(perm_trylock_enter(lock) == 1 ? 0 : 1);
    }

    /* a zombie is a process still */

    while (lock->holder == 0) {
        (void) sched_yield();
    }

    ok(perm_trylock_enter(lock) == 0, "held by another process");
    (void) waitpid(pid, NULL, 0);

    taken = perm_trylock_enter(lock);
    ok(taken == 0, "who was turned away asks once a second");

    ngx_cached_time->sec++;
    ok(perm_trylock_enter(lock) == 1, "taken over from a dead one");
    perm_trylock_leave(lock);

    lock->holder = perm_process_self();
    ok(perm_trylock_enter(lock) == 1, "left by one that was just like this one");
    perm_trylock_leave(lock);

    /* the process of this pid runs, but it is another one by its start */

    lock->holder = perm_process_self()
                   ^ ((perm_process_t) 1 << PERM_PROCESS_PID_BITS);
    ngx_cached_time->sec++;
    ok(perm_trylock_enter(lock) == 1,
       "taken over from a dead one whose pid another process has");
    perm_trylock_leave(lock);
    ok(lock->holder == 0, "and given back");
}


typedef struct {
    ngx_atomic_t  sequence;
    ngx_uint_t    a, b;
} record_t;


static void
test_torn(void)
{
    pid_t       pid;
    record_t   *shared, copy;
    ngx_uint_t  i, torn, good;

    fresh(1024 * 1024);
    shared = ngx_slab_calloc(shpool, sizeof(record_t));

    pid = test_fork();

    if (pid == 0) {
        for (i = 0; /* until killed */ ; i++) {
            perm_trylock_write(&shared->sequence);
            shared->a = i;
            shared->b = ~i;
            perm_trylock_written(&shared->sequence);
        }
    }

    torn = 0;
    good = 0;

    for (i = 0; good < 100000 && i < 100000000; i++) {
        if (perm_trylock_read(&copy, shared, sizeof(record_t),
                              &shared->sequence)
            == NGX_OK && copy.sequence)
        {
            good++;
            torn += (copy.a != ~copy.b);
        }
    }

    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);

    ok(torn == 0, "no record is read half written");
    ok(good == 100000, "and enough are read");

    perm_trylock_write(&shared->sequence);
    ok((shared->sequence & 1), "one that was left half written");
    ok(perm_trylock_read(&copy, shared, sizeof(record_t), &shared->sequence)
       == NGX_BUSY, "is not read");
    perm_trylock_write(&shared->sequence);
    perm_trylock_written(&shared->sequence);
    ok(!(shared->sequence & 1), "the next writer heals it");
}


/* a record that a killed worker left half written */

static void
test_records(void)
{
    ngx_uint_t        i, n;
    test_tuple_t      one, two;
    perm_record_t    *record;
    perm_records_t   *records;

    fresh(1024 * 1024);
    records = perm_records_create(shpool, sizeof(refused[0]), 16, SEED);

    test_tuple(&one, "g", "r", "one");
    test_tuple(&two, "g", "r", "two");

    for (i = 0; i < 3; i++) {
        perm_heavy_hitters_add(records, &one.tuple, PERM_NO_GRANT, T);
        perm_heavy_hitters_add(records, &two.tuple, PERM_NO_GRANT, T);
    }

    ok(perm_heavy_hitters_list(records, refused) == 2, "two records");

    record = perm_records_at(records, 0);
    perm_trylock_write(&record->sequence);
    ok(perm_heavy_hitters_list(records, refused) == 1,
       "the one that is being written is not listed");

    perm_heavy_hitters_add(records, &one.tuple, PERM_NO_GRANT, T);
    n = perm_heavy_hitters_list(records, refused);
    ok(n == 2 && refused[1].count == 1, "nor found: it gets another place");

    for (i = 0; i < 1000; i++) {
        (void) snprintf(two.app, sizeof(two.app), "a%03d", (int) i);
        two.tuple.app.len = strlen(two.app);
        perm_heavy_hitters_add(records, &two.tuple, PERM_NO_GRANT, T);
    }

    n = perm_heavy_hitters_list(records, refused);
    ok(n == records->n - records->n / 4, "the next one there heals it");
}


/* ---- grants that end soon */

static void
note(perm_records_t *f, const char *resource, const char *app,
    perm_reason_t reason, int64_t expires)
{
    test_tuple_t   c;
    perm_tuple_t  *tuple;

    tuple = test_tuple(&c, "g", resource, app);
    perm_expiring_note(f, tuple, reason, expires, T);
}


static void
test_expiring(void)
{
    char              app[32];
    ngx_uint_t        i, n, counts[PERM_EXPIRING_WINDOWS];
    perm_records_t  *f;

    fresh(1024 * 1024);
    f = perm_records_create(shpool, sizeof(ending[0]), PERM_EXPIRING_MAX, SEED);

    note(f, "r", "day", PERM_RESOURCE_GRANT, T + DAY);
    note(f, "r", "day+", PERM_RESOURCE_GRANT, T + DAY + 1);
    note(f, "r", "week", PERM_GATEWAY_GRANT, T + 7 * DAY);
    note(f, "other", "week", PERM_GATEWAY_GRANT, T + 7 * DAY);
    note(f, "r", "last", PERM_RESOURCE_GRANT, T + 15 * DAY);
    note(f, "r", "far", PERM_RESOURCE_GRANT, T + 15 * DAY + 1);
    note(f, "r", "forever", PERM_GATEWAY_GRANT, PERM_GRANT_PERMANENT);
    note(f, "r", "open", PERM_OPEN, PERM_GRANT_ABSENT);

    perm_expiring_count(f, T, counts);
    ok(counts[0] == 1 && counts[1] == 2 && counts[2] == 3 && counts[3] == 4,
       "within 1, 3, 7 and 15 days, a gateway's grant once");

    n = perm_expiring_list(f, T, ending);
    ok(n == 4 && ending[0].expires == T + DAY
       && ending[3].expires == T + 15 * DAY, "listed, soonest first");
    ok(ending[2].record.tuple.resource.len == 1 && ending[2].record.tuple.resource.data[0]
       == '-', "a gateway's grant says so");
    ok(perm_expiring_list(f, T + DAY, ending) == 3, "one has ended");

    note(f, "r", "day", PERM_RESOURCE_GRANT, T + 100 * DAY);
    note(f, "r", "day+", PERM_NO_GRANT, PERM_GRANT_ABSENT);
    note(f, "r", "week", PERM_RESOURCE_GRANT, T + 100 * DAY);
    perm_expiring_count(f, T, counts);
    ok(counts[0] == 0 && counts[2] == 0 && counts[3] == 1,
       "renewed, revoked, and taken over by another grant: gone");

    for (i = 0; i < 2000; i++) {
        (void) snprintf(app, sizeof(app), "a%lu", (unsigned long) i);
        note(f, "r", app, PERM_RESOURCE_GRANT, T + 2000 + i * 7 % 2000);
    }

    n = perm_expiring_list(f, T, ending);
    ok(n >= 16 && n < 100 && ending[n - 1].expires < T + 2000 + 100,
       "full: those that end soonest stay");
    ok(perm_expiring_count(f, T, counts) > 0, "and what is left out counts");
}


/* ---- resources, history */

static void
test_resources(void)
{
    char               name[32];
    ngx_uint_t         i, n;
    test_tuple_t       c;
    perm_records_t  *r;

    fresh(32 * 1024 * 1024);
    r = perm_records_create(shpool, sizeof(resources[0]), PERM_RESOURCES_MAX,
                            SEED);

    perm_resources_note(r, test_tuple(&c, "g", "a b", "b"),
                        PERM_POLICY_REQUIRED, 0, PERM_ALLOW, 1, T);
    perm_resources_note(r, test_tuple(&c, "a b", "r", "b"),
                        PERM_POLICY_REQUIRED, 0, PERM_ALLOW, 1, T);
    ok(perm_resources_list(r, resources) == 0, "no name that is not valid");

    for (i = 0; i < 1000; i++) {
        (void) snprintf(name, sizeof(name), "r%lu", (unsigned long) i);
        perm_resources_note(r, test_tuple(&c, "g", name, "a"),
                            PERM_POLICY_REQUIRED, 0, PERM_DENY, 1, T);
    }

    n = perm_resources_list(r, resources);
    ok(n == PERM_RESOURCES_MAX / 2, "refused requests fill half of it");

    for (i = 0; i < 1000; i++) {
        (void) snprintf(name, sizeof(name), "s%lu", (unsigned long) i);
        perm_resources_note(r, test_tuple(&c, "g", name, "a"),
                            PERM_POLICY_REQUIRED, 0, PERM_ALLOW, 64, T);
    }

    n = perm_resources_list(r, resources);
    ok(n == PERM_RESOURCES_MAX, "and allowed ones no more than all of it");

    perm_resources_note(r, test_tuple(&c, "g", "s0", "b"),
                        PERM_POLICY_REQUIRED, 1, PERM_DENY, 5, T + 9);
    n = perm_resources_list(r, resources);
    ok(n == PERM_RESOURCES_MAX
       && resources[0].would_deny == 5 && resources[0].allowed == 64
       && resources[0].dry_run && resources[0].record.first == T
       && resources[0].record.last == T + 9, "dry run is counted apart");
}


static void
test_history(void)
{
    time_t                 now;
    ngx_uint_t             n;
    perm_history_t        *h = &test_history_slots;
    perm_history_point_t   p, points[PERM_HISTORY_POINTS];

    ok(perm_history_list(h, T, points) == 0, "no history at first");

    ngx_memzero(&p, sizeof(p));

    for (now = T; now < T + 1000; now += 2) {
        if (perm_history_due(h, now)) {
            ok(!perm_history_due(h, now) || now > T + 20, "due once a step");
            p.time = now;
            p.allow = now - T;
            perm_history_add(h, &p);
        }
    }

    now -= 2;
    n = perm_history_list(h, now, points);

    ok(n >= PERM_HISTORY_POINTS - 1 && points[0].time < points[n - 1].time
       && now - points[n - 1].time < 5
       && now - points[0].time < PERM_HISTORY_STEP * PERM_HISTORY_POINTS,
       "the newest points, oldest first");
    ok(perm_history_list(h, now + 10000, points) == 0, "none after a pause");

    p.time = T - 5000;
    ok(perm_history_due(h, p.time), "a clock that was set back");
}


int
main(void)
{
    ngx_cached_time->sec = T;

    test_stats();
    test_heavy_hitters();
    test_distinct();
    test_trylock();
    test_torn();
    test_records();
    test_expiring();
    test_resources();
    test_history();

    return done();
}
