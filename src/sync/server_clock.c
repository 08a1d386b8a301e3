
#include "sync/server_clock.h"

#include "resp/advice.h"
#include "resp/printable.h"
#include "resp/reply.h"


#define PERM_SERVER_CLOCKS       256    /* servers remembered */
#define PERM_SERVER_CLOCK_VALID  1000   /* ms: then the server is asked anew */
#define PERM_SERVER_CLOCK_AHEAD  2      /* seconds: less is rounding */
#define PERM_SERVER_CLOCK_SHOWN  128    /* bytes of an error in the log */


typedef struct {
    perm_server_clock_t   *clock;
    ngx_uint_t             server;    /* its number, 0: none */
    perm_redis_command_t  *command;   /* on its way, or NULL */
    ngx_int_t              rc;        /* as of perm_server_clock_read() */
    ngx_msec_t             at;        /* monotonic: of the question, then of
                                         the reply */
    ngx_msec_t             took;      /* ms, from the question to the reply */
    time_t                 asked;     /* unix seconds, here: the question */
    uint64_t               time;      /* unix ms, there: at "at" */
    time_t                 ahead;     /* seconds that this clock is ahead */
} perm_server_clock_item_t;


struct perm_server_clock_s {
    perm_health_t             *health;
    ngx_log_t                 *log;
    ngx_uint_t                 outstanding;
    perm_server_clock_item_t   items[PERM_SERVER_CLOCKS];
};


static ngx_int_t perm_server_clock_ask(perm_server_clock_item_t *item,
    perm_redis_client_t *redis, ngx_str_t *key);
static void perm_server_clock_reply(void *data, redisReply *reply);
static uint64_t perm_server_clock_parse(redisReply *reply);
static void perm_server_clock_refused(perm_server_clock_item_t *item,
    redisReply *reply);
static void perm_server_clock_compare(perm_server_clock_t *clock);


perm_server_clock_t *
perm_server_clock_create(perm_health_t *health, ngx_cycle_t *cycle)
{
    ngx_uint_t            i;
    perm_server_clock_t  *clock;

    clock = ngx_pcalloc(cycle->pool, sizeof(perm_server_clock_t));
    if (clock == NULL) {
        return NULL;
    }

    clock->health = health;
    clock->log = cycle->log;

    for (i = 0; i < PERM_SERVER_CLOCKS; i++) {
        clock->items[i].clock = clock;
    }

    return clock;
}


ngx_int_t
perm_server_clock_read(perm_server_clock_t *clock, perm_redis_client_t *redis,
    ngx_str_t *key, perm_server_clock_now_t *now)
{
    ngx_msec_t                 age;
    ngx_uint_t                 server;
    perm_server_clock_item_t  *item;

    server = perm_redis_client_server(redis, key);

    if (server == 0) {
        return NGX_ERROR;
    }

    item = &clock->items[server % PERM_SERVER_CLOCKS];

    if (item->command != NULL) {
        return (item->server == server) ? NGX_AGAIN : NGX_ERROR;
    }

    age = ngx_current_msec - item->at;

    if (item->server != server) {
        item->rc = NGX_ERROR;
    }

    if (item->server != server || age >= PERM_SERVER_CLOCK_VALID) {
        item->server = server;
        return perm_server_clock_ask(item, redis, key);
    }

    now->earliest = (time_t) ((item->time + age) / 1000);
    now->latest = (time_t) ((item->time + age + item->took) / 1000);

    return item->rc;
}


ngx_uint_t
perm_server_clock_outstanding(perm_server_clock_t *clock)
{
    return clock->outstanding;
}


void
perm_server_clock_cancel(perm_server_clock_t *clock)
{
    ngx_uint_t                 i;
    perm_server_clock_item_t  *item;

    for (i = 0; i < PERM_SERVER_CLOCKS; i++) {
        item = &clock->items[i];

        if (item->command != NULL) {
            perm_redis_command_cancel(item->command);
            item->command = NULL;
        }

        item->server = 0;
    }

    clock->outstanding = 0;
}


static ngx_int_t
perm_server_clock_ask(perm_server_clock_item_t *item,
    perm_redis_client_t *redis, ngx_str_t *key)
{
    ngx_str_t  argv[1];

    ngx_str_set(&argv[0], "TIME");

    item->at = ngx_current_msec;
    item->asked = ngx_time();
    item->command = perm_redis_client_send(redis, key, 1, argv,
                                           perm_server_clock_reply, item);

    if (item->command == NULL) {
        item->rc = NGX_ERROR;
        return NGX_ERROR;
    }

    item->clock->outstanding++;

    return NGX_AGAIN;
}


static void
perm_server_clock_reply(void *data, redisReply *reply)
{
    perm_server_clock_item_t *item = data;

    perm_server_clock_t  *clock;

    clock = item->clock;
    clock->outstanding--;

    item->command = NULL;
    item->took = ngx_current_msec - item->at;
    item->at = ngx_current_msec;

    if (reply == NULL) {
        item->rc = NGX_ABORT;
        return;
    }

    item->time = perm_server_clock_parse(reply);

    if (item->time == 0) {
        perm_server_clock_refused(item, reply);
        return;
    }

    item->rc = NGX_OK;
    item->ahead = item->asked - (time_t) (item->time / 1000);

    perm_server_clock_compare(clock);
}


/* ms, 0: it is no reply to TIME */

static uint64_t
perm_server_clock_parse(redisReply *reply)
{
    ngx_int_t    seconds, usec;
    perm_str_t   part;

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2) {
        return 0;
    }

    part = perm_reply_text(reply->element[0]);
    seconds = ngx_atoi((u_char *) part.data, part.len);

    part = perm_reply_text(reply->element[1]);
    usec = ngx_atoi((u_char *) part.data, part.len);

    if (seconds <= 0 || usec < 0 || usec > 999999
        || seconds > NGX_MAX_INT32_VALUE * (ngx_int_t) 2)
    {
        return 0;
    }

    return (uint64_t) seconds * 1000 + usec / 1000;
}


/*
 * Without the right to TIME accesses are written as this clock has them, as
 * readers take one in the future for one at Redis's time.
 */

static void
perm_server_clock_refused(perm_server_clock_item_t *item, redisReply *reply)
{
    char                  shown[PERM_PRINTABLE_SIZE(PERM_SERVER_CLOCK_SHOWN)];
    perm_str_t            error;
    perm_server_clock_t  *clock;

    clock = item->clock;
    error = perm_str("a reply of another type");

    if (reply->type == REDIS_REPLY_ERROR) {

        if (perm_advice_find(reply->str)->action != PERM_ADVICE_NONE) {
            /* it passes */
            item->rc = NGX_ERROR;
            return;
        }

        error.data = reply->str;
        error.len = ngx_min((size_t) reply->len, PERM_SERVER_CLOCK_SHOWN);
    }

    item->rc = NGX_DECLINED;
    item->ahead = 0;

    if (!perm_health_turned(&clock->health->no_time, 1)) {
        return;
    }

    (void) perm_printable(shown, sizeof(shown), error, 1);

    ngx_log_error(NGX_LOG_WARN, clock->log, 0,
                  "app_permission: Redis does not tell its time, so a wrong "
                  "clock of this machine gets into last accesses unnoticed: "
                  "\"%s\": allow the user \"time\"", shown);
}


/* a server that is being asked counts as it was */

static void
perm_server_clock_compare(perm_server_clock_t *clock)
{
    time_t                     ahead;
    ngx_uint_t                 i, refused;
    ngx_atomic_uint_t          before;
    perm_server_clock_item_t  *item;

    ahead = 0;
    refused = 0;

    for (i = 0; i < PERM_SERVER_CLOCKS; i++) {
        item = &clock->items[i];

        if (item->server && item->rc == NGX_OK) {
            ahead = ngx_max(ahead, item->ahead);
        }

        refused |= item->server && item->rc == NGX_DECLINED;
    }

    if (!refused && perm_health_turned(&clock->health->no_time, 0)) {
        ngx_log_error(NGX_LOG_WARN, clock->log, 0,
                      "app_permission: Redis tells its time again");
    }

    if (ahead < PERM_SERVER_CLOCK_AHEAD) {
        ahead = 0;
    }

    before = clock->health->clock_ahead;
    clock->health->clock_ahead = (ngx_atomic_uint_t) ahead;

    if (ahead && before == 0) {
        ngx_log_error(NGX_LOG_ERR, clock->log, 0,
                      "app_permission: the clock of this machine is %T s ahead "
                      "of Redis's: last accesses are written with Redis's "
                      "time, and grants end too early here; set the clock",
                      ahead);

    } else if (ahead == 0 && before) {
        ngx_log_error(NGX_LOG_ERR, clock->log, 0,
                      "app_permission: the clock of this machine is not ahead "
                      "of Redis's any more");
    }
}
