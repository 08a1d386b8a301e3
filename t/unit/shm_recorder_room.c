
/*
 * A table of last accesses and names of all lengths: which have room.
 * sources: src/shm/slots.c src/shm/tuple.c src/shm/recorder.c
 */


#include "shm_recorder.h"


#define ZONE   (31 * 1024 * 1024 / 100 * 30)   /* of 32m */
#define SMALL  (200 * 1024)


static const size_t  lens[] = { 52, 80, PERM_TUPLE_MAX };

/* where a tuple was last, by its number */

static perm_recorder_access_t  where[TAKEN];


/* records tuples from "n" on until one is dropped; returns its number */

static unsigned
fill(unsigned n, size_t len)
{
    test_tuple_t  c;

    while (record(test_tuple_sized(&c, n, len), T) == NGX_OK) {
        n++;
    }

    return n;
}


static unsigned
number_of(perm_tuple_t *tuple)
{
    char  digits[8];

    memset(digits, 0, sizeof(digits));
    memcpy(digits, tuple->resource.data + tuple->resource.len - 7, 7);

    return (unsigned) atoi(digits);
}


/* takes all there is; returns how many tuples below "n" were in it just once */

static unsigned
once(unsigned n)
{
    unsigned         good;
    ngx_uint_t       i, taken;
    static unsigned  seen[TAKEN];

    memset(seen, 0, sizeof(seen));
    taken = take();

    for (i = 0; i < taken; i++) {
        seen[number_of(&accesses[i].tuple) % TAKEN]++;
    }

    for (i = 0, good = 0; i < n; i++) {
        good += (seen[i] == 1);
    }

    return (taken == good) ? good : 0;
}


static void
acknowledge(ngx_uint_t every)
{
    ngx_uint_t  i, taken;

    taken = take();

    for (i = 0; i < taken; i += every) {
        flushed(&accesses[i]);
    }
}


static void
test_room(void)
{
    unsigned  n;

    fresh(ZONE);
    n = fill(0, 52);
    ok(n >= 75000, "room for %u accesses with names of 52 bytes", n);

    fresh(ZONE);
    n = fill(0, 80);
    ok(n >= 18000, "for %u with names of 80", n);

    fresh(ZONE);
    n = fill(0, 116);
    ok(n >= 18000, "for %u with names of 116", n);

    fresh(ZONE);
    n = fill(0, PERM_TUPLE_MAX);
    ok(n >= 2000, "for %u with the longest", n);
}


static void
test_bigger(void)
{
    unsigned              n, last;
    test_tuple_t          c;
    perm_recorder_stat_t  stat;

    fresh(SMALL);

    last = fill(0, 52);
    perm_recorder_stat(recorder, &stat);

    ok(stat.pending == last && last > stat.capacity * 95 / 100,
       "short names have all slots, %u of %d before one is dropped", last,
       (int) stat.capacity);
    ok(once(last) == last, "each is taken once");

    /* known ones are recorded where they are, acknowledged or not */

    acknowledge(2);

    for (n = 0; n < last; n++) {
        record(test_tuple_sized(&c, n, 52), T + 1);
    }

    perm_recorder_stat(recorder, &stat);
    ok(stat.pending == last && once(last) == last && stat.dropped == 1,
       "no tuple is in two slots");

    for (n = 0; n < last && accesses[n].last == T + 1; n++) { /* void */ }

    ok(n == last, "the newer second of each is kept");

    acknowledge(1);
    perm_recorder_stat(recorder, &stat);
    ok(stat.pending == 0 && stat.flushed == last + (last + 1) / 2
       && take() == 0, "all can be acknowledged");

    /* and make room then for any */

    n = fill(0, 80);
    ok(n > 300, "longer ones have their own slots back, %u", n);
    ok(once(n) == n, "each of them once");
}


/* what is known costs less to record again: it goes last */

static void
test_acknowledged(void)
{
    unsigned     n, last, same;
    ngx_uint_t   i, taken;
    test_tuple_t  c;

    fresh(SMALL);
    last = fill(0, 52) * 9 / 10;

    fresh(SMALL);

    for (n = 0; n < last; n++) {
        record(test_tuple_sized(&c, n, 52), T);
        (void) take();
        where[n] = accesses[0];
        flushed(&accesses[0]);
    }

    for (n = 0; n < last; n++) {
        record(test_tuple_sized(&c, n, 52), T + 1);
    }

    taken = take();

    for (i = 0, same = 0; i < taken; i++) {
        n = number_of(&accesses[i].tuple);
        same += (where[n].slot == accesses[i].slot
                 && where[n].version == accesses[i].version);
    }

    ok(taken == last && same == last,
       "a free slot is taken before an acknowledged one, %u of %u", same,
       last);
}


static void
test_mixed(void)
{
    unsigned              n, kept;
    test_tuple_t          c;
    perm_recorder_stat_t  stat;

    fresh(SMALL);

    for (n = 0, kept = 0; n < TAKEN; n++) {
        kept += (record(test_tuple_sized(&c, n, lens[n % 3]), T) == NGX_OK);
    }

    perm_recorder_stat(recorder, &stat);
    ok(kept == stat.pending && stat.pending + stat.dropped == TAKEN
       && kept > stat.capacity * 95 / 100,
       "all sizes: every slot is used, %u", kept);
    ok(once(TAKEN) == kept, "each access is taken once");

    acknowledge(1);

    for (n = 0, kept = 0; n < 100; n++) {
        kept += (record(test_tuple_sized(&c, n, lens[n % 3]), T + 1) == NGX_OK);
    }

    ok(kept == 100 && once(TAKEN) == 100, "and all have room again");
}


static void
test_tiny(void)
{
    unsigned     n, kept;
    test_tuple_t  c;

    fresh(7 * 1024);

    for (n = 0, kept = 0; n < 3; n++) {
        kept += (record(test_tuple_sized(&c, n, lens[n]), T) == NGX_OK);
    }

    ok(kept == 3 && once(3) == 3, "the smallest table has room for each size");
    ok(perm_recorder_create(shpool, 5 * 1024) == NULL,
       "a smaller one does not fit");
}


int
main(void)
{
    test_room();
    test_tiny();
    test_bigger();
    test_acknowledged();
    test_mixed();

    return done();
}
