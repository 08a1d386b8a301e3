
/*
 * A lease has one holder, whoever comes at the same moment, and a process is
 * known by more than its pid.
 * sources: src/shm/process.c
 */


#include "nginx_test.h"

#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

#include "shm/process.h"


/* another taker comes before or after the step in which the lease is taken */

static void  meet(int when);

#define __atomic_compare_exchange_n(word, was, is, weak, good, bad)           \
    __extension__ ({                                                          \
        _Bool  done_;                                                         \
                                                                              \
        meet(1);                                                              \
        done_ = (__atomic_compare_exchange_n)(word, was, is, weak, good, bad);\
        meet(2);                                                              \
        done_;                                                                \
    })

#include "shm/lease.c"


#define ROUNDS  2000


typedef struct {
    perm_lease_t  lease;
    int           round[2];    /* that each process has begun */
    int           took[2];     /* in the round before */
} shared_t;


static shared_t     *shared;
static int           meeting;    /* when, 0: not */
static ngx_msec_t    meeting_at;
static ngx_uint_t    other;      /* took it */


static void
set(int *word, int value)
{
    __atomic_store_n(word, value, __ATOMIC_SEQ_CST);
}


static int
get(int *word)
{
    return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}


static void
meet(int when)
{
    ngx_pid_t  pid;

    if (when != meeting) {
        return;
    }

    pid = ngx_pid;
    meeting = 0;

    ngx_pid = getppid();
    other = perm_lease_hold(&shared->lease, meeting_at);
    ngx_pid = pid;
}


static void
test_forced(void)
{
    int         when;
    ngx_uint_t  took;

    for (when = 0; when < 4; when++) {
        ngx_memzero(&shared->lease, sizeof(perm_lease_t));

        if (when & 1) {
            (void) perm_lease_hold(&shared->lease, 1000);
        }

        meeting = 1 + when / 2;
        meeting_at = 1000 + PERM_LEASE_TERM;
        took = perm_lease_hold(&shared->lease, meeting_at);

        ok(meeting == 0 && took + other == 1,
           "another taker %s it is taken, %s: one of them gets it",
           (when / 2) ? "just after" : "just before",
           (when & 1) ? "ended" : "free");
    }
}


/* for the other one; it gets the processor when there is one for both only */

static void
await(int *word, int value)
{
    int  spins;

    for (spins = 1; get(word) < value; spins++) {
        if (spins % 20000 == 0) {
            sched_yield();
        }
    }
}


/* both come to the lease in the moment at which it has ended */

static void
take(int me, int *both, int *none)
{
    int         round;
    ngx_msec_t  now;

    for (round = 1; round <= ROUNDS; round++) {
        now = 1000000 + (ngx_msec_t) round * (PERM_LEASE_TERM + 1);

        set(&shared->round[me], 2 * round);

        await(&shared->round[!me], 2 * round);

        set(&shared->took[me], (int) perm_lease_hold(&shared->lease, now));
        set(&shared->round[me], 2 * round + 1);

        await(&shared->round[!me], 2 * round + 1);

        *both += get(&shared->took[0]) && get(&shared->took[1]);
        *none += !get(&shared->took[0]) && !get(&shared->took[1]);
    }
}


static void
test_together(void)
{
    int    both, none;
    pid_t  pid;

    both = 0;
    none = 0;

    pid = test_fork();

    if (pid == 0) {
        take(1, &both, &none);
        _exit(0);
    }

    take(0, &both, &none);
    (void) waitpid(pid, NULL, 0);

    ok(both == 0, "two takers never both get it: %d of %d", both, ROUNDS);
    ok(none == 0, "one of them does: %d of %d", ROUNDS - none, ROUNDS);
}


/* a child that holds it, and waits to be killed */

static pid_t
holder(ngx_msec_t now)
{
    pid_t  pid;

    set(&shared->took[0], 0);
    pid = test_fork();

    if (pid == 0) {
        set(&shared->took[0], 1 + (int) perm_lease_hold(&shared->lease, now));
        pause();
        _exit(0);
    }

    await(&shared->took[0], 1);

    ok(get(&shared->took[0]) == 2, "a child takes the lease");

    return pid;
}


static void
test_term(void)
{
    pid_t       pid;
    ngx_msec_t  now;

    perm_lease_t  *lease = &shared->lease;

    now = 50000000;
    ngx_memzero(lease, sizeof(perm_lease_t));

    ok(!perm_lease_held(lease, now), "free at first");

    pid = holder(now);

    ok(!perm_lease_hold(lease, now + PERM_LEASE_TERM - 1)
       && perm_lease_held(lease, now + PERM_LEASE_TERM - 1),
       "nobody else has it before its end");
    ok(!perm_lease_hold(lease, now - 10), "nor whose clock is behind");

    perm_lease_release(lease);
    ok(perm_lease_held(lease, now), "nor can release it");

    ok(!perm_lease_held(lease, now + PERM_LEASE_TERM)
       && perm_lease_hold(lease, now + PERM_LEASE_TERM), "free at its end");
    ok(perm_lease_hold(lease, now + PERM_LEASE_TERM + 1000), "renewed");

    kill(pid, SIGKILL);
    (void) waitpid(pid, NULL, 0);

    perm_lease_release(lease);
    ok(!perm_lease_held(lease, now + PERM_LEASE_TERM + 1001), "released");

    pid = holder(now);
    kill(pid, SIGKILL);
    (void) waitpid(pid, NULL, 0);

    ok(perm_lease_hold(lease, now + 1), "a dead holder's is free at once");
    perm_lease_release(lease);

    /* the bits of the time wrap after 70 minutes, here in the term */

    now = ((ngx_msec_t) 1 << 22) * 1000 - 500;
    pid = holder(now);

    ok(!perm_lease_hold(lease, now + 1000), "held beyond the wrap");
    ok(perm_lease_hold(lease, now + 30 * 60000), "ended half an hour ago");

    kill(pid, SIGKILL);
    (void) waitpid(pid, NULL, 0);
}


static void
test_process(void)
{
    pid_t           pid;
    perm_process_t  self;

    self = perm_process_self();

    ok(self >> PERM_PROCESS_BITS == 0
       && (self & (((perm_process_t) 1 << PERM_PROCESS_PID_BITS) - 1))
          == (perm_process_t) getpid(), "the pid is in it");
    ok(!perm_process_dead(self), "alive");
    ok(perm_process_dead(self ^ (perm_process_t) 1 << PERM_PROCESS_PID_BITS),
       "one that had this pid before is not");
    ok(!perm_process_dead((perm_process_t) getpid()),
       "where the start is not known, the pid has to do");

    pid = test_fork();

    if (pid == 0) {
        _exit(perm_process_self() == self);
    }

    (void) waitpid(pid, (int *) &shared->round[0], 0);

    ok(shared->round[0] == 0, "a child is another one");
    ok(perm_process_dead((perm_process_t) pid), "a dead one");
}


int
main(void)
{
    shared = mmap(NULL, sizeof(shared_t), PROT_READ|PROT_WRITE,
                  MAP_ANON|MAP_SHARED, -1, 0);

    if (shared == MAP_FAILED) {
        printf("Bail out! no memory\n");
        return 2;
    }

    test_forced();
    test_together();
    test_term();
    test_process();

    return done();
}
