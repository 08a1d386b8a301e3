
#include "sync/flush.h"

#include "shm/former.h"
#include "shm/stats.h"
#include "sync/flush_batch.h"


#define PERM_FLUSH_STEP      1         /* ms of rest, for requests */
#define PERM_FLUSH_STEPS     8         /* at once, with no request to serve */
#define PERM_FLUSH_LAST      2000      /* ms, the last batch of a worker */
#define PERM_FLUSH_TRIES     3         /* of it, when a link is lost */
#define PERM_FLUSH_SNAPSHOT  20000     /* ms between state files */
#define PERM_FLUSH_NO_TABLE  1000      /* ms until it is asked for again */
#define PERM_FLUSH_DROPPED   60        /* seconds between lines in the log */
#define PERM_FLUSH_EXITING   5         /* turns of a free lease */
#define PERM_FLUSH_BAD       2         /* seconds, before the log says so */
#define PERM_FLUSH_CAUSE     512       /* bytes, with a NUL */


struct perm_flush_s {
    perm_sync_conf_t        *conf;
    perm_zone_t             *zone;
    perm_redis_client_t     *lookups;    /* this worker's client for these */
    perm_redis_client_t     *redis;      /* of accesses alone; NULL without the
                                            lease */
    perm_redis_meter_t       meter;
    perm_flush_batch_t      *batch;
    perm_meta_t             *meta;
    perm_meta_waiter_t       waiter;
    ngx_log_t               *log;
    ngx_log_t                silent;     /* of "redis" */

    ngx_event_t              timer;      /* every PERM_LEASE_RENEW ms, or sooner
                                            while there is work */

    ngx_msec_t               started;    /* monotonic: the batch */
    ngx_msec_t               due;        /* monotonic: the next batch */
    ngx_msec_t               snapshot;   /* monotonic: the next state file */
    ngx_uint_t               dropped;    /* as logged */
    ngx_uint_t               free_turns; /* of the lease, while exiting */
    ngx_uint_t               lost;       /* batches in a row */
    ngx_atomic_uint_t        hung;       /* of health, when last looked at */

    unsigned                 holding:1;  /* the lease */
    unsigned                 asking:1;   /* whether the table is loaded */
    unsigned                 flushing:1; /* a batch is on its way */
    unsigned                 writing:1;  /* the state file */
    unsigned                 down:1;     /* "redis" was, since the last turn */

    char                     cause[PERM_FLUSH_CAUSE];   /* of a lost link */
};


static ngx_int_t perm_flush_last(perm_flush_t *flush, ngx_msec_t end);
static void perm_flush_timer(ngx_event_t *ev);
static ngx_uint_t perm_flush_link_failed(void *data, const char *address,
    const char *reason);
static ngx_uint_t perm_flush_hold(perm_flush_t *flush);
static void perm_flush_stop(perm_flush_t *flush);
static void perm_flush_turn(perm_flush_t *flush, ngx_msec_t now);
static ngx_uint_t perm_flush_table_found(perm_flush_t *flush);
static void perm_flush_table_answer(void *data, redisReply *reply,
    ngx_int_t rc);
static void perm_flush_write(perm_flush_t *flush, ngx_msec_t now);
static void perm_flush_dropped(perm_flush_t *flush);
static void perm_flush_link(perm_flush_t *flush);
static void perm_flush_close(perm_flush_t *flush);


static perm_redis_client_watch_t  perm_flush_watch = {
    perm_flush_link_failed,
    NULL,
    NULL,
    NULL
};


perm_flush_t *
perm_flush_create(perm_sync_conf_t *conf, perm_fetch_t *fetch,
    ngx_cycle_t *cycle)
{
    perm_flush_t       *flush;
    perm_stats_cell_t  *stats;

    flush = ngx_pcalloc(cycle->pool, sizeof(perm_flush_t));
    if (flush == NULL) {
        return NULL;
    }

    flush->conf = conf;
    flush->zone = conf->zone.zone;
    flush->lookups = perm_fetch_redis(fetch);
    flush->meta = perm_fetch_meta(fetch);
    flush->log = cycle->log;
    flush->dropped = perm_recorder_dropped(flush->zone->recorder);

    stats = perm_stats_cell(&flush->zone->stats, ngx_worker);
    flush->meter.commands = &stats->redis.commands;
    flush->meter.errors = &stats->redis.errors;

    /* what it meets is logged here, when it lasts */

    flush->silent = *cycle->log;
    flush->silent.next = NULL;

    if (!(flush->silent.log_level & NGX_LOG_DEBUG_ALL)) {
        flush->silent.log_level = NGX_LOG_ALERT;
    }

    flush->batch = perm_flush_batch_create(conf, cycle);
    if (flush->batch == NULL) {
        return NULL;
    }

    flush->waiter.handler = perm_flush_table_answer;
    flush->waiter.data = flush;
    ngx_queue_init(&flush->waiter.queue);

    flush->timer.handler = perm_flush_timer;
    flush->timer.data = flush;
    flush->timer.log = cycle->log;
    flush->timer.cancelable = 1;

    ngx_add_timer(&flush->timer, PERM_LEASE_RENEW);

    return flush;
}


/*
 * Every worker does this, also next to others: an access that it recorded
 * last may be behind the walk of the worker that has the lease.  Where a reload
 * has named another Redis, all that is pending goes there.  Where no table was
 * found there yet, it stays for the workers of the newest configuration, or for
 * the state file.
 */

void
perm_flush_finish(perm_flush_t *flush)
{
    ngx_int_t    rc;
    ngx_uint_t   i;
    ngx_msec_t   end;

    if (flush->timer.timer_set) {
        ngx_del_timer(&flush->timer);
    }

    perm_flush_batch_cancel(flush->batch);

    if (perm_sync_conf_replaced(flush->conf)
        || (perm_table_state_elsewhere(&flush->zone->table,
                                       flush->conf->source)
            && (flush->conf->state || perm_sync_conf_former(flush->conf))))
    {
        perm_flush_stop(flush);
        perm_lease_release(&flush->zone->flushing);
        return;
    }

    perm_former_take_all(flush->zone);

    ngx_time_update();
    end = ngx_current_msec + PERM_FLUSH_LAST;

    for (i = 0, rc = NGX_DECLINED;
         i < PERM_FLUSH_TRIES && rc == NGX_DECLINED;
         i++)
    {
        rc = perm_flush_last(flush, end);
    }

    perm_flush_batch_cancel(flush->batch);
    perm_flush_stop(flush);
    perm_lease_release(&flush->zone->flushing);
}


/* one batch without an event loop; NGX_DECLINED: a link was lost */

static ngx_int_t
perm_flush_last(perm_flush_t *flush, ngx_msec_t end)
{
    ngx_int_t             rc;
    ngx_uint_t            i;
    ngx_msec_int_t        left;
    perm_redis_client_t  *redis;

    /* there are no lookups any more that it could delay */

    redis = flush->redis;

    if (redis == NULL || perm_redis_client_state(redis) != PERM_REDIS_UP) {
        redis = flush->lookups;

        /* where a write hangs, this link ends, and the cache stays trusted */
        perm_redis_client_watch(redis, &perm_flush_watch, flush);
    }

    perm_flush_batch_start(flush->batch, redis);

    for ( ;; ) {
        rc = NGX_AGAIN;

        for (i = 0; i < PERM_FLUSH_STEPS && rc == NGX_AGAIN; i++) {
            rc = perm_flush_batch_step(flush->batch);
        }

        ngx_time_update();
        left = (ngx_msec_int_t) (end - ngx_current_msec);

        if (left <= 0) {
            return NGX_ERROR;
        }

        if (rc != NGX_AGAIN) {
            return rc;
        }

        if (perm_flush_batch_outstanding(flush->batch)) {
            (void) perm_redis_client_drain(redis, left);
        }
    }
}


static void
perm_flush_timer(ngx_event_t *ev)
{
    perm_flush_t *flush = ev->data;

    ngx_msec_t  now;
    ngx_uint_t  more;

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

    more = perm_former_take(flush->zone);

    perm_flush_dropped(flush);
    perm_flush_link(flush);
    perm_flush_turn(flush, now);
    perm_flush_write(flush, now);

    ngx_add_timer(ev, (flush->flushing || flush->writing || more)
                      ? PERM_FLUSH_STEP : PERM_LEASE_RENEW);
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

    if (perm_sync_conf_replaced(flush->conf)) {
        perm_lease_release(lease);
        return 0;
    }

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
    flush->asking = 0;

    perm_meta_cancel(&flush->waiter);
    perm_flush_close(flush);

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
            || flush->redis == NULL
            || perm_redis_client_state(flush->redis) != PERM_REDIS_UP
            || !perm_flush_table_found(flush))
        {
            return;
        }

        flush->flushing = 1;
        flush->started = now;
        perm_flush_batch_start(flush->batch, flush->redis);
    }

    rc = perm_flush_batch_step(flush->batch);

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

        /* at once on a new link, unless that was lost as well */

        flush->due = flush->lost++ ? now + interval : now;
        return;

    default: /* NGX_ERROR */
        flush->due = now + interval;
    }

    flush->lost = 0;
}


/*
 * A reload may have named a wrong server, database or prefix.  What is written
 * there is lost to renewal, so accesses wait until a table was found loaded
 * there once.  From then on they are written also where it is emptied: it will
 * be loaded again, next to them.
 */

static ngx_uint_t
perm_flush_table_found(perm_flush_t *flush)
{
    if (!perm_table_state_elsewhere(&flush->zone->table, flush->conf->source))
    {
        return 1;
    }

    /* where changes are not pushed, and no call comes, nobody else asks */

    if (!flush->asking
        && perm_meta_ask(flush->meta, &flush->waiter) == NGX_OK)
    {
        flush->asking = 1;
    }

    return 0;
}


static void
perm_flush_table_answer(void *data, redisReply *reply, ngx_int_t rc)
{
    perm_flush_t *flush = data;

    flush->asking = 0;

    if (rc != NGX_OK && rc != NGX_AGAIN) {
        flush->due = ngx_current_msec + PERM_FLUSH_NO_TABLE;
    }
}


/*
 * The lookups of this worker have a link of their own, so that nothing that
 * delays a write delays them.
 */

static void
perm_flush_link(perm_flush_t *flush)
{
    time_t                      since;
    ngx_uint_t                  cluster;
    perm_health_t              *health;
    perm_redis_client_state_t   state;

    health = &flush->zone->health;

    if (flush->redis == NULL) {
        flush->cause[0] = '\0';
        flush->lost = 0;
        flush->down = 0;
        flush->hung = health->hung;
        flush->redis = perm_redis_client_create(&flush->conf->redis,
                                                &flush->silent, &flush->meter,
                                                NULL, NULL);
        if (flush->redis == NULL) {
            return;
        }

        perm_redis_client_watch(flush->redis, &perm_flush_watch, flush);

    } else if (flush->hung != health->hung) {
        flush->hung = health->hung;
        perm_redis_client_drop(flush->redis);
    }

    state = perm_redis_client_state(flush->redis);

    if (state == PERM_REDIS_DOWN) {
        flush->down = 1;
        perm_health_unwritten(health);

    } else if (state == PERM_REDIS_UP && flush->down) {
        flush->down = 0;

        /* what a batch was lost to may go on, and has its own pace */

        if (flush->lost == 0) {
            flush->due = ngx_current_msec;
        }
    }

    if (health->unwritten == 0) {
        flush->cause[0] = '\0';
        return;
    }

    /* an outage, or a replica, has lines of its own, and ends a moment later */

    since = perm_link_state_since(&flush->zone->link, health);
    since = ngx_max(since, (time_t) health->unwritten);

    /* a cluster is up while one of its masters is away */

    cluster = (flush->conf->redis.url->kind == PERM_REDIS_CLUSTER);

    if (flush->cause[0]
        && (flush->lost || cluster || state != PERM_REDIS_UP)
        && health->redis_up && !flush->zone->link.replica
        && perm_redis_client_state(flush->lookups) == PERM_REDIS_UP
        && ngx_time() - since >= PERM_FLUSH_BAD
        && perm_health_turned(&health->unwritten_logged,
                              flush->conf->generation))
    {
        ngx_log_error(NGX_LOG_ERR, flush->log, 0,
                      "app_permission: last accesses cannot be written and "
                      "stay pending%s: Redis %s",
                      cluster ? "" : ", lookups are not affected",
                      flush->cause);
    }
}


/* 0: perm_flush_link() logs it, when it lasts */

static ngx_uint_t
perm_flush_link_failed(void *data, const char *address, const char *reason)
{
    perm_flush_t *flush = data;

    (void) ngx_snprintf((u_char *) flush->cause, PERM_FLUSH_CAUSE, "%s: %s%Z",
                        address, reason);
    flush->cause[PERM_FLUSH_CAUSE - 1] = '\0';

    return 0;
}


static void
perm_flush_close(perm_flush_t *flush)
{
    if (flush->redis != NULL) {
        perm_flush_batch_cancel(flush->batch);
        perm_redis_client_destroy(flush->redis);
        flush->redis = NULL;
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
