
/*
 * A table of grants that is full: who makes room for whom.
 * sources: src/shm/slots.c src/shm/tuple.c src/shm/cache.c
 */


#include "shm_cache.h"


static void
test_capacity(void)
{
    unsigned            n;
    ngx_uint_t          found;
    test_tuple_t        c;
    perm_cache_stat_t   stat;
    perm_cache_entry_t  entry;

    /* the share of a zone of 32m */

    fresh(32 * 1024 * 1024 / 100 * 60);

    for (n = 0; n < 100000; n++) {
        store(test_tuple_nth(&c, n), LATER + n, -1, 1);
    }

    perm_cache_stat(cache, &stat);

    ok(stat.entries == 100000 && stat.evicted == 0,
       "100,000 entries fit, %d evicted", (int) stat.evicted);
    ok(stat.capacity >= 115000, "of %d", (int) stat.capacity);

    for (n = 0, found = 0; n < 100000; n++) {
        found += lookup(test_tuple_nth(&c, n), &entry)
                 && entry.grants.gateway == LATER + n;
    }

    ok(found == 100000, "all of them are found");

    for (n = 100000; n < 300000; n++) {
        ngx_current_msec += 10;
        store(test_tuple_nth(&c, n), LATER + n, -1, 1);
    }

    perm_cache_stat(cache, &stat);

    ok(stat.entries <= stat.capacity && stat.evicted > 0
       && stat.entries + stat.evicted == 300000, "full, the rest made room");

    for (n = 290000, found = 0; n < 300000; n++) {
        found += lookup(test_tuple_nth(&c, n), &entry);
    }

    ok(found == 10000, "the newest 10,000 are all there (%d)", (int) found);
}


static void
test_denials(void)
{
    unsigned            n;
    ngx_uint_t          found;
    test_tuple_t        c;
    perm_cache_stat_t   stat, before;
    perm_cache_entry_t  entry;

    fresh(1024 * 1024);

    perm_cache_stat(cache, &before);

    for (n = 0; n < before.capacity / 2; n++) {
        store(test_tuple_nth(&c, n), LATER, -1, 1);
    }

    perm_cache_stat(cache, &before);

    for (n = 1000000; n < 1200000; n++) {
        ngx_current_msec += 1;
        store(test_tuple_nth(&c, n), -1, -1, 1);
    }

    perm_cache_stat(cache, &stat);

    ok(stat.denied <= stat.capacity / 4, "denials have a quarter, %d of %d",
       (int) stat.denied, (int) stat.capacity);
    ok(stat.denied > stat.capacity / 8, "and use it");
    ok(stat.entries - stat.denied == before.entries - before.denied,
       "no grant made room for one");

    ngx_current_msec += 5000;

    for (n = 0; n < 100000; n++) {
        store(test_tuple_nth(&c, n), LATER, -1, 2);
    }

    perm_cache_stat(cache, &stat);
    ok(stat.denied == 0, "grants push denials out, %d left",
       (int) stat.denied);

    /* a full table of grants */

    for (n = 2000000; n < 2010000; n++) {
        store(test_tuple_nth(&c, n), -1, -1, 1);
    }

    for (n = 2000000, found = 0; n < 2010000; n++) {
        found += lookup(test_tuple_nth(&c, n), &entry);
    }

    ok(found == 0, "with nothing but grants there, denials are not kept");

    /* a grant that ends is a denial in the same place */

    store(test_tuple_nth(&c, 99999), LATER, -1, 3);
    perm_cache_stat(cache, &before);
    store(&c.tuple, -1, -1, 4);
    perm_cache_stat(cache, &stat);
    ok(lookup(&c.tuple, &entry) && entry.grants.gateway == -1
       && stat.denied == before.denied + 1 && stat.entries == before.entries,
       "a revoked grant turns into a denial where it is");
}


int
main(void)
{
    test_capacity();
    test_denials();

    return done();
}
