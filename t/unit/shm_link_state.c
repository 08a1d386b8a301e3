
/*
 * Workers that reach a replica, or the master again: the state of all is that
 * of the workers, whoever reports at the same moment.  What is logged of errors
 * and refusals, once for all workers.
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


ngx_uint_t
perm_health_turned(ngx_atomic_t *flag, ngx_uint_t on)
{
    if (on ? *flag >= on : *flag == 0) {
        return 0;
    }

    *flag = on;
    return 1;
}


void
perm_health_log_good(const char *what, ngx_uint_t level, time_t before,
    ngx_uint_t again, ngx_log_t *log)
{
    ngx_log_error(NGX_LOG_ERR, log, 0, "%s %T %ui", what, before, again);
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


static void
test_replica(void)
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

    up(0, 0);
    up(1, 0);
    test_lines = 0;
}


static void
pass(time_t seconds)
{
    ((ngx_time_t *) ngx_cached_time)->sec += seconds;
}


/* 1: the log says that this server is used now */

static int
used(ngx_uint_t generation, ngx_uint_t any, const char *address)
{
    perm_link_server_t  server;

    test_lines = 0;
    perm_link_state_server(&state, generation, any, address, &test_log);
    perm_link_state_used(&state, &server);

    return test_lines == 1 && strstr(test_line, address)
           && strcmp(server.address, address) == 0;
}


static void
test_server(void)
{
    perm_link_server_t  server;

    perm_link_state_used(&state, &server);
    ok(server.address[0] == '\0', "no server yet");

    ok(used(1, 1, "a:1"), "the first server");
    ok(!used(1, 1, "a:1") && !used(2, 1, "a:1"),
       "which another worker and a reload only find again");
    ok(used(2, 1, "b:1"), "another one");
    ok(!used(2, 0, "c:1") && !used(2, 0, "d:1"),
       "of the nodes of a cluster one is enough");
    ok(used(3, 0, "c:1"), "until a reload");
    test_lines = 0;
}


static void
test_failed(void)
{
    ok(perm_link_state_failed(&state, 1, ADDRESS, "refused")
       && !perm_link_state_failed(&state, 1, ADDRESS, "refused"),
       "the same error of another worker is in the log already");
    ok(perm_link_state_failed(&state, 1, ADDRESS, "no answer"), "another is not");
    ok(!perm_link_state_failed(&state, 1, ADDRESS, "refused")
       && !perm_link_state_failed(&state, 1, ADDRESS, "no answer"),
       "whichever comes first");

    up(0, 0);
    ok(perm_link_state_failed(&state, 1, ADDRESS, "no answer"),
       "nor is the same one when a link was up since");

    ok(perm_link_state_failed(&state, 2, ADDRESS, "no answer")
       && !perm_link_state_failed(&state, 2, ADDRESS, "no answer")
       && !perm_link_state_failed(&state, 1, ADDRESS, "no answer"),
       "nor after a reload");
}


static ngx_uint_t
refused(const char *cause)
{
    return perm_link_state_refused(&state, 1, ADDRESS, cause);
}


static void
test_refused(void)
{
    time_t             since;
    perm_link_error_t  error;

    perm_link_state_answered(&state, &test_log);
    ok(test_lines == 0, "an answer is no news");

    since = ngx_time();
    ok(refused("HMGET was refused: NOPERM no rights to key a")
       && !refused("HMGET was refused: NOPERM no rights to key b"),
       "a refusal is logged once, whatever key it names");
    ok(refused("HMGET was refused: LOADING"), "another one is as well");

    perm_link_state_answered(&state, &test_log);
    perm_link_state_refusal(&state, &error);
    ok(test_lines == 0 && !error.over, "one server of several may answer");

    pass(PERM_LINK_REFUSED);
    (void) refused("HMGET was refused: LOADING");
    perm_link_state_answered(&state, &test_log);
    ok(test_lines == 0, "and another one refuse");

    pass(PERM_LINK_REFUSED);
    perm_link_state_answered(&state, &test_log);
    perm_link_state_refusal(&state, &error);
    ok(test_logged("lookups are answered") && error.over
       && error.since == since, "until none does");

    perm_link_state_answered(&state, &test_log);
    ok(test_lines == 0, "which is said once");
    ok(refused("HMGET was refused: LOADING"), "again, it is said again");

    pass(PERM_LINK_REFUSED);
    perm_link_state_answered(&state, &test_log);
    ok(test_lines == 0, "then it takes longer until it is over");
    pass(PERM_LINK_REFUSED);
    perm_link_state_answered(&state, &test_log);
    ok(test_logged("lookups are answered"), "twice as long");
}


static void
test_refused_much(void)
{
    char        cause[64];
    ngx_uint_t  i, lines, ends;

    pass(1000);
    lines = 0;

    for (i = 0; i < 100; i++) {
        lines += refused(i % 2 ? "HMGET was refused: NOPERM"
                               : "HMGET was refused: MASTERDOWN");
    }

    ok(lines == 2, "two causes in turn are two lines");

    for (i = 0; i < 1000; i++) {
        (void) sprintf(cause, "HMGET was refused: %d", (int) i);
        lines += refused(cause);
    }

    ok(lines == PERM_LINK_LOGGED, "and any number of them is some");

    /* one key is refused every three seconds, and others are answered */

    lines = 0;
    ends = 0;

    for (i = 0; i < 1200; i++) {
        pass(1);
        lines += (i % 3 == 0) ? refused("HMGET was refused: NOPERM") : 0;
        perm_link_state_answered(&state, &test_log);
        ends += test_lines;
        test_lines = 0;
    }

    ok(lines <= 2 && ends <= 2, "what comes and goes is said twice");

    pass(PERM_LINK_REFUSED_MAX);
    perm_link_state_answered(&state, &test_log);
    ok(test_logged("lookups are answered"), "and it has an end");
}


static void
test_unpushed(void)
{
    perm_health_t  health;

    ngx_memzero(&health, sizeof(perm_health_t));

    pass(1000);

#define unpushed()  perm_link_state_unpushed(&state, &health, ngx_time())

    ok(unpushed() == 0, "Redis is down: nothing follows from that");

    health.redis_up = 1;
    health.redis_since = ngx_time();
    ok(unpushed() == 0, "it is up: tracking takes a moment");

    pass(PERM_LINK_UNPUSHED);
    ok(unpushed() == PERM_LINK_UNPUSHED, "and no longer");

    health.tracking = 1;
    ok(unpushed() == 0, "it pushes");

    health.tracking = 0;
    health.tracking_since = ngx_time();
    ok(unpushed() == 0, "a short gap is none");

    pass(PERM_LINK_UNPUSHED + 1);
    ok(unpushed() == PERM_LINK_UNPUSHED + 1, "a longer one is");

    up(0, 1);
    ok(unpushed() == 0, "a replica is not tracked");
    up(0, 0);
    ok(unpushed() == 0, "nor a master at once");
    test_lines = 0;
}


int
main(void)
{
    test_replica();
    test_server();
    test_failed();
    test_refused();
    test_refused_much();
    test_unpushed();

    return done();
}
