
#include "sync/flush_batch.h"

#include "core/grant_key.h"
#include "resp/advice.h"
#include "resp/printable.h"
#include "resp/reply.h"
#include "sync/server_clock.h"


#define PERM_FLUSH_TAKEN     128       /* accesses a step */
#define PERM_FLUSH_MAX       1024      /* commands on their way */
#define PERM_FLUSH_REFUSED   256       /* in a row: the batch is given up */
#define PERM_FLUSH_SHOWN     128       /* bytes of an error in the log */
#define PERM_FLUSH_AHEAD     2         /* seconds */
#define PERM_FLUSH_PASSES    3         /* seconds: a fail-over is noticed */


/* a command on its way */

typedef struct perm_flush_item_s  perm_flush_item_t;

struct perm_flush_item_s {
    perm_flush_batch_t      *batch;
    perm_flush_item_t       *next;       /* free one */
    perm_redis_command_t    *command;    /* NULL: free */
    ngx_uint_t               slot;       /* of the recorder */
    uint32_t                 version;
    time_t                   written;    /* unix seconds */
};


struct perm_flush_batch_s {
    perm_zone_t             *zone;
    ngx_uint_t               generation; /* of the configuration */
    perm_redis_client_t     *redis;      /* of this batch */
    perm_server_clock_t     *clock;
    perm_str_t               prefix;     /* of the keys */
    ngx_log_t               *log;

    /* a walk over the recorder's table */

    ngx_uint_t               cursor;
    ngx_uint_t               begin;      /* where the walk began */
    ngx_uint_t               outstanding;
    ngx_uint_t               refused;    /* in a row */
    ngx_uint_t               sent;
    ngx_uint_t               acknowledged;
    ngx_int_t                rc;         /* of the batch, when it ends */

    unsigned                 wrapped:1;  /* past the end of the table */
    unsigned                 ended:1;    /* back where it began */
    unsigned                 walked:1;   /* nothing more to send */
    unsigned                 failed:1;   /* seen in this batch */
    unsigned                 wrong_type:1;
    unsigned                 wrong_type_logged:1;

    perm_flush_item_t       *free;
    perm_flush_item_t        items[PERM_FLUSH_MAX];

    ngx_uint_t               ntaken;
    ngx_uint_t               next;       /* of those taken */
    perm_recorder_access_t   accesses[PERM_FLUSH_TAKEN];
};


static void perm_flush_batch_take(perm_flush_batch_t *batch);
static ngx_int_t perm_flush_batch_send(perm_flush_batch_t *batch,
    perm_recorder_access_t *access);
static ngx_int_t perm_flush_batch_clamp(perm_flush_batch_t *batch,
    ngx_str_t *key, perm_recorder_access_t *access, time_t *written);
static void perm_flush_batch_reply(void *data, redisReply *reply);
static void perm_flush_batch_wrong_type(perm_flush_batch_t *batch,
    perm_flush_item_t *item);
static ngx_uint_t perm_flush_batch_passes(perm_flush_batch_t *batch,
    redisReply *reply);
static void perm_flush_batch_refused(perm_flush_batch_t *batch,
    redisReply *reply);
static ngx_int_t perm_flush_batch_end(perm_flush_batch_t *batch);


perm_flush_batch_t *
perm_flush_batch_create(perm_sync_conf_t *conf, ngx_cycle_t *cycle)
{
    ngx_uint_t           i;
    perm_flush_batch_t  *batch;

    batch = ngx_pcalloc(cycle->pool, sizeof(perm_flush_batch_t));
    if (batch == NULL) {
        return NULL;
    }

    batch->zone = conf->zone.zone;
    batch->generation = conf->generation;
    batch->prefix = perm_sync_conf_prefix(conf);
    batch->log = cycle->log;
    batch->walked = 1;

    batch->clock = perm_server_clock_create(&batch->zone->health, cycle);
    if (batch->clock == NULL) {
        return NULL;
    }

    for (i = 0; i < PERM_FLUSH_MAX; i++) {
        batch->items[i].batch = batch;
        batch->items[i].next = batch->free;
        batch->free = &batch->items[i];
    }

    return batch;
}


/*
 * A walk begins where the last one ended.  When that one was given up, the
 * accesses behind it have their turn now.
 */

void
perm_flush_batch_start(perm_flush_batch_t *batch, perm_redis_client_t *redis)
{
    ngx_str_t                key;
    perm_server_clock_now_t  now;

    batch->redis = redis;
    batch->begin = batch->cursor;
    batch->refused = 0;
    batch->sent = 0;
    batch->acknowledged = 0;
    batch->rc = NGX_OK;
    batch->ntaken = 0;
    batch->next = 0;
    batch->wrapped = 0;
    batch->ended = 0;
    batch->walked = 0;
    batch->failed = 0;
    batch->wrong_type = 0;

    /* also without accesses the status is to know when the clock is right */

    key.data = (u_char *) batch->prefix.data;
    key.len = batch->prefix.len;

    (void) perm_server_clock_read(batch->clock, redis, &key, &now);
}


ngx_int_t
perm_flush_batch_step(perm_flush_batch_t *batch)
{
    if (perm_redis_client_state(batch->redis) == PERM_REDIS_DOWN) {
        batch->walked = 1;
        batch->rc = NGX_DECLINED;

    } else if (batch->refused >= PERM_FLUSH_REFUSED && !batch->walked) {
        batch->walked = 1;
        batch->rc = (batch->rc == NGX_OK) ? NGX_ERROR : batch->rc;

    } else if (!batch->walked
               && PERM_FLUSH_MAX - batch->outstanding >= PERM_FLUSH_TAKEN)
    {
        perm_flush_batch_take(batch);
    }

    if (!batch->walked || perm_flush_batch_outstanding(batch)) {
        return NGX_AGAIN;
    }

    return perm_flush_batch_end(batch);
}


/*
 * An access that cannot be sent does not end the walk: in a cluster one master
 * may be down, and the others take their accesses.
 */

static void
perm_flush_batch_take(perm_flush_batch_t *batch)
{
    ngx_int_t  rc;

    if (batch->next == batch->ntaken) {

        batch->next = 0;
        batch->ntaken = perm_recorder_take(batch->zone->recorder,
                                           &batch->cursor, batch->accesses,
                                           PERM_FLUSH_TAKEN);

        if (batch->cursor == 0) {
            batch->ended = batch->wrapped || batch->begin == 0;
            batch->wrapped = 1;

        } else {
            batch->ended = batch->wrapped && batch->cursor >= batch->begin;
        }
    }

    for ( /* void */ ; batch->next < batch->ntaken; batch->next++) {

        rc = perm_flush_batch_send(batch, &batch->accesses[batch->next]);

        if (rc == NGX_AGAIN) {
            return;
        }

        if (rc != NGX_OK) {
            batch->failed = 1;
        }
    }

    batch->walked = batch->ended;

    if (batch->ntaken) {
        ngx_log_debug2(NGX_LOG_DEBUG_CORE, batch->log, 0,
                       "app_permission: flush sends %ui accesses, %ui "
                       "commands on their way", batch->ntaken,
                       batch->outstanding);
    }
}


/* NGX_AGAIN: the clock of its server has to be known first */

static ngx_int_t
perm_flush_batch_send(perm_flush_batch_t *batch, perm_recorder_access_t *access)
{
    char                key[PERM_KEY_MAX];
    u_char              last[NGX_TIME_T_LEN];
    ngx_str_t           argv[5];
    time_t              written;
    ngx_int_t           rc;
    perm_flush_item_t  *item;

    ngx_str_set(&argv[0], "ZADD");

    argv[1].len = perm_grant_key(key, PERM_KEY_ACCESS, batch->prefix,
                                 access->tuple.gateway, access->tuple.app);
    argv[1].data = (u_char *) key;

    ngx_str_set(&argv[2], "GT");

    rc = perm_flush_batch_clamp(batch, &argv[1], access, &written);

    if (rc != NGX_OK) {
        return rc;
    }

    argv[3].len = ngx_sprintf(last, "%T", written) - last;
    argv[3].data = last;

    argv[4].len = access->tuple.resource.len;
    argv[4].data = (u_char *) access->tuple.resource.data;

    item = batch->free;

    item->slot = access->slot;
    item->version = access->version;
    item->written = written;
    item->command = perm_redis_client_send(batch->redis, &argv[1], 5, argv,
                                           perm_flush_batch_reply, item);

    if (item->command == NULL) {
        return NGX_ERROR;
    }

    batch->free = item->next;
    batch->outstanding++;
    batch->sent++;

    return NGX_OK;
}


/*
 * An access that is ahead by rounding, or by as long as the reply to TIME took,
 * stays pending: the next batch has its own second.
 */

static ngx_int_t
perm_flush_batch_clamp(perm_flush_batch_t *batch, ngx_str_t *key,
    perm_recorder_access_t *access, time_t *written)
{
    ngx_int_t                rc;
    perm_server_clock_now_t  now;

    *written = access->last;

    rc = perm_server_clock_read(batch->clock, batch->redis, key, &now);

    switch (rc) {

    case NGX_OK:
        *written = ngx_min(access->last, now.earliest);

        if (access->last - now.latest >= PERM_FLUSH_AHEAD) {
            perm_recorder_clamp(batch->zone->recorder, access->slot,
                                access->version, access->last, *written);
        }

        return NGX_OK;

    case NGX_DECLINED:
        return NGX_OK;

    case NGX_ABORT:
        batch->rc = NGX_DECLINED;
        return NGX_ERROR;

    default: /* NGX_AGAIN, NGX_ERROR */
        return rc;
    }
}


static void
perm_flush_batch_reply(void *data, redisReply *reply)
{
    perm_flush_item_t *item = data;

    perm_flush_batch_t  *batch;

    batch = item->batch;

    item->command = NULL;
    item->next = batch->free;
    batch->free = item;
    batch->outstanding--;

    if (reply == NULL) {
        /* the link has a line of its own in the log */
        batch->rc = NGX_DECLINED;
        batch->walked |= (perm_redis_client_state(batch->redis)
                          != PERM_REDIS_UP);

    } else if (reply->type == REDIS_REPLY_INTEGER) {
        batch->refused = 0;
        batch->acknowledged++;
        perm_recorder_flushed(batch->zone->recorder, item->slot, item->version,
                              item->written);

    } else if (perm_reply_error(reply, "WRONGTYPE")) {
        /* of this key alone */
        perm_flush_batch_wrong_type(batch, item);

    } else {
        batch->refused++;
        perm_flush_batch_refused(batch, reply);
    }
}


static void
perm_flush_batch_wrong_type(perm_flush_batch_t *batch, perm_flush_item_t *item)
{
    char                    key[PERM_KEY_MAX];
    ngx_uint_t              cursor;
    perm_recorder_access_t  access;

    batch->wrong_type = 1;

    if (batch->wrong_type_logged) {
        return;
    }

    /* its names are still in the table, unless another worker was faster */

    cursor = item->slot;

    if (perm_recorder_take(batch->zone->recorder, &cursor, &access, 1) != 1
        || access.slot != item->slot || access.version != item->version)
    {
        return;
    }

    batch->wrong_type_logged = 1;

    (void) perm_grant_key(key, PERM_KEY_ACCESS, batch->prefix,
                          access.tuple.gateway, access.tuple.app);

    ngx_log_error(NGX_LOG_ERR, batch->log, 0,
                  "app_permission: key \"%s\" of Redis is not a sorted set, "
                  "so last accesses cannot be written to it and stay pending: "
                  "delete or rename it", key);
}


/* 1: a fail-over or a start of Redis, which has lines of its own */

static ngx_uint_t
perm_flush_batch_passes(perm_flush_batch_t *batch, redisReply *reply)
{
    time_t        since;
    perm_zone_t  *zone;

    zone = batch->zone;
    since = (time_t) zone->health.unwritten;

    return reply->type == REDIS_REPLY_ERROR
           && perm_advice_find(reply->str)->action != PERM_ADVICE_NONE
           && (zone->link.replica || since == 0
               || ngx_time() - since < PERM_FLUSH_PASSES);
}


static void
perm_flush_batch_refused(perm_flush_batch_t *batch, redisReply *reply)
{
    char         shown[PERM_PRINTABLE_SIZE(PERM_FLUSH_SHOWN)];
    perm_str_t   error;
    const char  *advice;

    batch->failed = 1;

    if (perm_flush_batch_passes(batch, reply)
        || !perm_health_turned(&batch->zone->health.unwritten_logged,
                               batch->generation))
    {
        return;
    }

    if (reply->type != REDIS_REPLY_ERROR) {
        ngx_log_error(NGX_LOG_ERR, batch->log, 0,
                      "app_permission: Redis answered ZADD with a reply of "
                      "type %d instead of an integer; last accesses stay "
                      "pending", reply->type);
        return;
    }

    error.data = reply->str;
    error.len = ngx_min((size_t) reply->len, PERM_FLUSH_SHOWN);
    (void) perm_printable(shown, sizeof(shown), error, 1);

    advice = perm_advice_find(reply->str)->gateway;

    if (perm_reply_error(reply, "NOPERM")) {
        advice = "allow the user \"zadd\" on the access keys";
    }

    ngx_log_error(NGX_LOG_ERR, batch->log, 0,
                  "app_permission: Redis refuses last accesses, they stay "
                  "pending and are sent again: \"%s\": %s",
                  shown, *advice ? advice : "see the log of Redis");
}


/* every command of the walk was answered */

static ngx_int_t
perm_flush_batch_end(perm_flush_batch_t *batch)
{
    ngx_log_debug3(NGX_LOG_DEBUG_CORE, batch->log, 0,
                   "app_permission: flush ends, rc:%i, %ui of %ui accesses "
                   "acknowledged", batch->rc, batch->acknowledged, batch->sent);

    if (batch->rc != NGX_OK || batch->failed) {
        perm_health_unwritten(&batch->zone->health);
    }

    if (batch->rc != NGX_OK) {
        return batch->rc;
    }

    if (!batch->failed) {
        perm_health_written(&batch->zone->health, batch->log);
    }

    if (!batch->wrong_type) {
        batch->wrong_type_logged = 0;
    }

    return NGX_OK;
}


ngx_uint_t
perm_flush_batch_outstanding(perm_flush_batch_t *batch)
{
    return batch->outstanding + perm_server_clock_outstanding(batch->clock);
}


void
perm_flush_batch_cancel(perm_flush_batch_t *batch)
{
    ngx_uint_t          i;
    perm_flush_item_t  *item;

    for (i = 0; i < PERM_FLUSH_MAX; i++) {
        item = &batch->items[i];

        if (item->command) {
            perm_redis_command_cancel(item->command);
            item->command = NULL;
            item->next = batch->free;
            batch->free = item;
        }
    }

    batch->outstanding = 0;
    batch->walked = 1;

    perm_server_clock_cancel(batch->clock);
}
