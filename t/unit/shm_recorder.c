
/*
 * The table of last accesses.
 * sources: src/shm/slots.c src/shm/tuple.c src/shm/recorder.c
 */


#include "shm_recorder.h"


static int
is(perm_str_t name, const char *text)
{
    return name.len == strlen(text) && memcmp(name.data, text, name.len) == 0;
}


static void
test_record(void)
{
    test_tuple_t          c;
    perm_recorder_stat_t  stat;

    fresh(1024 * 1024);

    ok(take() == 0, "nothing is pending at first");

    ok(record(test_tuple(&c, "gw", "res", "app"), T) == NGX_OK, "recorded");
    ok(take() == 1 && accesses[0].last == T
       && is(accesses[0].tuple.gateway, "gw")
       && is(accesses[0].tuple.resource, "res")
       && is(accesses[0].tuple.app, "app"), "and pending, with its names");

    record(&c.tuple, T);
    record(&c.tuple, T - 5);
    ok(take() == 1 && accesses[0].last == T, "an older second changes nothing");

    record(&c.tuple, T + 3);
    ok(take() == 1 && accesses[0].last == T + 3, "a newer one is kept");

    perm_recorder_stat(recorder, &stat);
    ok(stat.recorded == 2 && stat.pending == 1 && stat.flushed == 0
       && stat.dropped == 0 && stat.oldest == T,
       "counted, pending since the first");

    flushed(&accesses[0]);
    ok(take() == 0, "an acknowledged access is not pending");

    perm_recorder_stat(recorder, &stat);
    ok(stat.pending == 0 && stat.flushed == 1 && stat.oldest == 0,
       "and counted");

    record(&c.tuple, T + 3);
    ok(take() == 0, "nor is it after the same second again");

    record(&c.tuple, T + 9);
    ok(take() == 1 && accesses[0].last == T + 9, "but after a newer one");

    perm_recorder_stat(recorder, &stat);
    ok(stat.oldest == T + 9, "pending since then");
}


static void
test_races(void)
{
    test_tuple_t            c;
    perm_recorder_stat_t    stat;
    perm_recorder_access_t  old;

    fresh(1024 * 1024);

    record(test_tuple(&c, "gw", "res", "app"), T);
    take();
    old = accesses[0];

    record(&c.tuple, T + 1);
    flushed(&old);
    ok(take() == 1 && accesses[0].last == T + 1,
       "a second recorded before the answer came stays pending");

    perm_recorder_stat(recorder, &stat);
    ok(stat.oldest == T + 1, "since that second");

    flushed(&accesses[0]);
    flushed(&old);
    ok(take() == 0, "answers may come in any order");

    perm_recorder_stat(recorder, &stat);
    ok(stat.flushed == 2, "and twice, counted once");

    old = accesses[0];
    old.version += 2;
    record(&c.tuple, T + 2);
    old.last = T + 2;
    flushed(&old);
    ok(take() == 1, "an answer for another version acknowledges nothing");
}


static void
test_full(void)
{
    int                    good;
    unsigned               n;
    ngx_uint_t             kept, dropped, i, got;
    test_tuple_t           c;
    perm_recorder_stat_t   stat;

    fresh(80 * 1024);

    perm_recorder_stat(recorder, &stat);
    kept = 0;
    dropped = 0;

    for (n = 0; n < 2000; n++) {
        if (record(test_tuple_nth(&c, n), T + n) == NGX_OK) {
            kept++;

        } else {
            dropped++;
        }
    }

    ok(kept <= stat.capacity && kept > stat.capacity * 8 / 10,
       "%d of %d slots are used before anything is dropped",
       (int) kept, (int) stat.capacity);

    perm_recorder_stat(recorder, &stat);
    ok(stat.pending == kept && stat.dropped == dropped
       && stat.oldest == T, "the others are dropped and counted");
    ok(perm_recorder_dropped(recorder) == dropped, "cheaply, too");

    got = take();
    ok(got == kept, "what is pending is all there");

    /* every other one is acknowledged: that much room there is */

    for (i = 0; i < got; i += 2) {
        flushed(&accesses[i]);
    }

    perm_recorder_stat(recorder, &stat);
    kept = stat.pending;

    for (n = 5000, i = 0; n < 7000; n++) {
        i += (record(test_tuple_nth(&c, n), T + n) == NGX_OK);
    }

    perm_recorder_stat(recorder, &stat);
    ok(i > kept / 2 && stat.pending == kept + i,
       "flushed slots make room, %d, and no other", (int) i);

    got = take();
    good = 1;

    for (i = 0; i < got; i++) {
        n = (unsigned) (accesses[i].last - T);
        test_tuple_nth(&c, n);
        good &= is(accesses[i].tuple.app, c.app)
                && is(accesses[i].tuple.resource, c.resource);
    }

    ok(good, "each with the names it was recorded for");
}


static void
test_cursor(void)
{
    unsigned     n;
    ngx_uint_t   cursor, taken, calls;
    test_tuple_t  c;

    fresh(16 * 1024 * 1024);

    for (n = 0; n < 5000; n++) {
        record(test_tuple_nth(&c, n), T);
    }

    cursor = 0;
    taken = 0;
    calls = 0;

    do {
        taken += perm_recorder_take(recorder, &cursor, accesses, 100);
        calls++;
    } while (cursor != 0);

    ok(taken == 5000, "a walk takes each once");
    ok(calls > 50 && calls < 60, "a hundred a call");

    cursor = 1000000000;
    ok(perm_recorder_take(recorder, &cursor, accesses, 100) == 0
       && cursor == 0, "a cursor from nowhere is at the end");

    for (n = 0, calls = 0; n < 1; calls++) {
        taken = perm_recorder_take(recorder, &cursor, accesses, 0);
        n += (taken == 0);
    }

    ok(n == 1, "none are taken when none are wanted");
}


int
main(void)
{
    test_record();
    test_races();
    test_full();
    test_cursor();

    return done();
}
