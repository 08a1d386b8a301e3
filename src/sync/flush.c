
#include "sync/flush.h"

#include "core/grant_key.h"
#include "resp/advice.h"
#include "resp/printable.h"
#include "resp/reply.h"


#define PERM_FLUSH_STEP      1         /* ms of rest, for requests */
#define PERM_FLUSH_STEPS     8         /* at once, with no request to serve */
#define PERM_FLUSH_LAST      2000      /* ms, the last batch of a worker */
#define PERM_FLUSH_SNAPSHOT  20000     /* ms between state files */
#define PERM_FLUSH_DROPPED   60        /* seconds between lines in the log */
#define PERM_FLUSH_EXITING   5         /* turns of a free lease */

#define PERM_FLUSH_TAKEN     128       /* accesses a step */
#define PERM_FLUSH_MAX       1024      /* commands on their way */
#define PERM_FLUSH_REFUSED   256       /* in a row: the batch is given up */
#define PERM_FLUSH_SHOWN     128       /* bytes of an error in the log */


/* a command on its way */

typedef struct perm_flush_item_s  perm_flush_item_t;

struct perm_flush_item_s {
    perm_flush_t            *flush;
    perm_flush_item_t       *next;       /* free one */
    perm_redis_command_t    *command;    /* NULL: free */
    ngx_uint_t               slot;       /* of the recorder */
    uint32_t                 version;
    time_t                   last;       /* unix seconds */
};


struct perm_flush_s {
    perm_sync_conf_t        *conf;
    perm_zone_t             *zone;
    perm_redis_client_t     *redis;
    perm_str_t               prefix;     /* of the keys */
    ngx_log_t               *log;

    ngx_event_t              timer;      /* every PERM_LEASE_RENEW ms, or sooner
                                            while there is work */

    ngx_msec_t               started;    /* monotonic: the batch */
    ngx_msec_t               due;        /* monotonic: the next batch */
    ngx_msec_t               snapshot;   /* monotonic: the next state file */
    ngx_uint_t               dropped;    /* as logged */
    ngx_uint_t               free_turns; /* of the lease, while exiting */

    unsigned                 holding:1;  /* the lease */
    unsigned                 flushing:1; /* a batch is on its way */
    unsigned                 writing:1;  /* the state file */

    /* the batch: a walk over the recorder's table */

    ngx_uint_t               cursor;
    ngx_uint_t               begin;      /* where the walk began */
    ngx_uint_t               outstanding;
    ngx_uint_t               refused;    /* in a row */
    ngx_uint_t               sent;
    ngx_uint_t               acknowledged;
    ngx_int_t                rc;         /* of the batch, when it ends */

    unsigned                 wrapped:1;  /* past the end of the table */
    unsigned                 walked:1;   /* nothing more to send */
    unsigned                 failed:1;   /* seen in this batch */
    unsigned                 wrong_type:1;
    unsigned                 failed_logged:1;
    unsigned                 wrong_type_logged:1;

    perm_flush_item_t       *free;
    perm_flush_item_t        items[PERM_FLUSH_MAX];
    perm_recorder_access_t   accesses[PERM_FLUSH_TAKEN];
};


static void perm_flush_timer(ngx_event_t *ev);
static ngx_uint_t perm_flush_hold(perm_flush_t *flush);
static void perm_flush_stop(perm_flush_t *flush);
static void perm_flush_turn(perm_flush_t *flush, ngx_msec_t now);
static void perm_flush_write(perm_flush_t *flush, ngx_msec_t now);
static void perm_flush_dropped(perm_flush_t *flush);
static void perm_flush_batch_start(perm_flush_t *flush);
static ngx_int_t perm_flush_batch_step(perm_flush_t *flush);
static void perm_flush_batch_take(perm_flush_t *flush);
static ngx_int_t perm_flush_batch_send(perm_flush_t *flush,
    perm_recorder_access_t *access);
static void perm_flush_batch_reply(void *data, redisReply *reply);
static void perm_flush_batch_wrong_type(perm_flush_t *flush,
    perm_flush_item_t *item);
static void perm_flush_batch_refused(perm_flush_t *flush,
    redisReply *reply);
static ngx_int_t perm_flush_batch_end(perm_flush_t *flush);
static void perm_flush_batch_cancel(perm_flush_t *flush);


perm_flush_t *
perm_flush_create(perm_sync_conf_t *conf, perm_redis_client_t *redis,
    ngx_cycle_t *cycle)
{
    ngx_uint_t     i;
    perm_flush_t  *flush;

    flush = ngx_pcalloc(cycle->pool, sizeof(perm_flush_t));
    if (flush == NULL) {
        return NULL;
    }

    flush->conf = conf;
    flush->zone = conf->zone.zone;
    flush->redis = redis;
    flush->prefix = perm_sync_conf_prefix(conf);
    flush->log = cycle->log;
    flush->dropped = perm_recorder_dropped(flush->zone->recorder);
    flush->walked = 1;

    for (i = 0; i < PERM_FLUSH_MAX; i++) {
        flush->items[i].flush = flush;
        flush->items[i].next = flush->free;
        flush->free = &flush->items[i];
    }

    flush->timer.handler = perm_flush_timer;
    flush->timer.data = flush;
    flush->timer.log = cycle->log;
    flush->timer.cancelable = 1;

    ngx_add_timer(&flush->timer, PERM_LEASE_RENEW);

    return flush;
}


/*
 * Every worker does this, also next to others: an access that it recorded
 * last may be behind the walk of the worker that has the lease.
 */

void
perm_flush_finish(perm_flush_t *flush)
{
    ngx_int_t   rc;
    ngx_msec_t  end, now;
    ngx_uint_t  i;

    if (flush->timer.timer_set) {
        ngx_del_timer(&flush->timer);
    }

    perm_flush_stop(flush);

    ngx_time_update();
    end = ngx_current_msec + PERM_FLUSH_LAST;

    perm_flush_batch_start(flush);

    for ( ;; ) {

        for (i = 0; i < PERM_FLUSH_STEPS; i++) {
            rc = perm_flush_batch_step(flush);

            if (rc != NGX_AGAIN) {
                break;
            }
        }

        ngx_time_update();
        now = ngx_current_msec;

        if (rc != NGX_AGAIN || (ngx_msec_int_t) (end - now) <= 0) {
            break;
        }

        if (flush->outstanding) {
            (void) perm_redis_client_drain(flush->redis, end - now);
        }
    }

    perm_flush_batch_cancel(flush);
    perm_lease_release(&flush->zone->flushing);
}


static void
perm_flush_timer(ngx_event_t *ev)
{
    perm_flush_t *flush = ev->data;

    ngx_msec_t  now;

    if (!perm_flush_hold(flush)) {
        perm_flush_stop(flush);
        ngx_add_timer(ev, PERM_LEASE_RENEW);
        return;
    }

    now = ngx_current_msec;

    if (!flush->holding) {

        ngx_log_debug0(NGX_LOG_DEBUG_CORE, flush->log, 0,
                       "app_permission: flush lease taken");

        /* at once: for how long accesses have been pending is not known */

        flush->holding = 1;
        flush->due = now;
        flush->snapshot = now + PERM_FLUSH_SNAPSHOT;
    }

    perm_flush_dropped(flush);
    perm_flush_turn(flush, now);
    perm_flush_write(flush, now);

    ngx_add_timer(ev, (flush->flushing || flush->writing) ? PERM_FLUSH_STEP
                                                          : PERM_LEASE_RENEW);
}


/*
 * A worker that is quitting gives the lease up to the workers of the new
 * configuration.  When nginx stops there are none: then the worker takes the
 * lease back until its last request has ended.
 */

static ngx_uint_t
perm_flush_hold(perm_flush_t *flush)
{
    perm_lease_t  *lease;

    lease = &flush->zone->flushing;

    if (ngx_exiting && flush->free_turns < PERM_FLUSH_EXITING) {

        if (flush->holding) {
            perm_lease_release(lease);
            flush->free_turns = 0;
        }

        flush->free_turns = perm_lease_held(lease, ngx_current_msec)
                            ? 0 : flush->free_turns + 1;

        return 0;
    }

    return perm_lease_hold(lease, ngx_current_msec);
}


static void
perm_flush_stop(perm_flush_t *flush)
{
    if (flush->holding) {
        ngx_log_debug0(NGX_LOG_DEBUG_CORE, flush->log, 0,
                       "app_permission: flush lease lost");
    }

    flush->holding = 0;
    flush->flushing = 0;

    if (flush->writing) {
        flush->writing = 0;
        perm_state_files_abandon(flush->conf->state);
    }
}


/*
 * An access that is recorded behind the walk waits until the next walk reaches
 * it.  So the longer a walk takes, the sooner the next one begins.
 */

static void
perm_flush_turn(perm_flush_t *flush, ngx_msec_t now)
{
    ngx_int_t   rc;
    ngx_msec_t  took, interval;

    if (!flush->flushing) {

        if ((ngx_msec_int_t) (now - flush->due) < 0
            || perm_redis_client_state(flush->redis) != PERM_REDIS_UP)
        {
            return;
        }

        flush->flushing = 1;
        flush->started = now;
        perm_flush_batch_start(flush);
    }

    rc = perm_flush_batch_step(flush);

    if (rc == NGX_AGAIN) {
        return;
    }

    flush->flushing = 0;

    took = now - flush->started;
    interval = flush->conf->flush;

    switch (rc) {

    case NGX_OK:
        flush->due = flush->started + (interval > took ? interval - took : 0);
        break;

    case NGX_DECLINED:
        flush->due = now;
        break;

    default: /* NGX_ERROR */
        flush->due = now + interval;
        break;
    }
}


static void
perm_flush_write(perm_flush_t *flush, ngx_msec_t now)
{
    if (!flush->writing) {

        if (flush->conf->state == NULL
            || (ngx_msec_int_t) (now - flush->snapshot) < 0)
        {
            return;
        }

        flush->writing = 1;
        flush->snapshot = now + PERM_FLUSH_SNAPSHOT;
    }

    if (flush->zone->replaced) {
        flush->writing = 0;
        perm_state_files_abandon(flush->conf->state);

    } else if (perm_state_files_write(flush->conf->state, flush->zone,
                                      flush->log)
               != NGX_AGAIN)
    {
        flush->writing = 0;
    }
}


/* one line in a while for all workers */

static void
perm_flush_dropped(perm_flush_t *flush)
{
    time_t             now;
    ngx_uint_t         dropped;
    ngx_atomic_uint_t  logged;

    dropped = perm_recorder_dropped(flush->zone->recorder);

    if (dropped == flush->dropped) {
        return;
    }

    now = ngx_time();
    logged = flush->zone->health.full;

    if (logged && now - (time_t) logged < PERM_FLUSH_DROPPED) {
        return;
    }

    flush->zone->health.full = (ngx_atomic_uint_t) now;

    ngx_log_error(NGX_LOG_ERR, flush->log, 0,
                  "app_permission: no room for more pending accesses, %ui "
                  "dropped in the last while, %ui since start: enlarge "
                  "\"app_permission_zone\" or let Redis take them",
                  dropped - flush->dropped, dropped);

    flush->dropped = dropped;
}


/*
 * A walk begins where the last one ended.  When that one was given up, the
 * accesses behind it have their turn now.
 */

static void
perm_flush_batch_start(perm_flush_t *flush)
{
    flush->begin = flush->cursor;
    flush->refused = 0;
    flush->sent = 0;
    flush->acknowledged = 0;
    flush->rc = NGX_OK;
    flush->wrapped = 0;
    flush->walked = 0;
    flush->failed = 0;
    flush->wrong_type = 0;
}


/*
 * NGX_AGAIN: call again in a moment.  NGX_OK: the walk is over, and every
 * command that could be sent was answered; in a cluster a master may be down.
 * NGX_DECLINED: Redis is down, or a link was lost.  NGX_ERROR: given up,
 * because Redis refuses one access after the other.  An access stays pending
 * until it is acknowledged.
 */

static ngx_int_t
perm_flush_batch_step(perm_flush_t *flush)
{
    if (perm_redis_client_state(flush->redis) == PERM_REDIS_DOWN) {
        flush->walked = 1;
        flush->rc = NGX_DECLINED;

    } else if (flush->refused >= PERM_FLUSH_REFUSED && !flush->walked) {
        flush->walked = 1;
        flush->rc = (flush->rc == NGX_OK) ? NGX_ERROR : flush->rc;

    } else if (!flush->walked
               && PERM_FLUSH_MAX - flush->outstanding >= PERM_FLUSH_TAKEN)
    {
        perm_flush_batch_take(flush);
    }

    if (!flush->walked || flush->outstanding) {
        return NGX_AGAIN;
    }

    return perm_flush_batch_end(flush);
}


/*
 * An access that cannot be sent does not end the walk: in a cluster one master
 * may be down, and the others take their accesses.
 */

static void
perm_flush_batch_take(perm_flush_t *flush)
{
    ngx_uint_t  i, n;

    n = perm_recorder_take(flush->zone->recorder, &flush->cursor,
                           flush->accesses, PERM_FLUSH_TAKEN);

    if (flush->cursor == 0) {
        flush->walked = flush->wrapped || flush->begin == 0;
        flush->wrapped = 1;

    } else {
        flush->walked = flush->wrapped && flush->cursor >= flush->begin;
    }

    for (i = 0; i < n; i++) {
        if (perm_flush_batch_send(flush, &flush->accesses[i]) != NGX_OK) {
            flush->failed = 1;
        }
    }

    if (n) {
        ngx_log_debug2(NGX_LOG_DEBUG_CORE, flush->log, 0,
                       "app_permission: flush sends %ui accesses, %ui "
                       "commands on their way", n, flush->outstanding);
    }
}


static ngx_int_t
perm_flush_batch_send(perm_flush_t *flush, perm_recorder_access_t *access)
{
    char                key[PERM_KEY_MAX];
    u_char              last[NGX_TIME_T_LEN];
    ngx_str_t           argv[5];
    perm_flush_item_t  *item;

    ngx_str_set(&argv[0], "ZADD");

    argv[1].len = perm_grant_key(key, PERM_KEY_ACCESS, flush->prefix,
                                 access->tuple.gateway, access->tuple.app);
    argv[1].data = (u_char *) key;

    ngx_str_set(&argv[2], "GT");

    argv[3].len = ngx_sprintf(last, "%T", access->last) - last;
    argv[3].data = last;

    argv[4].len = access->tuple.resource.len;
    argv[4].data = (u_char *) access->tuple.resource.data;

    item = flush->free;

    item->slot = access->slot;
    item->version = access->version;
    item->last = access->last;
    item->command = perm_redis_client_send(flush->redis, &argv[1], 5, argv,
                                           perm_flush_batch_reply, item);

    if (item->command == NULL) {
        return NGX_ERROR;
    }

    flush->free = item->next;
    flush->outstanding++;
    flush->sent++;

    return NGX_OK;
}


static void
perm_flush_batch_reply(void *data, redisReply *reply)
{
    perm_flush_item_t *item = data;

    perm_flush_t  *flush;

    flush = item->flush;

    item->command = NULL;
    item->next = flush->free;
    flush->free = item;
    flush->outstanding--;

    if (reply == NULL) {
        /* the link has a line of its own in the log */
        flush->rc = NGX_DECLINED;
        flush->walked |= (perm_redis_client_state(flush->redis)
                          != PERM_REDIS_UP);

    } else if (reply->type == REDIS_REPLY_INTEGER) {
        flush->refused = 0;
        flush->acknowledged++;
        perm_recorder_flushed(flush->zone->recorder, item->slot, item->version,
                              item->last);

    } else if (perm_reply_error(reply, "WRONGTYPE")) {
        /* of this key alone */
        perm_flush_batch_wrong_type(flush, item);

    } else {
        flush->refused++;
        perm_flush_batch_refused(flush, reply);
    }
}


static void
perm_flush_batch_wrong_type(perm_flush_t *flush, perm_flush_item_t *item)
{
    char                    key[PERM_KEY_MAX];
    ngx_uint_t              cursor;
    perm_recorder_access_t  access;

    flush->wrong_type = 1;

    if (flush->wrong_type_logged) {
        return;
    }

    /* its names are still in the table, unless another worker was faster */

    cursor = item->slot;

    if (perm_recorder_take(flush->zone->recorder, &cursor, &access, 1) != 1
        || access.slot != item->slot || access.version != item->version)
    {
        return;
    }

    flush->wrong_type_logged = 1;

    (void) perm_grant_key(key, PERM_KEY_ACCESS, flush->prefix,
                          access.tuple.gateway, access.tuple.app);

    ngx_log_error(NGX_LOG_ERR, flush->log, 0,
                  "app_permission: key \"%s\" of Redis is not a sorted set, "
                  "so last accesses cannot be written to it and stay pending: "
                  "delete or rename it", key);
}


static void
perm_flush_batch_refused(perm_flush_t *flush, redisReply *reply)
{
    char         shown[PERM_PRINTABLE_SIZE(PERM_FLUSH_SHOWN)];
    perm_str_t   error;
    const char  *advice;

    flush->failed = 1;

    if (flush->failed_logged) {
        return;
    }

    flush->failed_logged = 1;

    if (reply->type != REDIS_REPLY_ERROR) {
        ngx_log_error(NGX_LOG_ERR, flush->log, 0,
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

    ngx_log_error(NGX_LOG_ERR, flush->log, 0,
                  "app_permission: Redis refuses last accesses, they stay "
                  "pending and are sent again: \"%s\": %s",
                  shown, *advice ? advice : "see the log of Redis");
}


/* every command of the walk was answered */

static ngx_int_t
perm_flush_batch_end(perm_flush_t *flush)
{
    ngx_log_debug3(NGX_LOG_DEBUG_CORE, flush->log, 0,
                   "app_permission: flush ends, rc:%i, %ui of %ui accesses "
                   "acknowledged", flush->rc, flush->acknowledged, flush->sent);

    if (flush->rc != NGX_OK) {
        return flush->rc;
    }

    if (flush->failed_logged && !flush->failed) {
        flush->failed_logged = 0;
        ngx_log_error(NGX_LOG_ERR, flush->log, 0,
                      "app_permission: Redis takes last accesses again");
    }

    if (!flush->wrong_type) {
        flush->wrong_type_logged = 0;
    }

    return NGX_OK;
}


/* no reply comes any more; accesses on their way stay pending */

static void
perm_flush_batch_cancel(perm_flush_t *flush)
{
    ngx_uint_t  i;

    for (i = 0; i < PERM_FLUSH_MAX; i++) {
        if (flush->items[i].command) {
            perm_redis_command_cancel(flush->items[i].command);
        }
    }
}
