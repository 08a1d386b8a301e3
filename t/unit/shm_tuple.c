
/*
 * Names that are alike are not the same to the hash: what changes for one app
 * would count for the other, with that seed for as long as nginx runs.
 * sources: src/shm/tuple.c
 */


#include "nginx_test.h"

#include "shm/tuple.h"


#define SEEDS  2000


static void
differ(const char *one, const char *other)
{
    uint64_t      seed;
    unsigned      n, same;
    perm_str_t    gateway;
    perm_tuple_t  a, b;

    gateway = str("smoke");

    a.gateway = b.gateway = gateway;
    a.resource = b.resource = str("get");
    a.app = str(one);
    b.app = str(other);

    for (n = 0, same = 0; n < SEEDS; n++) {
        seed = (uint64_t) random() << 33 ^ (uint64_t) random() << 11
               ^ (uint64_t) random();

        same += perm_tuple_key_hash(gateway, a.app, seed)
                == perm_tuple_key_hash(gateway, b.app, seed);
        same += perm_tuple_hash(&a, seed) == perm_tuple_hash(&b, seed);
    }

    ok(same == 0, "%s and %s: the same hash %u times of %u", one, other, same,
       2 * SEEDS);
}


int
main(void)
{
    differ("a", "aa");
    differ("m1", "m10");
    differ("m3", "m34");
    differ("11", "111");
    differ("100", "1000");
    differ("1000", "10000");
    differ("demo", "demo1");
    differ("10000000", "100000000");
    differ("app11111", "app111111");
    differ("aaaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaaa");
    differ("abbbbbbax", "abbbbbbbax");
    differ("m1", "m2");

    return done();
}
