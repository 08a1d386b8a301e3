
#include "sync/flush_batch.h"

#include "core/grant_key.h"
#include "resp/advice.h"
#include "resp/printable.h"
#include "resp/reply.h"


#define PERM_FLUSH_BATCH_BATCH    128    /* commands a step */
#define PERM_FLUSH_BATCH_MAX      1024   /* commands on their way */
#define PERM_FLUSH_BATCH_REFUSED  256    /* in a row: give the walk up */
#define PERM_FLUSH_BATCH_TEXT     128    /* bytes of an error reply in the log */


/* a command on its way */

typedef struct perm_flush_batch_item_s  perm_flush_batch_item_t;

struct perm_flush_batch_item_s {
    perm_flush_batch_t       *batch;
    perm_flush_batch_item_t  *next;      /* of the free ones */
    perm_redis_command_t     *command;   /* NULL: free */
    ngx_uint_t                slot;
    uint32_t                  version;
    time_t                    last;      /* unix seconds */
};


struct perm_flush_batch_s {
    perm_recorder_t         *recorder;
    perm_redis_client_t     *redis;
    ngx_str_t               *prefix;
    ngx_log_t               *log;

    ngx_uint_t               cursor;
    ngx_uint_t               begin;      /* where the walk began */
    ngx_uint_t               outstanding;
    ngx_uint_t               refused;    /* in a row */

    unsigned                 wrapped:1;
    unsigned                 walked:1;
    unsigned                 given_up:1;
    unsigned                 down:1;     /* all of Redis */
    unsigned                 lost:1;     /* with a link */

    /* seen in this walk, and told in the log */
    unsigned                  failed:1;
    unsigned                  failing:1;
    unsigned                  wrong_type:1;
    unsigned                  wrong_type_told:1;

    perm_flush_batch_item_t  *free;
    perm_flush_batch_item_t   items[PERM_FLUSH_BATCH_MAX];
    perm_recorder_access_t    accesses[PERM_FLUSH_BATCH_BATCH];
};


static ngx_int_t perm_flush_batch_send(perm_flush_batch_t *batch,
    perm_recorder_access_t *access);
static void perm_flush_batch_reply(void *data, redisReply *reply);
static void perm_flush_batch_wrong_type(perm_flush_batch_t *batch,
    perm_flush_batch_item_t *item);
static void perm_flush_batch_refusal(perm_flush_batch_t *batch,
    redisReply *reply);
static void perm_flush_batch_finished(perm_flush_batch_t *batch);


perm_flush_batch_t *
perm_flush_batch_create(perm_recorder_t *recorder, perm_redis_client_t *redis,
    ngx_str_t *prefix, ngx_log_t *log)
{
    ngx_uint_t           i;
    perm_flush_batch_t  *batch;

    batch = ngx_calloc(sizeof(perm_flush_batch_t), log);
    if (batch == NULL) {
        return NULL;
    }

    batch->recorder = recorder;
    batch->redis = redis;
    batch->prefix = prefix;
    batch->log = log;
    batch->walked = 1;

    for (i = 0; i < PERM_FLUSH_BATCH_MAX; i++) {
        batch->items[i].batch = batch;
        batch->items[i].next = batch->free;
        batch->free = &batch->items[i];
    }

    return batch;
}


void
perm_flush_batch_destroy(perm_flush_batch_t *batch)
{
    ngx_uint_t  i;

    for (i = 0; i < PERM_FLUSH_BATCH_MAX; i++) {
        if (batch->items[i].command) {
            perm_redis_command_cancel(batch->items[i].command);
        }
    }

    ngx_free(batch);
}


/*
 * A walk begins where the last one ended: when that was given up, the ones
 * behind have their turn.
 */

void
perm_flush_batch_start(perm_flush_batch_t *batch)
{
    batch->begin = batch->cursor;
    batch->refused = 0;
    batch->wrapped = 0;
    batch->walked = 0;
    batch->given_up = 0;
    batch->down = 0;
    batch->lost = 0;
    batch->failed = 0;
    batch->wrong_type = 0;
}


ngx_uint_t
perm_flush_batch_outstanding(perm_flush_batch_t *batch)
{
    return batch->outstanding;
}


/*
 * In a cluster those of other masters have their turn when one is down: what
 * cannot be sent is no refusal, nor is the end of one link that of the walk.
 * A step takes no more of them than of the others.
 */

ngx_int_t
perm_flush_batch_step(perm_flush_batch_t *batch)
{
    ngx_uint_t  i, n, room;

    batch->down |= (perm_redis_client_state(batch->redis) == PERM_REDIS_DOWN);

    if (batch->down || batch->refused >= PERM_FLUSH_BATCH_REFUSED) {
        batch->given_up |= !batch->walked;
        batch->walked = 1;
    }

    room = PERM_FLUSH_BATCH_MAX - batch->outstanding;

    if (!batch->walked && room >= PERM_FLUSH_BATCH_BATCH) {

        n = perm_recorder_take(batch->recorder, &batch->cursor,
                               batch->accesses, PERM_FLUSH_BATCH_BATCH);

        if (batch->cursor == 0) {
            batch->walked = batch->wrapped || batch->begin == 0;
            batch->wrapped = 1;

        } else {
            batch->walked = batch->wrapped
                             && batch->cursor >= batch->begin;
        }

        for (i = 0; i < n; i++) {
            if (perm_flush_batch_send(batch, &batch->accesses[i]) != NGX_OK) {
                batch->failed = 1;
            }
        }
    }

    if (!batch->walked || batch->outstanding) {
        return NGX_AGAIN;
    }

    if (batch->down || batch->lost) {
        return NGX_DECLINED;
    }

    if (batch->given_up) {
        return NGX_ERROR;
    }

    perm_flush_batch_finished(batch);

    return NGX_OK;
}


static ngx_int_t
perm_flush_batch_send(perm_flush_batch_t *batch, perm_recorder_access_t *access)
{
    char                      key[PERM_KEY_MAX];
    u_char                    last[NGX_TIME_T_LEN];
    perm_str_t                prefix;
    ngx_str_t                 argv[5];
    perm_flush_batch_item_t  *item;

    prefix.len = batch->prefix->len;
    prefix.data = (char *) batch->prefix->data;

    ngx_str_set(&argv[0], "ZADD");

    argv[1].len = perm_grant_key(key, PERM_KEY_ACCESS, prefix,
                                 access->tuple.gateway, access->tuple.app);
    argv[1].data = (u_char *) key;

    ngx_str_set(&argv[2], "GT");

    argv[3].len = ngx_sprintf(last, "%T", access->last) - last;
    argv[3].data = last;

    argv[4].len = access->tuple.resource.len;
    argv[4].data = (u_char *) access->tuple.resource.data;

    item = batch->free;

    item->slot = access->slot;
    item->version = access->version;
    item->last = access->last;
    item->command = perm_redis_client_send(batch->redis, &argv[1], 5, argv,
                                           perm_flush_batch_reply, item);

    if (item->command == NULL) {
        return NGX_ERROR;
    }

    batch->free = item->next;
    batch->outstanding++;

    return NGX_OK;
}


static void
perm_flush_batch_reply(void *data, redisReply *reply)
{
    perm_flush_batch_t       *batch;
    perm_flush_batch_item_t  *item;

    item = data;
    batch = item->batch;

    item->command = NULL;
    item->next = batch->free;
    batch->free = item;
    batch->outstanding--;

    if (reply == NULL) {
        /* the link has a line of its own in the log */
        batch->lost = 1;
        batch->down |= (perm_redis_client_state(batch->redis) != PERM_REDIS_UP);
        return;
    }

    if (reply->type == REDIS_REPLY_INTEGER) {
        batch->refused = 0;
        perm_recorder_flushed(batch->recorder, item->slot, item->version,
                              item->last);
        return;
    }

    if (reply->type == REDIS_REPLY_ERROR
        && ngx_strncmp(reply->str, "WRONGTYPE", 9) == 0)
    {
        /* of this key alone */
        perm_flush_batch_wrong_type(batch, item);
        return;
    }

    batch->refused++;
    perm_flush_batch_refusal(batch, reply);
}


static void
perm_flush_batch_wrong_type(perm_flush_batch_t *batch,
    perm_flush_batch_item_t *item)
{
    char                     key[PERM_KEY_MAX];
    ngx_uint_t               cursor;
    perm_str_t               prefix;
    perm_recorder_access_t   access;

    batch->wrong_type = 1;

    if (batch->wrong_type_told) {
        return;
    }

    /* its names are still in the table, unless another worker was faster */

    cursor = item->slot;

    if (perm_recorder_take(batch->recorder, &cursor, &access, 1) != 1
        || access.slot != item->slot || access.version != item->version)
    {
        return;
    }

    batch->wrong_type_told = 1;

    prefix.len = batch->prefix->len;
    prefix.data = (char *) batch->prefix->data;

    (void) perm_grant_key(key, PERM_KEY_ACCESS, prefix, access.tuple.gateway,
                          access.tuple.app);

    ngx_log_error(NGX_LOG_ERR, batch->log, 0,
                  "app_permission: key \"%s\" of Redis is not a sorted set, "
                  "so last accesses cannot be written to it and stay pending: "
                  "delete or rename it", key);
}


static void
perm_flush_batch_refusal(perm_flush_batch_t *batch, redisReply *reply)
{
    char         text[PERM_PRINTABLE_SIZE(PERM_FLUSH_BATCH_TEXT)];
    perm_str_t   error;
    const char  *advice;

    batch->failed = 1;

    if (batch->failing) {
        return;
    }

    batch->failing = 1;

    if (reply->type != REDIS_REPLY_ERROR) {
        ngx_log_error(NGX_LOG_ERR, batch->log, 0,
                      "app_permission: Redis answered ZADD with a reply of "
                      "type %d instead of an integer; last accesses stay "
                      "pending", reply->type);
        return;
    }

    error.data = reply->str;
    error.len = ngx_min((size_t) reply->len, PERM_FLUSH_BATCH_TEXT);
    (void) perm_printable(text, sizeof(text), error, 1);

    advice = perm_advice_find(reply->str)->gateway;

    if (perm_reply_error(reply, "NOPERM")) {
        advice = "allow the user \"zadd\" on the access keys";
    }

    ngx_log_error(NGX_LOG_ERR, batch->log, 0,
                  "app_permission: Redis refuses last accesses, they stay "
                  "pending and are sent again: \"%s\": %s",
                  text, *advice ? advice : "see the log of Redis");
}


/* a whole walk was answered */

static void
perm_flush_batch_finished(perm_flush_batch_t *batch)
{
    if (batch->failing && !batch->failed) {
        batch->failing = 0;
        ngx_log_error(NGX_LOG_NOTICE, batch->log, 0,
                      "app_permission: Redis takes last accesses again");
    }

    if (!batch->wrong_type) {
        batch->wrong_type_told = 0;
    }

    batch->walked = 1;
}
