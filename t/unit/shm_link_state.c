
/*
 * Workers that reach a replica, or the master again: the state of all is that
 * of the workers, whoever reports at the same moment.
 * sources: src/shm/trylock.c src/shm/process.c
 */


#include "nginx_test.h"


/* another worker reports before a swap */

static void  meet(void);

#define __sync_bool_compare_and_swap(word, was, is)                           \
    (meet(), (__sync_bool_compare_and_swap)(word, was, is))

#include "shm/link_state.c"


#define WORKERS  3
#define ADDRESS  "10.0.0.1:6379"


static perm_link_state_t  state;
static ngx_int_t          other = -1;   /* on a replica from that moment on */


ngx_uint_t
perm_health_any(u_char *workers)
{
    return memchr(workers, 1, WORKERS) != NULL;
}


static void
up(ngx_uint_t worker, ngx_uint_t replica)
{
    perm_link_state_up(&state, worker, replica, ADDRESS, &test_log);
}


static void
meet(void)
{
    ngx_uint_t  worker;

    if (other != -1) {
        worker = other;
        other = -1;
        up(worker, 1);
    }
}


int
main(void)
{
    up(0, 0);
    ok(state.replica == 0 && test_lines == 0, "a master from the start");

    up(0, 1);
    ok(state.replica == 1 && test_logged("it is a replica"), "a replica");

    up(1, 1);
    up(0, 0);
    ok(state.replica == 1 && test_lines == 0, "while one worker is on it");

    up(1, 0);
    ok(state.replica == 0 && test_logged("is a master"), "then none is");

    up(0, 1);
    test_lines = 0;
    other = 1;
    up(0, 0);
    ok(other == -1 && state.replica == 1,
       "one comes to a replica while the last one leaves it");
    ok(test_lines == 2 && strstr(test_line, "it is a replica"),
       "the last line says so");

    return done();
}
