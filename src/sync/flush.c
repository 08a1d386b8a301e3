
#include "sync/flush.h"

#include "sync/flush_batch.h"


#define PERM_FLUSH_STEP      1         /* ms of rest, for requests */
#define PERM_FLUSH_STEPS     8         /* at once, with no request to serve */
#define PERM_FLUSH_SNAPSHOT  20000     /* ms between state files */
#define PERM_FLUSH_DROPPED   60        /* seconds between lines in the log */
#define PERM_FLUSH_EXITING   5         /* turns of a free lease */


struct perm_flush_s {
    perm_sync_conf_t     *conf;
    perm_zone_t          *zone;
    perm_redis_client_t  *redis;
    perm_flush_batch_t   *batch;
    ngx_log_t            *log;

    ngx_event_t           timer;       /* every PERM_LEASE_RENEW ms, or sooner
                                          while there is work */

    ngx_msec_t            started;     /* monotonic */
    ngx_msec_t            due;         /* monotonic: the next flush */
    ngx_msec_t            snapshot;    /* monotonic: the next state file */
    ngx_uint_t            dropped;     /* as logged */
    ngx_uint_t            free_turns;  /* of the lease, while exiting */

    unsigned              holding:1;   /* the lease */
    unsigned              flushing:1;
    unsigned              writing:1;   /* the state file */
};


static void perm_flush_timer(ngx_event_t *ev);
static ngx_uint_t perm_flush_hold(perm_flush_t *flush);
static void perm_flush_stop(perm_flush_t *flush);
static void perm_flush_send(perm_flush_t *flush, ngx_msec_t now);
static void perm_flush_write(perm_flush_t *flush, ngx_msec_t now);
static void perm_flush_dropped(perm_flush_t *flush);


perm_flush_t *
perm_flush_create(perm_sync_conf_t *conf, perm_redis_client_t *redis,
    ngx_cycle_t *cycle)
{
    perm_flush_t  *flush;

    flush = ngx_pcalloc(cycle->pool, sizeof(perm_flush_t));
    if (flush == NULL) {
        return NULL;
    }

    flush->conf = conf;
    flush->zone = conf->zone.zone;
    flush->redis = redis;
    flush->log = cycle->log;
    flush->dropped = perm_recorder_dropped(flush->zone->recorder);

    flush->batch = perm_flush_batch_create(flush->zone->recorder, redis,
                                           perm_sync_conf_prefix(conf),
                                           cycle->log);
    if (flush->batch == NULL) {
        return NULL;
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
perm_flush_finish(perm_flush_t *flush, ngx_msec_t msec)
{
    ngx_int_t   rc;
    ngx_msec_t  end, now;
    ngx_uint_t  i;

    if (flush->timer.timer_set) {
        ngx_del_timer(&flush->timer);
    }

    perm_flush_stop(flush);

    ngx_time_update();
    end = ngx_current_msec + msec;

    perm_flush_batch_start(flush->batch);

    for ( ;; ) {

        for (i = 0; i < PERM_FLUSH_STEPS; i++) {
            rc = perm_flush_batch_step(flush->batch);

            if (rc != NGX_AGAIN) {
                break;
            }
        }

        ngx_time_update();
        now = ngx_current_msec;

        if (rc != NGX_AGAIN || (ngx_msec_int_t) (end - now) <= 0) {
            break;
        }

        if (perm_flush_batch_outstanding(flush->batch)) {
            (void) perm_redis_client_drain(flush->redis, end - now);
        }
    }

    perm_flush_batch_destroy(flush->batch);

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
    perm_flush_send(flush, now);
    perm_flush_write(flush, now);

    ngx_add_timer(ev, (flush->flushing || flush->writing) ? PERM_FLUSH_STEP
                                                          : PERM_LEASE_RENEW);
}


/*
 * A worker that is quitting gives the lease up to those of the new
 * configuration.  When there are none, because nginx is going to stop, it
 * takes it back until its last request has ended.
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

        flush->free_turns = lease->holder ? 0 : flush->free_turns + 1;

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
 * An access that is recorded behind the walk waits for the next one, and until
 * that comes by.  So the longer a walk takes, the sooner the next one begins.
 */

static void
perm_flush_send(perm_flush_t *flush, ngx_msec_t now)
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
        perm_flush_batch_start(flush->batch);
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
