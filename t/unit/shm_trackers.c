
/*
 * Workers that track: the cache is distrusted when nobody did, and only then,
 * whatever happens at the same moment.  Two operations are interleaved: all of
 * one happens before each atomic step of the other one, and after each swap.
 * sources: src/shm/slots.c src/shm/tuple.c src/shm/cache.c src/shm/lease.c
 */


#include "nginx_test.h"

#include <setjmp.h>

#include "shm/cache.h"
#include "shm/lease.h"


static void  step(void);
static int  after(int done);

#define __atomic_load_n(word, order)                                          \
    (step(), (__atomic_load_n)(word, order))

#define __atomic_store_n(word, value, order)                                  \
    (step(), (__atomic_store_n)(word, value, order))

#define __atomic_compare_exchange_n(word, was, is, weak, good, bad)           \
    (step(),                                                                  \
     after((__atomic_compare_exchange_n)(word, was, is, weak, good, bad)))

#include "shm/trackers.c"


#define SEED  UINT64_C(0x0f1e2d3c4b5a6978)
#define T     1000000                       /* ms: the test begins */
#define STEPS 100


static perm_trackers_t   trackers;
static perm_cache_t     *cache;
static perm_tracker_t    workers[10];
static perm_process_t    self = 1;
static ngx_uint_t        dead[10];

static int               at;                /* before which step, 0: none */
static void            (*meanwhile)(void);  /* NULL: it is killed there */
static jmp_buf           killed;


perm_process_t
perm_process_self(void)
{
    return self;
}


ngx_uint_t
perm_process_dead(perm_process_t process)
{
    return dead[process];
}


static void
step(void)
{
    perm_process_t  process;

    if (at == 0 || --at) {
        return;
    }

    if (meanwhile == NULL) {
        dead[self] = 1;
        longjmp(killed, 1);
    }

    process = self;
    meanwhile();
    self = process;
}


static int
after(int done)
{
    step();

    return done;
}


static perm_tracker_t *
as(perm_process_t process)
{
    self = process;

    return &workers[process];
}


static uint32_t
epoch(void)
{
    return perm_cache_generation(cache, str("g"), str("a")).epoch
           / PERM_EPOCH_STEP;
}


/* nobody has tracked yet; "generation" is that of the workers */

static void
begin(ngx_uint_t generation)
{
    ngx_uint_t  i, same;

    ngx_current_msec = T;
    ngx_memzero(&trackers, sizeof(perm_trackers_t));
    perm_trackers_init(&trackers, cache);

    ngx_memzero(dead, sizeof(dead));
    ngx_memzero(workers, sizeof(workers));

    do {
        i = perm_trackers_configured(&trackers, 7, &same);
    } while (i < generation);

    for (i = 0; i < 10; i++) {
        workers[i].trackers = &trackers;
        workers[i].generation = generation;
    }
}


/* the first "n" workers hold slots, and the first "tracking" have heard all */

static void
tracking(ngx_uint_t n, ngx_uint_t tracking)
{
    ngx_uint_t  i;

    begin(1);

    for (i = 1; i <= n; i++) {
        (void) perm_trackers_hold(as(i), T);
    }

    for (i = 1; i <= tracking; i++) {
        (void) perm_trackers_begin(as(i), T);
    }

    for (i = 1; i <= tracking; i++) {
        (void) perm_trackers_heard(as(i), T + 100, T + 100);
    }
}


static ngx_uint_t
covered(ngx_msec_t now)
{
    return perm_trackers_covered(&trackers, now);
}


static void
test_alone(void)
{
    uint32_t  before;

    begin(1);

    ok(!covered(T) && perm_trackers_valid(&trackers, T) == PERM_TRACKERS_GAP
       && !perm_trackers_active(&trackers, T), "nobody tracks at first");
    ok(perm_trackers_valid(&trackers, T + 20000) == PERM_TRACKERS_GAP_LONG,
       "a long gap");

    before = epoch();

    ok(perm_trackers_hold(as(1), T) && !perm_trackers_active(&trackers, T)
       && epoch() == before, "a slot");
    ok(perm_trackers_begin(as(1), T) && epoch() == before + 1 && covered(T),
       "the first one distrusts, and is trusted");
    ok(perm_trackers_valid(&trackers, T) == INT64_MAX
       && perm_trackers_active(&trackers, T), "... without a bound");

    ok(!perm_trackers_heard(as(1), T - 1, T) && covered(T + 499)
       && !covered(T + 500), "for 500 ms");
    ok(!perm_trackers_heard(as(1), T + 400, T + 450) && covered(T + 899)
       && !covered(T + 900), "... from when the PING was sent");

    ok(!perm_trackers_heard(as(1), T + 9000, T + 9050) && covered(T + 9100)
       && epoch() == before + 1, "it slept: nothing is distrusted");
    ok(perm_trackers_stopped(&trackers, T + 9500)
       && !perm_trackers_stopped(&trackers, T + 9499), "stopped");

    ok(perm_trackers_lost(as(1), T + 9200) && !covered(T + 9200),
       "the only one is lost: nothing is trusted");
    ok(!perm_trackers_active(&trackers, T + 9200), "nobody tracks");
    ok(!perm_trackers_heard(as(1), T + 9200, T + 9200) && !covered(T + 9200),
       "what was on its way is late");
    ok(perm_trackers_begin(as(1), T + 9300) && covered(T + 9300)
       && epoch() == before + 2, "it begins anew, and distrusts");
}


static void
test_two(void)
{
    uint32_t  before;

    tracking(3, 1);
    before = epoch();

    ok(workers[2].slot && workers[3].slot == NULL, "two slots, no third one");

    ok(!perm_trackers_begin(as(2), T + 110) && epoch() == before
       && covered(T + 599) && !covered(T + 600), "the second one waits");
    ok(!perm_trackers_heard(as(2), T + 150, T + 160) && !covered(T + 600),
       "... for the first one");
    ok(!perm_trackers_heard(as(1), T + 200, T + 210) && covered(T + 699),
       "... which has heard");
    ok(!perm_trackers_heard(as(2), T + 250, T + 260) && covered(T + 749)
       && epoch() == before, "both are heard, nothing is distrusted");

    ok(!perm_trackers_lost(as(1), T + 300) && covered(T + 749)
       && epoch() == before, "one is lost, nothing happens");
    ok(!perm_trackers_begin(as(1), T + 310) && epoch() == before,
       "... and begins anew");

    dead[2] = 1;
    ok(perm_trackers_heard(as(1), T + 400, T + 410) && covered(T + 410)
       && epoch() == before + 1, "the other one is dead: distrusted");
    ok(perm_trackers_hold(as(3), T + 420) && workers[3].slot == workers[2].slot
       && !perm_trackers_begin(as(3), T + 430),
       "a third one takes its slot, and waits for the first one");

    /* stopped, not dead: waited for until it is late */

    tracking(2, 1);
    before = epoch();

    ok(!perm_trackers_begin(as(2), T + 200)
       && !perm_trackers_heard(as(2), T + 590, T + 599) && epoch() == before,
       "one is stopped, the other one waits");
    ok(perm_trackers_heard(as(2), T + 600, T + 610) && covered(T + 1000)
       && epoch() == before + 1, "... until it is late");
    ok(!perm_trackers_heard(as(1), T + 1000, T + 1000)
       && !perm_trackers_lost(as(2), T + 1050) && epoch() == before + 1,
       "when it is back it has heard all");
}


/* another worker tracks from then on */

static void
test_handover(void)
{
    uint32_t  before;

    tracking(2, 1);
    before = epoch();

    ok(perm_trackers_release(as(1), T + 200) && !covered(T + 200)
       && !perm_trackers_active(&trackers, T + 200),
       "the only one gives up: nothing is trusted");
    ok(perm_trackers_begin(as(2), T + 210) && covered(T + 210)
       && epoch() == before + 1, "the next one distrusts");

    tracking(1, 1);
    before = epoch();
    dead[1] = 1;

    ok(perm_trackers_hold(as(2), T + 200)
       && workers[2].slot == workers[1].slot
       && !perm_trackers_active(&trackers, T + 200),
       "who takes the slot of a dead one does not track yet");
    ok(perm_trackers_begin(as(2), T + 210) && covered(T + 210)
       && epoch() == before + 1, "... and distrusts");
}


/* a connection may have been to the server before that of a tracker */

static void
test_ended(void)
{
    uint32_t  before;

    tracking(2, 2);
    before = epoch();

    perm_trackers_ended(&trackers, T + 1, T + 150);
    ok(covered(T + 150), "a connection that is newer than the trackers ends");
    perm_trackers_ended(&trackers, T, T + 150);
    ok(!covered(T + 150), "one that is older: nothing is trusted");
    ok(!perm_trackers_heard(as(1), T + 149, T + 160) && !covered(T + 160),
       "... by what was on its way");
    ok(perm_trackers_heard(as(1), T + 150, T + 170) && covered(T + 170)
       && epoch() == before + 1, "... and then all is distrusted");
    ok(!perm_trackers_heard(as(2), T + 160, T + 180) && epoch() == before + 1,
       "... once");

    dead[1] = dead[2] = 1;
    perm_trackers_ended(&trackers, T, T + 190);
    ok(covered(T + 190), "trackers that are dead say nothing");
}


static void
test_configurations(void)
{
    uint32_t         before;
    ngx_uint_t       same;
    perm_tracker_t  *old, *new;

    tracking(1, 1);
    old = &workers[1];
    new = &workers[2];
    before = epoch();

    ok(!perm_trackers_former(old) && !perm_trackers_relieved(old, T + 100),
       "the newest configuration");

    new->generation = perm_trackers_configured(&trackers, 7, &same);
    ok(same, "of the same servers");

    ok(perm_trackers_former(old) && perm_trackers_hold(as(2), T + 100)
       && !perm_trackers_relieved(as(1), T + 100), "a newer one");
    ok(!perm_trackers_begin(as(2), T + 150)
       && !perm_trackers_relieved(as(1), T + 160),
       "its worker has not heard of all yet");
    ok(!perm_trackers_heard(as(1), T + 200, T + 210)
       && perm_trackers_relieved(as(1), T + 210), "now it has");
    ok(!perm_trackers_release(as(1), T + 220) && epoch() == before
       && covered(T + 220) && workers[1].slot == NULL,
       "the former one ends, nothing is distrusted");
    ok(!perm_trackers_heard(as(2), T + 300, T + 310) && epoch() == before
       && covered(T + 799), "... nor later");
    ok(perm_trackers_hold(as(1), T + 400) && workers[1].slot
       && workers[1].slot != new->slot, "slots of its own");

    (void) perm_trackers_configured(&trackers, 8, &same);
    ok(!same, "other servers");
}


static void
test_refused(void)
{
    begin(1);

    ok(perm_trackers_refuse(&trackers, PERM_TRACKERS_FAILING)
       && !perm_trackers_refuse(&trackers, PERM_TRACKERS_FAILING)
       && perm_trackers_valid(&trackers, T) == PERM_TRACKERS_GAP,
       "an error, which one worker logs");
    ok(perm_trackers_refuse(&trackers, PERM_TRACKERS_REFUSED)
       && !perm_trackers_refuse(&trackers, PERM_TRACKERS_REFUSED)
       && !perm_trackers_refuse(&trackers, PERM_TRACKERS_FAILING)
       && perm_trackers_valid(&trackers, T) == INT64_MAX,
       "refused for good: answers count");

    (void) perm_trackers_hold(as(1), T);
    (void) perm_trackers_begin(as(1), T);
    (void) perm_trackers_lost(as(1), T + 10);

    ok(perm_trackers_valid(&trackers, T + 10) == PERM_TRACKERS_GAP
       && perm_trackers_refuse(&trackers, PERM_TRACKERS_FAILING),
       "not any more");
}


/* what happens meanwhile */

static void lose_1(void) { (void) perm_trackers_lost(as(1), T + 200); }
static void lose_2(void) { (void) perm_trackers_lost(as(2), T + 200); }
static void begin_2(void) { (void) perm_trackers_begin(as(2), T + 200); }

static void
hear_1(void)
{
    (void) perm_trackers_heard(as(1), T + 190, T + 200);
}


static void
hear_2(void)
{
    (void) perm_trackers_heard(as(2), T + 190, T + 200);
}


static void
moved(void)
{
    perm_trackers_moved(&trackers, T + 3000, T + 200);
}


/* 1: it ended, 0: it had fewer steps than "n" */

static int
interrupted(void (*one)(void), void (*other)(void), int n)
{
    at = n;
    meanwhile = other;

    if (setjmp(killed) == 0) {
        one();
    }

    if (at == 0) {
        return 1;
    }

    at = 0;

    return 0;
}


/* all interleavings: "setup", then "one" with "other" before each step of it */

static void
interleaved(const char *what, void (*setup)(void), void (*one)(void),
    void (*other)(void), ngx_uint_t (*good)(uint32_t before))
{
    int       n, wrong;
    uint32_t  before;

    for (n = 1, wrong = 0; n < STEPS; n++) {
        setup();
        before = epoch();

        if (!interrupted(one, other, n)) {
            break;
        }

        wrong += !good(before);
    }

    ok(n > 1 && n < STEPS && wrong == 0, "%s: %d of %d", what, wrong, n - 1);
}


static void both(void) { tracking(2, 2); }
static void first(void) { tracking(2, 1); }

/* what is pushed is not read for a while, by either of them */

static void
late(void)
{
    tracking(2, 2);
    trackers.covered = T + 200 - 2 * PERM_TRACKERS_LATE;
    trackers.moved = T - 10000;
    workers[1].since = T - 10000;
    workers[2].since = T - 10000;
}


static ngx_uint_t
nothing(uint32_t before)
{
    return !covered(T + 200) && epoch() == before;
}


/* the first one missed changes: whatever is trusted is distrusted before */

static ngx_uint_t
gap(uint32_t before)
{
    ngx_uint_t  good;

    good = !covered(T + 200) || epoch() != before;

    (void) perm_trackers_heard(as(2), T + 300, T + 310);

    return good && covered(T + 310) && epoch() != before
           && epoch() - before <= 2;
}


/* one that was killed: another one takes over */

static ngx_uint_t
taken_over(uint32_t before)
{
    (void) perm_trackers_begin(as(2), T + 300);

    return epoch() != before && epoch() - before <= 2 && covered(T + 300);
}


static ngx_uint_t
lost_one(uint32_t before)
{
    return covered(T + 200) && epoch() == before;
}


static ngx_uint_t
moving(uint32_t before)
{
    ngx_uint_t  good;

    good = !covered(T + 200);

    (void) perm_trackers_heard(as(1), T + 2000, T + 2010);
    good = good && !covered(T + 2010);

    (void) perm_trackers_heard(as(2), T + 3100, T + 3110);

    return good && covered(T + 3110) && epoch() == before + 1;
}


static void
test_interleaved(void)
{
    interleaved("both are lost", both, lose_1, lose_2, nothing);
    interleaved("one is lost, one begins", first, lose_1, begin_2, gap);
    interleaved("one begins, one is lost", first, begin_2, lose_1, gap);
    interleaved("one is lost, one hears", both, lose_1, hear_2, lost_one);
    interleaved("one hears, one is lost", both, hear_2, lose_1, lost_one);
    interleaved("both hear", both, hear_1, hear_2, lost_one);
    interleaved("masters move, one hears", both, moved, hear_2, moving);
    interleaved("one hears, masters move", both, hear_2, moved, moving);
    interleaved("masters move, one is back", late, moved, hear_2, moving);
    interleaved("one is back, masters move", late, hear_2, moved, moving);

    interleaved("one is killed as it is lost", first, lose_1, NULL,
                taken_over);
    interleaved("one is killed as it hears", first, hear_1, NULL, taken_over);
}


/* distrusted before "covered" moves: a reader may come between */

static uint32_t  epoch_before;
static int       unsafe;

static void
look(void)
{
    unsafe += covered(T + 5000) && epoch() == epoch_before;
}


static void begin_late(void) { (void) perm_trackers_begin(as(2), T + 5000); }

static ngx_uint_t
safe(uint32_t before)
{
    return !unsafe && covered(T + 5000) && epoch() == before + 1;
}


static void
dead_first(void)
{
    tracking(2, 1);
    dead[1] = 1;
    epoch_before = epoch();
}


int
main(void)
{
    cache = perm_cache_create(test_zone(NULL, 4 * 1024 * 1024), 1024 * 1024,
                              SEED);
    if (cache == NULL) {
        printf("Bail out! no memory\n");
        return 2;
    }

    test_alone();
    test_two();
    test_handover();
    test_ended();
    test_configurations();
    test_refused();
    test_interleaved();

    interleaved("a reader while one begins", dead_first, begin_late, look,
                safe);

    return done();
}
