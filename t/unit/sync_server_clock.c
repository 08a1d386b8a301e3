
/*
 * The clocks of several servers: what the log says of them, once a change.
 * sources: src/resp/advice.c src/resp/printable.c src/resp/reply.c
 */


#include "nginx_test.h"

#include "sync/server_clock.c"


#define SERVERS  2


static perm_health_t         health;
static perm_server_clock_t  *clocks;

static perm_redis_command_t  commands[SERVERS];
static void                 *asked[SERVERS];    /* its data; NULL: not asked */


ngx_uint_t
perm_health_turned(ngx_atomic_t *flag, ngx_uint_t on)
{
    if (on ? *flag >= on : *flag == 0) {
        return 0;
    }

    *flag = on;
    return 1;
}


/* a key is the number of its server, from 1 */

ngx_uint_t
perm_redis_client_server(perm_redis_client_t *redis, ngx_str_t *key)
{
    return key->len;
}


perm_redis_command_t *
perm_redis_client_send(perm_redis_client_t *redis, ngx_str_t *key,
    ngx_uint_t argc, ngx_str_t *argv, perm_redis_reply_pt handler, void *data)
{
    asked[key->len - 1] = data;

    return &commands[key->len - 1];
}


void
perm_redis_command_cancel(perm_redis_command_t *command)
{
    asked[command - commands] = NULL;
}


static ngx_int_t
look(ngx_uint_t server)
{
    ngx_str_t                key;
    perm_server_clock_now_t  now;

    key.len = server;

    return perm_server_clock_read(clocks, NULL, &key, &now);
}


/* unix seconds there; 0: it does not tell */

static void
answer(ngx_uint_t server, time_t there)
{
    char         text[32];
    redisReply   reply, seconds, usec, *parts[] = { &seconds, &usec };

    ngx_memzero(&reply, sizeof(redisReply));
    ngx_memzero(&seconds, sizeof(redisReply));

    reply.type = there ? REDIS_REPLY_ARRAY : REDIS_REPLY_ERROR;
    reply.str = "NOPERM no right to 'time'";
    reply.len = strlen(reply.str);
    reply.elements = 2;
    reply.element = parts;

    seconds.type = REDIS_REPLY_STRING;
    seconds.str = text;
    seconds.len = sprintf(text, "%lld", (long long) there);

    usec = seconds;
    usec.str = "0";
    usec.len = 1;

    perm_server_clock_reply(asked[server - 1], &reply);
}


/* both are asked at once, and the second one answers first */

static void
both(time_t first, time_t second)
{
    ngx_current_msec += PERM_SERVER_CLOCK_VALID;

    (void) look(1);
    (void) look(2);
    answer(2, second);
    answer(1, first);
}


int
main(void)
{
    time_t  now;

    now = ngx_time();
    test_cycle.pool = ngx_create_pool(NGX_DEFAULT_POOL_SIZE, &test_log);
    clocks = perm_server_clock_create(&health, &test_cycle);

    ok(look(1) == NGX_AGAIN, "a server is asked");
    answer(1, now);
    ok(look(1) == NGX_OK && test_lines == 0, "and tells");

    both(0, now);
    ok(test_logged("Redis does not tell its time"), "one of two does not");
    ok(look(1) == NGX_DECLINED && look(2) == NGX_OK, "the other one does");

    both(0, now);
    both(0, now);
    ok(test_lines == 0, "which is said once");

    both(now, now);
    ok(test_logged("tells its time again"), "until both do");

    both(now - 100, now);
    ok(test_logged("100 s ahead") && health.clock_ahead == 100,
       "one of two is behind");

    both(now - 100, now);
    both(now - 100, now);
    ok(test_lines == 0 && health.clock_ahead == 100, "which is said once");

    both(now, now);
    ok(test_logged("not ahead") && health.clock_ahead == 0, "until none is");

    ngx_destroy_pool(test_cycle.pool);

    return done();
}
