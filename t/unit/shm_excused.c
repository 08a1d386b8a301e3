
/*
 * What is excused while the table is being loaded: what was reported after the
 * doubt, and nothing else, also while another worker hears of more.
 * sources: src/shm/slots.c src/shm/tuple.c src/shm/cache.c
 * sources: src/shm/cache_store.c
 */


#include "shm_stub.h"

#include <sys/wait.h>

#include "shm/cache.h"


#define SEED    UINT64_C(0x0f1e2d3c4b5a6978)
#define LATER   INT64_C(4000000000)
#define ROUNDS  20
#define CHANGES 60000   /* as many as are counted, at most */


static perm_cache_t  *cache;
static int64_t        told;    /* ms */


static void
store(perm_tuple_t *tuple)
{
    perm_grants_t  grants;

    grants.gateway = -1;
    grants.resource = LATER;

    perm_cache_store(cache, tuple, perm_tuple_hash(tuple, SEED), grants, 1,
                     ++told,
                     perm_cache_generation(cache, tuple->gateway, tuple->app));
}


static void
change(perm_tuple_t *tuple)
{
    perm_cache_invalidate(cache, tuple->gateway, tuple->app);
}


static ngx_uint_t
excused(perm_tuple_t *tuple)
{
    perm_cache_entry_t  entry;

    (void) perm_cache_lookup(cache, tuple, perm_tuple_hash(tuple, SEED), 0,
                             &entry);

    return perm_cache_excused(cache, tuple, &entry);
}


static void
test_order(void)
{
    stub_call_t  before, after, both;

    stub_call(&before, "gw", "res", "before");
    stub_call(&after, "gw", "res", "after");
    stub_call(&both, "gw", "res", "both");

    store(&before.tuple);
    store(&after.tuple);
    store(&both.tuple);

    change(&before.tuple);
    change(&both.tuple);
    perm_cache_excuse(cache);
    change(&after.tuple);
    change(&both.tuple);

    ok(!excused(&before.tuple), "changed before: not excused");
    ok(excused(&after.tuple), "changed after it: excused");
    ok(!excused(&both.tuple), "changed before and after it: not excused");

    perm_cache_excuse(cache);
    ok(!excused(&after.tuple), "another doubt: what was before it counts");
}


static void
test_meanwhile(void)
{
    int          i, n, wrong, looks;
    pid_t        pid;
    stub_call_t  a;

    stub_call(&a, "gw", "res", "revoked");

    for (i = 0, wrong = 0, looks = 0; i < ROUNDS; i++) {
        store(&a.tuple);
        change(&a.tuple);
        perm_cache_excuse(cache);

        pid = fork();

        if (pid == 0) {
            for (n = 0; n < CHANGES; n++) {
                change(&a.tuple);
            }

            _exit(0);
        }

        while (waitpid(pid, NULL, WNOHANG) == 0) {
            wrong += excused(&a.tuple);
            looks++;
        }
    }

    ok(wrong == 0, "revoked before it: excused %d times of %d", wrong, looks);
}


int
main(void)
{
    ngx_slab_pool_t  *shpool;

    shpool = stub_pool(2 * 1024 * 1024);
    cache = perm_cache_create(shpool, 1024 * 1024, SEED);

    if (cache == NULL) {
        printf("Bail out! no cache\n");
        return 2;
    }

    test_order();
    test_meanwhile();

    return done();
}
