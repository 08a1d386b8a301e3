
#include "sync/flush.h"

#include "sync/flush_batch.h"
#include "state/files.h"


#define PERM_FLUSH_STEP      1         /* ms of rest, for requests */
#define PERM_FLUSH_STEPS     8         /* at once, with no request to serve */
#define PERM_FLUSH_SNAPSHOT  20000     /* ms between snapshots */
#define PERM_FLUSH_FULL      60        /* seconds between lines in the log */
#define PERM_FLUSH_EXITING   5         /* turns of a free lease */


struct perm_flush_s {
    perm_sync_conf_t     *conf;
    perm_zone_t          *zone;
    perm_redis_client_t  *redis;       /* NULL: only the state file */
    perm_flush_batch_t   *batch;       /* NULL likewise */
    ngx_log_t            *log;

    ngx_event_t           turn;        /* every PERM_LEASE_RENEW ms */
    ngx_event_t           step;        /* while there is work */
    ngx_connection_t      connection;  /* what the events' log lines need */

    ngx_msec_t            started;     /* ms, monotonic */
    ngx_msec_t            due;
    ngx_msec_t            snapshot_due;
    ngx_uint_t            dropped;     /* as told */
    ngx_uint_t            free_turns;  /* of the lease, while exiting */

    unsigned              holding:1;
    unsigned              sending:1;
    unsigned              writing:1;
};


static void perm_flush_turn(ngx_event_t *ev);
static void perm_flush_stop(perm_flush_t *flush);
static ngx_uint_t perm_flush_hold(perm_flush_t *flush);
static void perm_flush_step(ngx_event_t *ev);
static void perm_flush_send(perm_flush_t *flush);
static void perm_flush_write(perm_flush_t *flush);
static void perm_flush_full(perm_flush_t *flush);


perm_flush_t *
perm_flush_create(perm_sync_conf_t *conf, perm_redis_client_t *redis,
    ngx_cycle_t *cycle)
{
    perm_flush_t  *flush;

    flush = ngx_calloc(sizeof(perm_flush_t), cycle->log);
    if (flush == NULL) {
        return NULL;
    }

    flush->conf = conf;
    flush->zone = conf->zone.zone;
    flush->redis = redis;
    flush->log = cycle->log;
    flush->dropped = perm_recorder_dropped(flush->zone->recorder);

    if (redis) {
        flush->batch = perm_flush_batch_create(flush->zone->recorder, redis,
                                               &conf->redis.prefix, cycle->log);
        if (flush->batch == NULL) {
            ngx_free(flush);
            return NULL;
        }
    }

    flush->connection.fd = (ngx_socket_t) -1;

    flush->turn.handler = perm_flush_turn;
    flush->turn.data = &flush->connection;
    flush->turn.log = cycle->log;
    flush->turn.cancelable = 1;

    flush->step.handler = perm_flush_step;
    flush->step.data = &flush->connection;
    flush->step.log = cycle->log;
    flush->step.cancelable = 1;

    flush->connection.data = flush;

    ngx_add_timer(&flush->turn, PERM_LEASE_RENEW);

    return flush;
}


static perm_flush_t *
perm_flush_of(ngx_event_t *ev)
{
    ngx_connection_t  *c;

    c = ev->data;

    return c->data;
}


static void
perm_flush_turn(ngx_event_t *ev)
{
    ngx_msec_t     now;
    perm_flush_t  *flush;

    flush = perm_flush_of(ev);

    ngx_add_timer(ev, PERM_LEASE_RENEW);

    now = ngx_current_msec;

    if (!perm_flush_hold(flush)) {
        perm_flush_stop(flush);
        return;
    }

    if (!flush->holding) {
        /* how long they have been waiting is not known here */
        flush->holding = 1;
        flush->due = now;
        flush->snapshot_due = now + PERM_FLUSH_SNAPSHOT;
    }

    perm_flush_full(flush);

    if (flush->batch
        && !flush->sending
        && (ngx_msec_int_t) (now - flush->due) >= 0
        && perm_redis_client_state(flush->redis) == PERM_REDIS_UP)
    {
        flush->sending = 1;
        flush->started = now;
        perm_flush_batch_start(flush->batch);
    }

    if (flush->conf->state
        && !flush->zone->replaced
        && !flush->writing
        && (ngx_msec_int_t) (now - flush->snapshot_due) >= 0)
    {
        flush->writing = 1;
        flush->snapshot_due = now + PERM_FLUSH_SNAPSHOT;
    }

    if ((flush->sending || flush->writing) && !flush->step.timer_set) {
        ngx_add_timer(&flush->step, PERM_FLUSH_STEP);
    }
}


static void
perm_flush_stop(perm_flush_t *flush)
{
    flush->holding = 0;
    flush->sending = 0;

    if (flush->writing) {
        flush->writing = 0;
        perm_state_files_abandon(flush->conf->state);
    }
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
perm_flush_step(ngx_event_t *ev)
{
    perm_flush_t  *flush;

    flush = perm_flush_of(ev);

    if (flush->sending) {
        perm_flush_send(flush);
    }

    if (flush->writing) {
        perm_flush_write(flush);
    }

    if (flush->sending || flush->writing) {
        ngx_add_timer(ev, PERM_FLUSH_STEP);
    }
}


/*
 * An access that was recorded behind the walk waits for the next one, and
 * until that comes by: the longer a walk takes the sooner the next one begins.
 */

static void
perm_flush_send(perm_flush_t *flush)
{
    ngx_int_t   rc;
    ngx_msec_t  now, took, interval;

    rc = perm_flush_batch_step(flush->batch);

    if (rc == NGX_AGAIN) {
        return;
    }

    flush->sending = 0;

    now = ngx_current_msec;
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
perm_flush_write(perm_flush_t *flush)
{
    if (flush->zone->replaced) {
        flush->writing = 0;
        perm_state_files_abandon(flush->conf->state);
        return;
    }

    if (perm_state_files_write(flush->conf->state, flush->zone, flush->log)
        != NGX_AGAIN)
    {
        flush->writing = 0;
    }
}


static void
perm_flush_full(perm_flush_t *flush)
{
    time_t             now;
    ngx_uint_t         dropped;
    ngx_atomic_uint_t  told;

    dropped = perm_recorder_dropped(flush->zone->recorder);

    if (dropped == flush->dropped) {
        return;
    }

    now = ngx_time();
    told = flush->zone->health.full;

    if (told && now - (time_t) told < PERM_FLUSH_FULL) {
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
 * Every worker does this, also next to others: an access that it recorded
 * last may be behind the walk of the worker that has the lease.
 */

void
perm_flush_finish(perm_flush_t *flush, ngx_msec_t msec)
{
    ngx_int_t   rc;
    ngx_msec_t  end, now;
    ngx_uint_t  i;

    if (flush->turn.timer_set) {
        ngx_del_timer(&flush->turn);
    }

    if (flush->step.timer_set) {
        ngx_del_timer(&flush->step);
    }

    perm_flush_stop(flush);

    if (flush->batch) {

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
    }

    perm_lease_release(&flush->zone->flushing);

    ngx_free(flush);
}
