
/*
 * Pending accesses on their way to Redis, and what its replies do to them.
 * sources: src/shm/slots.c src/shm/tuple.c src/shm/recorder.c
 * sources: src/shm/lease.c src/shm/process.c src/resp/advice.c
 * sources: src/resp/printable.c src/resp/reply.c
 */


#include "nginx_test.h"

#include "shm/cache.h"
#include "sync/flush_batch.c"


#define SEED  UINT64_C(0x5555aaaa3333cccc)
#define T     1700000000
#define SENT  4096


typedef struct {
    perm_redis_command_t    command;       /* first: what the flush gets */
    perm_redis_reply_pt     reply;
    void                   *reply_data;
    char                    text[512];
    unsigned                dropped;
} test_command_t;


static test_command_t         sent[SENT];
static ngx_uint_t             nsent;
static ngx_uint_t             nanswered;
static ngx_uint_t             nfailed;     /* could not be sent */
static perm_redis_client_state_t     state = PERM_REDIS_UP;
static const char            *gone;        /* in keys whose master is down */

static ngx_slab_pool_t       *shpool;
static perm_recorder_t       *recorder;
static perm_flush_batch_t    *batch;

static perm_zone_t            zone;
static perm_sync_conf_t       conf = {
    .redis.prefix = ngx_string("p:"), .zone.zone = &zone,
    .generation = 1
};


/* the time of Redis, or NGX_DECLINED: it does not tell */

static time_t     redis_time;
static time_t     redis_time_took;     /* seconds */
static ngx_int_t  redis_time_rc = NGX_DECLINED;

perm_server_clock_t *
perm_server_clock_create(perm_health_t *health, ngx_cycle_t *cycle)
{
    return (perm_server_clock_t *) health;
}


ngx_int_t
perm_server_clock_read(perm_server_clock_t *clock, perm_redis_client_t *redis,
    ngx_str_t *key, perm_server_clock_now_t *now)
{
    now->earliest = redis_time;
    now->latest = redis_time + redis_time_took;

    return redis_time_rc;
}


ngx_uint_t
perm_server_clock_outstanding(perm_server_clock_t *clock)
{
    return 0;
}


void
perm_server_clock_cancel(perm_server_clock_t *clock)
{
}


void
perm_health_unwritten(perm_health_t *health)
{
    health->unwritten = 1;
}


void
perm_health_written(perm_health_t *health, ngx_log_t *log)
{
    health->unwritten = 0;

    if (health->unwritten_logged) {
        health->unwritten_logged = 0;
        ngx_log_error(NGX_LOG_ERR, log, 0, "written again");
    }
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


perm_redis_client_state_t
perm_redis_client_state(perm_redis_client_t *redis)
{
    return state;
}


perm_redis_command_t *
perm_redis_client_send(perm_redis_client_t *redis, ngx_str_t *key,
    ngx_uint_t argc, ngx_str_t *argv, perm_redis_reply_pt handler, void *data)
{
    char            *p;
    ngx_uint_t       i;
    test_command_t  *command;

    if (state == PERM_REDIS_DOWN || nsent == SENT
        || (gone && memmem(key->data, key->len, gone, strlen(gone))))
    {
        nfailed++;
        return NULL;
    }

    command = &sent[nsent++];
    command->reply = handler;
    command->reply_data = data;
    command->dropped = 0;

    p = command->text;

    for (i = 0; i < argc; i++) {
        p += sprintf(p, "%s%.*s", i ? " " : "", (int) argv[i].len,
                     argv[i].data);
    }

    return &command->command;
}


void
perm_redis_command_cancel(perm_redis_command_t *command)
{
    ((test_command_t *) command)->dropped = 1;
}


static void
answer_with(redisReply *reply)
{
    test_command_t  *command;

    command = &sent[nanswered++];

    if (!command->dropped) {
        command->reply(command->reply_data, reply);
    }
}


static void
answer(const char *error)
{
    redisReply  reply;

    memset(&reply, 0, sizeof(reply));

    reply.type = error ? REDIS_REPLY_ERROR : REDIS_REPLY_INTEGER;
    reply.str = (char *) error;
    reply.len = error ? strlen(error) : 0;

    answer_with(&reply);
}


static void
fresh(unsigned pending)
{
    unsigned     n;
    test_tuple_t  c;

    shpool = test_zone(shpool, 4 * 1024 * 1024);
    recorder = perm_recorder_create(shpool, 2 * 1024 * 1024);
    zone.recorder = recorder;
    batch = perm_flush_batch_create(&conf, &test_cycle);

    for (n = 0; n < pending; n++) {
        test_tuple_nth(&c, n);
        (void) perm_recorder_record(recorder, &c.tuple,
                                    perm_tuple_hash(&c.tuple, SEED), T + n);
    }

    state = PERM_REDIS_UP;
    gone = NULL;
    nsent = 0;
    nanswered = 0;
    nfailed = 0;
    zone.health.unwritten = 0;
    zone.health.unwritten_logged = 0;
    test_lines = 0;
}


static void
record(time_t last)
{
    test_tuple_t  c;

    test_tuple(&c, "gw", "res/1", "app");
    (void) perm_recorder_record(recorder, &c.tuple,
                                perm_tuple_hash(&c.tuple, SEED), last);
}


static ngx_uint_t
pending(void)
{
    perm_recorder_stat_t  stat;

    perm_recorder_stat(recorder, &stat);

    return stat.pending;
}


/* a walk, every command of it answered at once */

static ngx_int_t
walk(const char *error)
{
    ngx_int_t   rc;
    ngx_uint_t  steps;

    nsent = 0;
    nanswered = 0;

    perm_flush_batch_start(batch, NULL);

    for (steps = 0; steps < 1000; steps++) {
        rc = perm_flush_batch_step(batch);

        if (rc != NGX_AGAIN) {
            break;
        }

        while (nanswered < nsent) {
            answer(error);
        }
    }

    return rc;
}


static void
test_send(void)
{
    ngx_int_t   rc;
    ngx_uint_t  steps;

    fresh(0);
    ok(walk(NULL) == NGX_OK && nsent == 0, "nothing to send");

    record(T);

    ok(walk(NULL) == NGX_OK && nsent == 1
       && strcmp(sent[0].text, "ZADD p:access:{gw:app} GT 1700000000 res/1")
          == 0, "the command");
    ok(pending() == 0, "acknowledged by its reply");
    ok(walk(NULL) == NGX_OK && nsent == 0, "and not sent again");

    fresh(3000);

    perm_flush_batch_start(batch, NULL);

    for (steps = 0; steps < 100; steps++) {
        rc = perm_flush_batch_step(batch);
    }

    ok(rc == NGX_AGAIN && nsent <= 1024 && nsent > 800
       && batch->outstanding == nsent,
       "a bounded number is on its way, %d", (int) nsent);
    ok(pending() == 3000, "pending until the reply");

    do {
        while (nanswered < nsent) {
            answer(NULL);
        }
    } while (perm_flush_batch_step(batch) == NGX_AGAIN);

    ok(pending() == 0 && nsent == 3000, "each once");
}


static void
test_refused(void)
{
    char  first[sizeof(sent[0].text)];

    fresh(3000);

    ok(walk("OOM command not allowed when used memory > 'maxmemory'.")
       == NGX_ERROR, "refused one after the other, the walk is given up");
    ok(nsent < 1000, "after %d commands", (int) nsent);
    ok(test_logged("maxmemory"), "with one line and its advice");

    (void) walk("OOM command not allowed when used memory > 'maxmemory'.");
    ok(pending() == 3000 && test_lines == 0,
       "they stay pending, and it is not said twice");

    ok(walk(NULL) == NGX_OK && pending() == 0, "until Redis takes them");
    ok(test_logged("written again"), "which is said");

    /* a fail-over has lines of its own */

    fresh(3);
    (void) walk("READONLY You can't write against a read only replica.");
    ok(pending() == 3 && test_lines == 0, "a replica is no line at first");
    zone.link.replica = 1;
    (void) walk("READONLY You can't write against a read only replica.");
    ok(test_lines == 0, "nor while the link says so");
    zone.link.replica = 0;
    (void) walk("READONLY You can't write against a read only replica.");
    ok(test_logged("READONLY"), "it is when it lasts");
    (void) walk(NULL);
    ok(test_logged("written again"), "and over");

    /* a new turn begins where the last one was given up */

    fresh(3000);
    (void) walk("NOPERM this user has no permissions");
    strcpy(first, sent[0].text);
    (void) walk("NOPERM this user has no permissions");
    ok(strcmp(sent[0].text, first) != 0,
       "the ones behind have their turn");
    ok(test_logged("zadd"), "a right that is missing is named");

    /* and ends there, also when it finds nothing on its way */

    fresh(3000);
    (void) walk("NOPERM this user has no permissions");
    ok(walk(NULL) == NGX_OK && pending() == 0, "a whole turn it is");
    ok(walk(NULL) == NGX_OK && nsent == 0, "which has an end");
    (void) walk(NULL);
    record(T + 5000);
    ok(walk(NULL) == NGX_OK && nsent == 1, "and sends each but once");

    fresh(10);
    (void) walk("ERR bad\r\nthing\x01");
    ok(test_logged("\"ERR bad\\x0d\\x0athing\\x01\""),
       "no control byte gets into the log");
}


static void
test_wrong_type(void)
{
    ngx_int_t   rc;
    ngx_uint_t  i;

    fresh(2000);

    perm_flush_batch_start(batch, NULL);

    while ((rc = perm_flush_batch_step(batch)) == NGX_AGAIN) {
        for (i = nanswered; i < nsent; i++) {
            answer(i % 4 ? "WRONGTYPE Operation against a key" : NULL);
        }
    }

    ok(rc == NGX_OK && nsent == 2000 && pending() == 1500,
       "keys of a wrong type hold up no other");
    ok(test_logged("p:access:{gateway"), "one line names one of them");

    ok(walk("WRONGTYPE Operation against a key") == NGX_OK
       && test_lines == 0, "once");
    (void) walk(NULL);
    ok(pending() == 0, "and they go when that was put right");
}


static void
test_link(void)
{
    redisReply  odd;

    fresh(2000);

    perm_flush_batch_start(batch, NULL);
    (void) perm_flush_batch_step(batch);
    ok(nsent > 0, "some are on their way");

    state = PERM_REDIS_DOWN;
    ok(perm_flush_batch_step(batch) == NGX_AGAIN, "when the link ends");

    while (nanswered < nsent) {
        answer_with(NULL);
    }

    ok(perm_flush_batch_step(batch) == NGX_DECLINED, "another walk is due");
    ok(pending() == 2000 && test_lines == 0,
       "nothing is lost, and the line in the log is the link's");

    state = PERM_REDIS_UP;
    ok(walk(NULL) == NGX_OK && pending() == 0, "sent when it is back");

    fresh(100);
    perm_flush_batch_start(batch, NULL);
    (void) perm_flush_batch_step(batch);

    while (nanswered < nsent) {
        answer_with(NULL);
    }

    ok(perm_flush_batch_step(batch) == NGX_DECLINED && pending() == 100,
       "also when it was back before anybody looked");

    fresh(1);
    memset(&odd, 0, sizeof(odd));
    odd.type = REDIS_REPLY_NIL;
    perm_flush_batch_start(batch, NULL);
    (void) perm_flush_batch_step(batch);
    answer_with(&odd);

    ok(pending() == 1 && test_logged("reply of type"),
       "only an integer acknowledges");

    fresh(100);
    perm_flush_batch_start(batch, NULL);
    (void) perm_flush_batch_step(batch);
    perm_flush_batch_cancel(batch);
    ok(nsent == 100 && sent[0].dropped && sent[99].dropped,
       "what is on its way at the end is cancelled");
}


/* a cluster: its state is up, and one master is not */

static void
test_master(void)
{
    ngx_int_t   rc;
    ngx_uint_t  i, steps, most, before;

    /* all of them, then 10 of 97 */

    fresh(3000);
    gone = "{gateway000";

    perm_flush_batch_start(batch, NULL);

    most = 0;
    steps = 0;

    do {
        before = nfailed + nsent;
        rc = perm_flush_batch_step(batch);
        most = ngx_max(most, nfailed + nsent - before);
        steps++;
    } while (rc == NGX_AGAIN && steps < 1000);

    ok(rc == NGX_OK && nfailed == 3000 && nsent == 0,
       "what cannot be sent does not end the walk");
    ok(most <= 128 && steps >= 3000 / 128,
       "nor is it gone through at once: %d a step", (int) most);
    ok(pending() == 3000 && test_lines == 0, "it stays pending");

    gone = "{gateway0001";
    nfailed = 0;
    perm_flush_batch_start(batch, NULL);

    for (i = 0; i < 8; i++) {
        rc = perm_flush_batch_step(batch);
    }

    ok(nfailed > 0 && nfailed + nsent >= 1000 && rc == NGX_AGAIN,
       "before any reply, too");

    do {
        while (nanswered < nsent) {
            answer(NULL);
        }
    } while ((rc = perm_flush_batch_step(batch)) == NGX_AGAIN);

    ok(rc == NGX_OK && nfailed + nsent == 3000 && pending() == nfailed,
       "all others are sent: %d", (int) nsent);

    gone = NULL;
    ok(walk(NULL) == NGX_OK && nsent == nfailed && pending() == 0,
       "and it is when its master is back");

    /* one of the links ends */

    fresh(3000);
    perm_flush_batch_start(batch, NULL);

    for (i = 0; (rc = perm_flush_batch_step(batch)) == NGX_AGAIN; /* void */ ) {
        for ( /* void */ ; nanswered < nsent; i++) {
            if (i < 100) {
                answer_with(NULL);
            } else {
                answer(NULL);
            }
        }
    }

    ok(rc == NGX_DECLINED && nsent == 3000 && pending() == 100,
       "accesses that a lost link had are sent again, by another walk");

    /* the only link ends, and is dialed again */

    fresh(3000);
    perm_flush_batch_start(batch, NULL);
    (void) perm_flush_batch_step(batch);

    state = PERM_REDIS_CONNECTING;

    while (nanswered < nsent) {
        answer_with(NULL);
    }

    before = nsent;
    ok(perm_flush_batch_step(batch) == NGX_DECLINED && nsent == before,
       "nothing more is sent where that was the only one");
}


/* a clock that is ahead of Redis's, and is right again */

static void
test_clock(void)
{
    fresh(0);
    redis_time_rc = NGX_AGAIN;
    record(T + 5000);
    ok(walk(NULL) == NGX_AGAIN && nsent == 0, "waits for the time of Redis");

    redis_time_rc = NGX_OK;
    redis_time = T;
    ok(walk(NULL) == NGX_OK && nsent == 1
       && strcmp(sent[0].text, "ZADD p:access:{gw:app} GT 1700000000 res/1")
          == 0, "Redis's time in place of the future");
    ok(pending() == 0, "which is all that is known of it");

    record(T + 3);
    ok(pending() == 1, "the clock is right again: it is recorded");
    redis_time = T + 4;
    ok(walk(NULL) == NGX_OK && strstr(sent[0].text, " 1700000003 ")
       && pending() == 0, "and written");

    record(T + 5000);
    perm_flush_batch_start(batch, NULL);
    nsent = nanswered = 0;
    (void) perm_flush_batch_step(batch);
    record(T + 5001);
    answer(NULL);
    ok(perm_flush_batch_step(batch) == NGX_OK && pending() == 1,
       "what is recorded on the way stays pending");
    ok(walk(NULL) == NGX_OK && nsent == 1 && pending() == 0, "for once");

    /* less than the way to Redis, or rounding */

    record(T + 10);
    redis_time = T + 9;
    ok(walk(NULL) == NGX_OK && strstr(sent[0].text, " 1700000009 ")
       && pending() == 1, "a second ahead waits for its second");
    redis_time = T + 10;
    ok(walk(NULL) == NGX_OK && strstr(sent[0].text, " 1700000010 ")
       && pending() == 0, "and has it");

    /* a worker that was stopped reads the time of some seconds ago */

    record(T + 14);
    redis_time_took = 5;
    ok(walk(NULL) == NGX_OK && strstr(sent[0].text, " 1700000010 ")
       && pending() == 1, "a second that may be Redis's stays pending");
    redis_time_took = 0;
    redis_time = T + 15;
    ok(walk(NULL) == NGX_OK && strstr(sent[0].text, " 1700000014 ")
       && pending() == 0, "and is written with the next reply");

    /* ahead, and set back while the access is on its way */

    record(T + 5000);
    perm_flush_batch_start(batch, NULL);
    nsent = nanswered = 0;
    (void) perm_flush_batch_step(batch);
    record(T + 17);
    answer(NULL);
    redis_time = T + 18;
    ok(perm_flush_batch_step(batch) == NGX_OK && pending() == 1
       && walk(NULL) == NGX_OK && strstr(sent[0].text, " 1700000017 ")
       && pending() == 0, "what the right clock says is not lost in that");

    /* a clock set back, and right again */

    record(T - 18000);
    ok(pending() == 0, "an older second is none");
    record(T + 21);
    redis_time = T + 22;
    ok(walk(NULL) == NGX_OK && strstr(sent[0].text, " 1700000021 ")
       && pending() == 0, "a newer one is");

    redis_time_rc = NGX_ABORT;
    record(T + 30);
    ok(walk(NULL) == NGX_DECLINED && pending() == 1, "the link was lost");

    redis_time_rc = NGX_DECLINED;
    ok(walk(NULL) == NGX_OK && pending() == 0, "no right: as it is");
}


int
main(void)
{
    test_cycle.pool = ngx_create_pool(NGX_DEFAULT_POOL_SIZE, &test_log);

    test_send();
    test_refused();
    test_wrong_type();
    test_link();
    test_master();
    test_clock();

    ngx_destroy_pool(test_cycle.pool);

    return done();
}
