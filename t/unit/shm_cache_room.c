
/*
 * A table of grants and names of all lengths: which have room, and whose.
 * sources: src/shm/slots.c src/shm/tuple.c src/shm/cache.c
 */


#include "shm_cache.h"


#define ZONE   (31 * 1024 * 1024 / 100 * 67)   /* of 32m */
#define SMALL  (512 * 1024)
#define TUPLES 8192                 /* more than fit into a small one */


static const size_t  lens[] = { 52, 80, PERM_TUPLE_MAX };

static unsigned  seen[TUPLES];


static ngx_uint_t
evicted(void)
{
    perm_cache_stat_t  stat;

    perm_cache_stat(cache, &stat);

    return stat.evicted;
}


/* stores tuples from "n" on until one makes room; returns the next one */

static unsigned
fill(unsigned n, size_t len)
{
    test_tuple_t  c;
    ngx_uint_t   before;

    before = evicted();

    while (evicted() == before) {
        store(test_tuple_sized(&c, n++, len), LATER, -1, 1);
    }

    return n;
}


/* how many of the tuples from "n" to "end" are known */

static unsigned
known(unsigned n, unsigned end, size_t len)
{
    unsigned            found;
    test_tuple_t        c;
    perm_cache_entry_t  entry;

    for (found = 0; n < end; n++) {
        found += lookup(test_tuple_sized(&c, n, len), &entry);
    }

    return found;
}


/* how many a walk sees; "seen" is how often, by the number of the tuple */

static unsigned
walk(void)
{
    char                names[PERM_TUPLE_MAX], digits[8];
    unsigned            n, number;
    ngx_int_t           rc;
    ngx_uint_t          cursor;
    perm_tuple_t        tuple;
    perm_cache_entry_t  entry;

    memset(seen, 0, sizeof(seen));

    n = 0;
    cursor = 0;

    for ( ;; ) {
        rc = perm_cache_next(cache, &cursor, &tuple, names, &entry);

        if (rc == NGX_DONE) {
            return n;
        }

        if (rc == NGX_OK) {
            memset(digits, 0, sizeof(digits));
            memcpy(digits, tuple.resource.data + tuple.resource.len - 7, 7);
            number = (unsigned) atoi(digits);

            seen[number % TUPLES]++;
            n++;
        }
    }
}


/* none of the first "n" was seen twice */

static int
once(unsigned n)
{
    unsigned  i;

    for (i = 0; i < n; i++) {
        if (seen[i] > 1) {
            return 0;
        }
    }

    return 1;
}


static void
test_room(void)
{
    unsigned  n;

    fresh(ZONE);
    n = fill(0, 52);
    ok(n > 105000, "room for %u tuples with names of 52 bytes", n - 1);

    fresh(ZONE);
    n = fill(0, 80);
    ok(n > 30000, "for %u with names of 80", n - 1);
    ok(known(0, 30000, 80) >= 29999, "all known");

    fresh(ZONE);
    n = fill(0, 110);
    ok(n > 30000, "for %u with names of 110", n - 1);

    fresh(ZONE);
    n = fill(0, PERM_TUPLE_MAX);
    ok(n > 3300, "for %u with the longest", n - 1);
}


static void
test_bigger(void)
{
    unsigned           n, last;
    test_tuple_t       c;
    perm_cache_stat_t  stat;

    fresh(SMALL);

    last = fill(0, 52);
    perm_cache_stat(cache, &stat);

    ok(stat.entries == last - 1 && stat.entries > stat.capacity * 95 / 100,
       "short names have all slots, %u of %d before one is evicted",
       last - 1, (int) stat.capacity);
    ok(known(0, last, 52) == last - 1, "and all but that one are found");
    ok(walk() == last - 1 && once(last), "and walked to once");

    /* long ones get theirs back */

    ngx_current_msec += 10000;

    for (n = 1; n < TUPLES / 4; n++) {
        store(test_tuple_sized(&c, n, 80), LATER, -1, 1);
    }

    n = known(0, TUPLES / 4, 80);
    ok(n > 500, "longer ones make the coldest of their slots go, %u", n);

    n = known(0, last, 52);
    ok(n > last / 2, "and no others, %u", n);
}


/* refreshed where it is, also when there is room where it should be by now */

static void
test_once(void)
{
    unsigned            n, last, good;
    test_tuple_t        c;
    perm_cache_stat_t   before, stat;
    perm_cache_entry_t  entry;

    fresh(SMALL);

    last = fill(0, 52);
    perm_cache_stat(cache, &before);

    for (n = 0; n < last; n += 2) {
        test_tuple_sized(&c, n, 52);

        if (lookup(&c.tuple, &entry)) {
            store(&c.tuple, -1, -1, 2);
        }
    }

    for (n = 1, good = 0; n < last; n += 2) {
        test_tuple_sized(&c, n, 52);

        if (!lookup(&c.tuple, &entry)) {
            good++;
            continue;
        }

        store(&c.tuple, LATER + n, -1, 3);
        store(&c.tuple, LATER, -1, 2);

        good += (lookup(&c.tuple, &entry)
                 && entry.fetched == 3
                 && entry.grants.gateway == LATER + n);
    }

    perm_cache_stat(cache, &stat);

    ok(good == last / 2, "refreshed, and not by an older answer, %u of %u",
       good, last / 2);
    ok(stat.entries == before.entries && stat.evicted == before.evicted
       && stat.denied >= stat.entries / 2 - 1, "each where it was");
    ok(walk() == stat.entries && once(last), "no tuple is in two slots");
    ok(known(0, last, 52) == stat.entries, "and none was lost");

    /* where a grant was, a denial may be, and makes room at once */

    for (n = last; n < last + last / 8; n++) {
        store(test_tuple_sized(&c, n, 52), LATER, -1, 1);
    }

    for (n = 1, good = 0; n < last; n += 2) {
        good += lookup(test_tuple_sized(&c, n, 52), &entry);
    }

    ok(good >= last / 2 - 2, "denials make room in all slots, grants do not");
}


static void
test_denials(void)
{
    unsigned           n, room[2], last;
    test_tuple_t       c;
    perm_cache_stat_t  stat;

    /* how many longer ones fit, without denials and with many of them */

    fresh(SMALL);
    room[0] = fill(0, 80);

    fresh(SMALL);

    for (n = 0; n < 100000; n++) {
        store(test_tuple_sized(&c, n, 52), -1, -1, 1);
    }

    perm_cache_stat(cache, &stat);
    ok(stat.denied > 100 && stat.denied <= stat.capacity / 4,
       "denials have their share, %d", (int) stat.denied);

    room[1] = fill(0, 80);

    ok(room[1] == room[0], "of the slots of their names and of no others");

    /* nor do they push anything out of those that are full */

    fresh(SMALL);
    last = fill(0, 52);

    for (n = 0; n < 100000; n++) {
        store(test_tuple_sized(&c, 1000000 + n, 52), -1, -1, 1);
    }

    perm_cache_stat(cache, &stat);
    ok(stat.denied == 0 && stat.evicted == 1 && known(0, last, 52) == last - 1,
       "and none when all is full of grants");
}


static void
test_mixed(void)
{
    unsigned           n, k, found;
    test_tuple_t       c;
    perm_cache_stat_t  stat;

    fresh(SMALL);

    for (n = 0; n < TUPLES; n++) {
        ngx_current_msec += 1000;
        store(test_tuple_sized(&c, n, lens[n % 3]), LATER, -1, 1);
    }

    perm_cache_stat(cache, &stat);
    ok(stat.entries == stat.capacity
       && stat.entries + stat.evicted == TUPLES
       && stat.displaced == stat.evicted,
       "all sizes: every slot is used, %d", (int) stat.entries);
    ok(walk() == stat.entries && once(TUPLES), "no tuple has two");

    for (n = TUPLES - 60, found = 0; n < TUPLES; n++) {
        found += known(n, n + 1, lens[n % 3]);
    }

    ok(found == 60, "the newest of all sizes are known, %u", found);

    for (k = 0, found = 0; k < 3; k++) {
        for (n = k; n < TUPLES; n += 3) {
            found += known(n, n + 1, lens[k]);
        }
    }

    ok(found == stat.entries, "and as many as there are entries");

    /* a flood of short names, used more than the others */

    fresh(SMALL);

    for (n = 0; n < 20; n++) {
        store(test_tuple_sized(&c, n, PERM_TUPLE_MAX), LATER, -1, 1);
        store(test_tuple_sized(&c, n, 80), LATER, -1, 1);
    }

    for (n = 0; n < 100000; n++) {
        ngx_current_msec += 10;
        store(test_tuple_sized(&c, n, 52), LATER, -1, 1);
    }

    ok(known(0, 20, PERM_TUPLE_MAX) == 20 && known(0, 20, 80) == 20,
       "short names push no longer ones out");
}


static void
test_tiny(void)
{
    unsigned     n;
    test_tuple_t  c;

    fresh(138 * 1024);

    for (n = 0; n < 3; n++) {
        store(test_tuple_sized(&c, n, lens[n]), LATER, -1, 1);
    }

    ok(known(0, 1, lens[0]) + known(1, 2, lens[1]) + known(2, 3, lens[2]) == 3
       && walk() == 3, "the smallest table has room for each size");
    ok(perm_cache_create(shpool, 50 * 1024, SEED) == NULL,
       "a smaller one does not fit");
}


int
main(void)
{
    test_room();
    test_tiny();
    test_bigger();
    test_once();
    test_denials();
    test_mixed();

    return done();
}
