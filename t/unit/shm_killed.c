
/*
 * Workers killed while they write: readers never see a torn entry, nothing
 * that was recorded is lost, and what they left heals.
 * Trackers that are killed are in shm_trackers.c, at each step.
 * sources: src/shm/slots.c src/shm/tuple.c src/shm/cache.c src/shm/recorder.c
 * sources: src/shm/heavy_hitters.c src/shm/records.c src/shm/distinct.c
 * sources: src/shm/trylock.c src/shm/process.c src/shm/lease.c
 */


#include "nginx_test.h"

#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include "shm/cache.h"
#include "shm/heavy_hitters.h"
#include "shm/lease.h"
#include "shm/recorder.h"


#define SEED    UINT64_C(0x0f1e2d3c4b5a6978)
#define TUPLES  1200
#define WRITERS 2
#define ROUNDS  400
#define T       1700000000


/* what a writer is sure to have recorded: noted when that returned */

typedef struct {
    volatile uint32_t        last[WRITERS][TUPLES];
    volatile uint32_t        acked[TUPLES];
    perm_lease_t             lease;
    volatile pid_t           holder;     /* of the lease, by its own account */
    volatile uint32_t        held;       /* times */
    volatile uint32_t        twice;      /* while another one held it */
} sure_t;


static ngx_slab_pool_t         *shpool;
static perm_cache_t            *cache;
static perm_recorder_t         *recorder;
static sure_t                  *sure;
static perm_recorder_access_t   accesses[512];
static perm_records_t          *hitters;
static perm_heavy_hitters_entry_t  refused[PERM_HEAVY_HITTERS_MAX];


/* every number in an entry follows from its tuple and one other number */

static void
store(unsigned n, int64_t number)
{
    test_tuple_t       c;
    perm_grants_t      grants;
    perm_generation_t  generation;

    test_tuple_nth(&c, n);

    grants.gateway = number * 1000 + n;
    grants.resource = number * 1000 + n + 7;
    grants.left = PERM_GRANTS_ENDLESS;

    generation = perm_cache_generation(cache, c.tuple.gateway, c.tuple.app);

    perm_cache_store(cache, &c.tuple, perm_tuple_hash(&c.tuple, SEED), grants,
                     n % 3 != 0, number, generation);
}


/* 1: found and whole, 0: torn, -1: not found */

static int
lookup(unsigned n)
{
    test_tuple_t        c;
    perm_cache_entry_t  entry;

    test_tuple_nth(&c, n);

    if (perm_cache_lookup(cache, &c.tuple, perm_tuple_hash(&c.tuple, SEED), 0,
                          &entry)
        != NGX_OK)
    {
        return -1;
    }

    return entry.grants.gateway == entry.fetched * 1000 + n
           && entry.grants.resource == entry.fetched * 1000 + n + 7;
}


static perm_reason_t
reason(unsigned n)
{
    return n % 3 ? PERM_NO_GRANT : PERM_RESOURCE_GRANT_EXPIRED;
}


static void
refuse(unsigned n)
{
    test_tuple_t  c;

    test_tuple_nth(&c, n);
    perm_heavy_hitters_add(hitters, &c.tuple, reason(n), T);
}


/* the clock of the lease stands: it ends with its holder only */

static void
hold(void)
{
    pid_t  other;

    if (!perm_lease_hold(&sure->lease, T)) {
        return;
    }

    other = sure->holder;
    sure->holder = ngx_pid;

    if (other && kill(other, 0) == 0) {
        sure->twice++;
    }

    refuse((unsigned) random() % TUPLES);

    if (sure->holder != ngx_pid) {
        sure->twice++;
    }

    sure->held++;
    sure->holder = 0;

    perm_lease_release(&sure->lease);
}


static void
writer(unsigned number, unsigned round)
{
    unsigned     n;
    uint32_t     second;
    test_tuple_t  c;

    srandom(getpid() ^ round);

    for (second = T + round * 1000; ; second++) {

        n = (unsigned) random() % TUPLES;

        store((unsigned) random() % TUPLES, second);

        test_tuple_nth(&c, n);

        if (perm_recorder_record(recorder, &c.tuple,
                                 perm_tuple_hash(&c.tuple, SEED), second)
            == NGX_OK
            && second > sure->last[number][n])
        {
            sure->last[number][n] = second;
        }

        refuse((unsigned) random() % TUPLES);

        if (second % 8 == 0) {
            ngx_time_update();      /* once a second it asks who is dead */
            hold();
        }
    }
}


static unsigned
number_of(perm_tuple_t *tuple)
{
    return (unsigned) atoi(tuple->resource.data + sizeof("get_resource_") - 1);
}


/* records with names, a reason or a count of another one */

static int
mixed(void)
{
    int            found;
    unsigned       k;
    ngx_uint_t     i, n;
    test_tuple_t   c;
    perm_tuple_t  *is;

    n = perm_heavy_hitters_list(hitters, refused);

    for (i = 0, found = 0; i < n; i++) {
        is = &refused[i].record.tuple;
        k = number_of(is);
        test_tuple_nth(&c, k);

        found += k >= TUPLES || refused[i].record.kind != reason(k)
                 || refused[i].count <= refused[i].error
                 || is->gateway.len != c.tuple.gateway.len
                 || is->app.len != c.tuple.app.len
                 || memcmp(is->gateway.data, c.gateway, is->gateway.len)
                 || memcmp(is->app.data, c.app, is->app.len);
    }

    return found;
}


/* what Redis would do */

static void
flush(ngx_uint_t most)
{
    unsigned     n;
    ngx_uint_t   i, taken, cursor;
    test_tuple_t  c;

    cursor = 0;

    do {
        taken = perm_recorder_take(recorder, &cursor, accesses,
                                   ngx_min(most, 512));

        for (i = 0; i < taken; i++) {
            /* names are not NUL-terminated, and are of one length here */
            memcpy(c.resource, accesses[i].tuple.resource.data, 24);
            c.resource[24] = '\0';
            c.tuple.resource = str(c.resource);
            n = number_of(&c.tuple);

            if (n >= TUPLES) {
                ok(0, "an access that nobody recorded was taken");
                exit(1);
            }

            if (accesses[i].last > sure->acked[n]) {
                sure->acked[n] = (uint32_t) accesses[i].last;
            }

            perm_recorder_flushed(recorder, accesses[i].slot,
                                  accesses[i].version, accesses[i].last);
        }
    } while (cursor != 0);
}


static pid_t
spawn(unsigned number, unsigned round)
{
    pid_t  pid;

    pid = test_fork();

    if (pid == 0) {
        writer(number, round);
        _exit(0);
    }

    return pid;
}


static void
kill_one(pid_t *pid, unsigned number, unsigned round, ngx_uint_t *held)
{
    kill(*pid, SIGKILL);
    (void) waitpid(*pid, NULL, 0);

    /* as the master does */

    *held += ngx_shmtx_force_unlock(&shpool->mutex, *pid);

    *pid = spawn(number, round);
}


/* one tuple that is written all the time, and read all the time */

static void
test_torn(void)
{
    int       found[3];
    pid_t     pid;
    int64_t   number;
    unsigned  n;

    store(1, T);

    pid = test_fork();

    if (pid == 0) {
        for (number = T; ; number++) {
            store(1, number);
        }
    }

    memset(found, 0, sizeof(found));

    for (n = 0; n < 2000000; n++) {
        found[1 + lookup(1)]++;
    }

    kill(pid, SIGKILL);
    (void) waitpid(pid, NULL, 0);
    (void) ngx_shmtx_force_unlock(&shpool->mutex, pid);

    ok(found[1] == 0 && found[2] > 0,
       "no torn entry was read from a busy slot, %d, and %d whole ones",
       found[1], found[2]);
}


int
main(void)
{
    int                   found[3], lost, other;
    pid_t                 pids[WRITERS];
    unsigned              n, round, w;
    ngx_uint_t            held;
    struct timespec       ts;
    perm_cache_stat_t     stat;
    perm_recorder_stat_t  recorded;

    shpool = test_zone(NULL, 16 * 1024 * 1024);
    cache = perm_cache_create(shpool, 150 * 1024, SEED);
    recorder = perm_recorder_create(shpool, 80 * 1024);
    hitters = perm_records_create(shpool, sizeof(refused[0]),
                                  PERM_HEAVY_HITTERS_MAX, SEED);
    sure = mmap(NULL, sizeof(sure_t), PROT_READ|PROT_WRITE,
                MAP_ANON|MAP_SHARED, -1, 0);

    if (cache == NULL || recorder == NULL || hitters == NULL
        || sure == MAP_FAILED)
    {
        printf("Bail out! no memory\n");
        return 2;
    }

    test_torn();

    for (w = 0; w < WRITERS; w++) {
        pids[w] = spawn(w, 0);
    }

    memset(found, 0, sizeof(found));
    other = 0;
    held = 0;

    for (round = 1; round <= ROUNDS; round++) {

        ts.tv_sec = 0;
        ts.tv_nsec = (unsigned) random() % 3000000;
        nanosleep(&ts, NULL);

        for (n = 0; n < TUPLES; n++) {
            found[1 + lookup(n)]++;
        }

        for (n = 0; n < 4; n++) {
            other += mixed();
        }

        if (round % 4 == 0) {
            flush(100);
        }

        w = round % WRITERS;
        kill_one(&pids[w], w, round, &held);
    }

    for (w = 0; w < WRITERS; w++) {
        kill(pids[w], SIGKILL);
        (void) waitpid(pids[w], NULL, 0);
        (void) ngx_shmtx_force_unlock(&shpool->mutex, pids[w]);
    }

    ok(found[1] == 0 && found[2] > 0,
       "no torn entry was read, %d, and %d whole ones", found[1], found[2]);
    printf("# %d of %d were killed under the mutex\n", (int) held, ROUNDS);

    flush(512);

    lost = 0;

    for (n = 0; n < TUPLES; n++) {
        for (w = 0; w < WRITERS; w++) {
            lost += (sure->acked[n] < sure->last[w][n]);
        }
    }

    ok(lost == 0, "no recorded access was lost, %d", lost);

    perm_recorder_stat(recorder, &recorded);
    ok(recorded.pending == 0, "and all were flushed");

    /* the table is full of grants: a denial may find no room */

    for (n = 0, lost = 0; n < TUPLES; n++) {
        store(n, T + ROUNDS * 1000 + 999999);
        found[0] = lookup(n);
        lost += (found[0] == 0 || (found[0] < 0 && n % 3));
    }

    perm_cache_stat(cache, &stat);

    ok(lost == 0 && stat.entries <= stat.capacity,
       "the table heals, but for %d entries", lost);

    ok(other == 0, "no record is of two refusals, %d", other);

    for (n = 0; n < 2 * PERM_HEAVY_HITTERS_MAX; n++) {
        refuse(1);
    }

    ok(mixed() == 0 && number_of(&refused[0].record.tuple) == 1,
       "a dead writer's lock is taken over");

    ok(sure->held > ROUNDS && sure->twice == 0,
       "the lease was held %d times, by two %d times", (int) sure->held,
       (int) sure->twice);

    ok(perm_lease_hold(&sure->lease, T), "a dead holder's lease is free");

    return done();
}
