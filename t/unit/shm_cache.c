
/*
 * The table of grants.
 * sources: src/shm/slots.c src/shm/tuple.c src/shm/cache.c
 *
 * With the arguments "lookup ENTRIES LOOKUPS" it does just that, to be run
 * under callgrind.
 */


#include "shm_cache.h"


/* with another tuple's hash */

static int
lookup_as(perm_tuple_t *tuple, perm_tuple_t *other)
{
    perm_cache_entry_t  entry;

    return perm_cache_lookup(cache, tuple, perm_tuple_hash(other, SEED), 0,
                             &entry)
           == NGX_OK;
}


static void
test_lookup(void)
{
    test_tuple_t        a, b;
    perm_tuple_t       *tuple;
    perm_cache_entry_t  entry;

    fresh(1024 * 1024);

    tuple = test_tuple(&a, "gw", "res", "app");

    ok(!lookup(tuple, &entry), "an empty table has nothing");

    store(tuple, -1, LATER, 5);

    ok(lookup(tuple, &entry), "a stored entry is found");
    ok(entry.grants.gateway == -1 && entry.grants.resource == LATER
       && entry.fetched == 5, "as it was stored");
    ok(entry.trusted && entry.unchanged, "and trusted");

    ok(!lookup(test_tuple(&b, "gwr", "es", "app"), &entry)
       && !lookup(test_tuple(&b, "gw", "resa", "pp"), &entry)
       && !lookup(test_tuple(&b, "gwa", "res", "pp"), &entry)
       && !lookup(test_tuple(&b, "gw", "res", "apq"), &entry)
       && !lookup(test_tuple(&b, "gv", "res", "app"), &entry)
       && !lookup(test_tuple(&b, "gw", "rer", "app"), &entry),
       "other names are other tuples, whatever they look like joined");

    ok(!lookup_as(test_tuple(&b, "gw", "res", "apq"), tuple)
       && !lookup_as(test_tuple(&b, "gw", "rer", "app"), tuple)
       && !lookup_as(test_tuple(&b, "gv", "res", "app"), tuple)
       && !lookup_as(test_tuple(&b, "gwr", "es", "app"), tuple)
       && lookup_as(test_tuple(&b, "gw", "res", "app"), tuple),
       "the same hash alone finds nothing");

    store(tuple, LATER + 1, -2, 4);
    ok(lookup(tuple, &entry) && entry.fetched == 5,
       "an older answer does not replace a newer one");

    store(tuple, LATER + 1, -2, 6);
    ok(lookup(tuple, &entry) && entry.fetched == 6
       && entry.grants.gateway == LATER + 1 && entry.grants.resource == -2,
       "a newer one does");
}


static void
test_long_names(void)
{
    int                 good;
    size_t              len;
    test_tuple_t        c;
    perm_cache_entry_t  entry;
    char                gateway[PERM_GATEWAY_MAX + 1];
    char                resource[PERM_RESOURCE_MAX + 1];
    char                app[PERM_APP_MAX + 1];

    good = 1;

    for (len = 1; len <= PERM_RESOURCE_MAX; len++) {
        memset(gateway, 'g', sizeof(gateway));
        memset(resource, 'r', sizeof(resource));
        memset(app, 'a', sizeof(app));

        gateway[ngx_min(len, PERM_GATEWAY_MAX)] = '\0';
        resource[len] = '\0';
        app[ngx_min(len, PERM_APP_MAX)] = '\0';

        store(test_tuple(&c, gateway, resource, app), LATER + len, -1, 1);

        good &= lookup(&c.tuple, &entry)
                && entry.grants.gateway == (int64_t) (LATER + len);
    }

    ok(good, "names of all lengths up to %d bytes", PERM_TUPLE_MAX);

    len = PERM_RESOURCE_MAX + 1;
    c.tuple.resource.len = len;
    store(&c.tuple, LATER, -1, 1);
    ok(!lookup(&c.tuple, &entry), "longer ones are not stored");
}


static void
test_generations(void)
{
    test_tuple_t        a, b, c;
    perm_grants_t       grants = { LATER, -1, PERM_GRANTS_ENDLESS };
    perm_generation_t   before;
    perm_cache_entry_t  entry;

    fresh(1024 * 1024);

    test_tuple(&a, "gw", "res", "app");
    test_tuple(&b, "gw", "other", "app");
    test_tuple(&c, "gw", "res", "somebody");

    store(&a.tuple, LATER, -1, 1);
    store(&b.tuple, LATER, -1, 1);
    store(&c.tuple, LATER, -1, 1);

    before = perm_cache_generation(cache, a.tuple.gateway, a.tuple.app);
    perm_cache_invalidate(cache, a.tuple.gateway, a.tuple.app, 0);

    ok(lookup(&a.tuple, &entry) && !entry.trusted && !entry.unchanged
       && lookup(&b.tuple, &entry) && !entry.trusted && !entry.unchanged,
       "a change of a key is one of all its resources");
    ok(lookup(&c.tuple, &entry) && entry.trusted, "and of no other app");

    perm_cache_store(cache, &a.tuple, perm_tuple_hash(&a.tuple, SEED), grants,
                     1, 9, before);
    ok(lookup(&a.tuple, &entry) && entry.fetched == 9 && !entry.trusted,
       "an answer that raced with a change is not trusted");

    store(&a.tuple, LATER, -1, 3);
    ok(lookup(&a.tuple, &entry) && entry.trusted && entry.fetched == 3,
       "one that was asked for after it is");

    perm_cache_store(cache, &a.tuple, perm_tuple_hash(&a.tuple, SEED), grants,
                     1, 99, before);
    ok(lookup(&a.tuple, &entry) && entry.trusted && entry.fetched == 3,
       "and is not replaced by one from before it");

    before = perm_cache_generation(cache, a.tuple.gateway, a.tuple.app);
    before.untracked = 1;
    perm_cache_store(cache, &a.tuple, perm_tuple_hash(&a.tuple, SEED), grants,
                     1, 4, before);
    ok(lookup(&a.tuple, &entry) && entry.fetched == 4 && !entry.trusted
       && entry.unchanged,
       "one of a server that may push no changes is unchanged");

    store(&a.tuple, LATER, -1, 5);
    ok(lookup(&a.tuple, &entry) && entry.trusted && entry.fetched == 5,
       "and is replaced by one of a server that pushes them");

    perm_cache_distrust(cache);
    ok(lookup(&a.tuple, &entry) && !entry.trusted && entry.unchanged
       && lookup(&c.tuple, &entry) && !entry.trusted && entry.unchanged,
       "after a gap all are distrusted, and unchanged");
}


/* a bulk write is no reason to forget those whose keys it left alone */

static void
test_changes_of_others(void)
{
    int                 i, lost;
    char                app[32];
    test_tuple_t        known;
    perm_str_t          gateway, other;
    perm_cache_entry_t  entry;

    fresh(20 * 1024 * 1024);

    for (i = 0; i < 1000; i++) {
        snprintf(app, sizeof(app), "known-%d", i);
        test_tuple(&known, "gw", "res", app);
        store(&known.tuple, LATER, -1, 1);
    }

    gateway.data = "gw";
    gateway.len = 2;
    other.data = app;

    for (i = 0; i < 10000; i++) {
        other.len = snprintf(app, sizeof(app), "other-%d", i);
        perm_cache_invalidate(cache, gateway, other, 0);
    }

    for (i = 0, lost = 0; i < 1000; i++) {
        snprintf(app, sizeof(app), "known-%d", i);
        test_tuple(&known, "gw", "res", app);
        lost += !(lookup(&known.tuple, &entry) && entry.unchanged);
    }

    ok(lost < 20, "10,000 changes of others cost %d of 1000", lost);
}


static void
test_marks(void)
{
    test_tuple_t        a;
    perm_cache_entry_t  entry, old;

    fresh(1024 * 1024);

    store(test_tuple(&a, "gw", "res", "app"), LATER, -1, 1);
    lookup(&a.tuple, &entry);

    ok(perm_cache_claim(&entry, 5000, 1000) == 1, "one claims it");
    ok(perm_cache_claim(&entry, 5999, 1000) == 0, "no other one does");
    ok(perm_cache_claim(&entry, 6000, 1000) == 1,
       "until nothing came of it");
    ok(lookup(&a.tuple, &entry), "a claimed entry is found");

    old = entry;
    store(&a.tuple, LATER, -1, 2);

    ok(perm_cache_claim(&old, 9000, 1000) == 0,
       "a refreshed entry cannot be claimed as it was");
    lookup(&a.tuple, &entry);
    ok(perm_cache_claim(&entry, 6001, 1000) == 1, "but as it is");

    ok(!perm_cache_accessed(&entry, 1700000000), "no access was noted");
    perm_cache_note_access(&entry, 1700000000);
    lookup(&a.tuple, &entry);
    ok(perm_cache_accessed(&entry, 1700000000), "one was");
    ok(!perm_cache_accessed(&entry, 1700000001), "not of the next second");

    perm_cache_note_access(&old, 1700000002);
    lookup(&a.tuple, &entry);
    ok(!perm_cache_accessed(&entry, 1700000002),
       "a note of the entry before counts for nothing");
}


static void
test_next(void)
{
    char                names[PERM_TUPLE_MAX];
    ngx_int_t           rc;
    ngx_uint_t          cursor, n, again, small;
    perm_tuple_t        tuple;
    test_tuple_t        c;
    perm_cache_entry_t  entry, found;

    fresh(8 * 1024 * 1024);

    for (n = 0; n < 20; n++) {
        store(test_tuple_nth(&c, n), LATER + n, -1, 1);
    }

    memset(c.resource, 'r', PERM_RESOURCE_MAX);
    c.tuple.resource.len = PERM_RESOURCE_MAX;
    store(&c.tuple, LATER, -1, 1);

    n = 0;
    again = 0;
    small = 1;
    cursor = 0;

    for ( ;; ) {
        rc = perm_cache_next(cache, &cursor, &tuple, names, &entry);

        if (rc == NGX_DONE) {
            break;
        }

        if (rc == NGX_AGAIN) {
            again++;
            continue;
        }

        small &= lookup(&tuple, &found)
                 && found.grants.gateway == entry.grants.gateway;
        n++;
    }

    ok(n == 21 && small, "a walk finds each entry once");
    ok(again > 0, "in bounded steps");
}


/* what is left of a worker that was killed while it wrote */

static void
test_heal(void)
{
    test_tuple_t        c;
    perm_cache_stat_t   stat;
    perm_cache_entry_t  entry;

    fresh(1024 * 1024);

    store(test_tuple_nth(&c, 1), LATER, -1, 1);
    lookup(&c.tuple, &entry);

    *(uint64_t *) entry.slot += (uint64_t) 1 << 32;

    ok(!lookup(&c.tuple, &entry), "a slot that is being written is not read");

    store(&c.tuple, LATER + 1, -1, 1);
    ok(lookup(&c.tuple, &entry) && entry.grants.gateway == LATER + 1
       && entry.trusted, "and heals when it is written again");

    perm_cache_stat(cache, &stat);
    ok(stat.entries <= 2, "with the count no further off than that");
}


static int
bench(unsigned entries, unsigned lookups)
{
    unsigned            n, found;
    uint64_t            hash;
    test_tuple_t        c;
    perm_cache_entry_t  entry;

    fresh((size_t) entries * 220 + 1024 * 1024);

    for (n = 0; n < entries; n++) {
        store(test_tuple_nth(&c, n), LATER, -1, 1);
    }

    for (n = 0, found = 0; n < lookups; n++) {
        test_tuple_nth(&c, (unsigned) (n * 2654435761u) % entries);
        hash = perm_tuple_hash(&c.tuple, SEED);
        found += perm_cache_lookup(cache, &c.tuple, hash, ngx_current_msec,
                                   &entry)
                 == NGX_OK;
    }

    printf("%u of %u found\n", found, lookups);

    return 0;
}


int
main(int argc, char **argv)
{
    if (argc == 4) {
        return bench(atoi(argv[2]), atoi(argv[3]));
    }

    test_lookup();
    test_long_names();
    test_generations();
    test_changes_of_others();
    test_marks();
    test_next();
    test_heal();

    return done();
}
