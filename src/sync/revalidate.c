
#include "sync/revalidate.h"


/* changes come in bursts, and calls see to most of it by themselves */

#define PERM_REVALIDATE_DELAY      100     /* ms from a change to a pass */

/* ms to the next pass when lookups failed, doubled up to the second one */

#define PERM_REVALIDATE_RETRY      1000
#define PERM_REVALIDATE_RETRY_MAX  32000

#define PERM_REVALIDATE_TURN       10      /* ms between turns of a pass */
#define PERM_REVALIDATE_SLOTS      4096    /* looked at in a turn */
#define PERM_REVALIDATE_FETCHES    32      /* likewise asked for */


struct perm_revalidate_s {
    perm_sync_conf_t  *conf;
    perm_fetch_t      *fetch;
    perm_stats_cell_t *stats;
    ngx_event_t        timer;
    ngx_uint_t         cursor;       /* of the pass */
    ngx_msec_t         retry;        /* ms */
    unsigned           running:1;    /* a pass has begun */
    unsigned           again:1;      /* it passed by what changed since */
    unsigned           failed:1;     /* some were not answered */
    unsigned           stopped:1;
    unsigned           gap:1;        /* nothing is trusted for long */
};


static void
perm_revalidate_timer_set(perm_revalidate_t *revalidate, ngx_msec_t delay)
{
    if (!revalidate->timer.timer_set) {
        ngx_add_timer(&revalidate->timer, delay);
    }
}


/* of a failed lookup a later pass has to take care */

static void
perm_revalidate_failed(perm_revalidate_t *revalidate)
{
    revalidate->failed = 1;

    if (!revalidate->running && !revalidate->stopped) {
        perm_revalidate_timer_set(revalidate, revalidate->retry);
    }
}


static void
perm_revalidate_answered(void *data, perm_grants_reply_t *reply)
{
    perm_revalidate_t *revalidate = data;

    if (reply->result != PERM_FETCHED) {
        perm_revalidate_failed(revalidate);
    }
}


/* NGX_DONE: the pass is over; NGX_AGAIN: it needs more turns */

static ngx_int_t
perm_revalidate_turn(perm_revalidate_t *revalidate)
{
    ngx_int_t             rc;
    ngx_uint_t            end, tried;
    perm_tuple_t          tuple;
    perm_zone_t          *zone;
    perm_cache_entry_t    entry;
    perm_pending_waiter_t  *waiter;
    char                  names[PERM_TUPLE_MAX];

    zone = revalidate->conf->zone.zone;

    tried = 0;
    rc = NGX_AGAIN;
    end = revalidate->cursor + PERM_REVALIDATE_SLOTS;

    while (revalidate->cursor < end && tried < PERM_REVALIDATE_FETCHES) {

        rc = perm_cache_next(zone->cache, &revalidate->cursor, &tuple, names,
                             &entry);

        if (rc == NGX_DONE) {
            break;
        }

        if (rc != NGX_OK || entry.trusted) {
            continue;
        }

        /* denials of a flood would be as many as the limit keeps away */

        if (entry.unchanged
            && (revalidate->gap
                || !perm_decision_allows(entry.grants, ngx_time())))
        {
            continue;
        }

        if (perm_fetch(revalidate->fetch, &tuple,
                       perm_tuple_hash(&tuple, zone->seed), PERM_FETCH_KNOWN,
                       perm_revalidate_answered, revalidate, &waiter)
            != NGX_AGAIN)
        {
            /* in a cluster those of other masters have their turn */

            revalidate->failed = 1;
        }

        tried++;
    }

    (void) ngx_atomic_fetch_add(&revalidate->stats->refreshes, tried);

    return (rc == NGX_DONE) ? NGX_DONE : NGX_AGAIN;
}


/* returns when the next turn is, in ms, or 0: there is none */

static ngx_msec_t
perm_revalidate_pass(perm_revalidate_t *revalidate)
{
    if (!revalidate->running) {

        if (perm_redis_client_state(perm_fetch_redis(revalidate->fetch))
            == PERM_REDIS_DOWN)
        {
            return PERM_REVALIDATE_DELAY;
        }

        if (revalidate->failed) {
            revalidate->retry = ngx_min(revalidate->retry * 2,
                                        PERM_REVALIDATE_RETRY_MAX);
        }

        revalidate->running = 1;
        revalidate->again = 0;
        revalidate->failed = 0;
        revalidate->cursor = 0;
    }

    if (perm_revalidate_turn(revalidate) == NGX_AGAIN) {
        return PERM_REVALIDATE_TURN;
    }

    revalidate->running = 0;

    if (revalidate->again) {
        return PERM_REVALIDATE_DELAY;
    }

    return revalidate->failed ? revalidate->retry : 0;
}


static void
perm_revalidate_timer(ngx_event_t *ev)
{
    perm_revalidate_t *revalidate = ev->data;

    ngx_msec_t  delay;

    delay = perm_revalidate_pass(revalidate);

    if (delay) {
        perm_revalidate_timer_set(revalidate, delay);
    }
}


perm_revalidate_t *
perm_revalidate_create(perm_sync_conf_t *conf, perm_fetch_t *fetch,
    ngx_cycle_t *cycle)
{
    perm_revalidate_t  *revalidate;

    revalidate = ngx_pcalloc(cycle->pool, sizeof(perm_revalidate_t));
    if (revalidate == NULL) {
        return NULL;
    }

    revalidate->conf = conf;
    revalidate->fetch = fetch;
    revalidate->stats = perm_stats_cell(conf->zone.zone->stats, ngx_worker);
    revalidate->stopped = 1;

    revalidate->timer.handler = perm_revalidate_timer;
    revalidate->timer.data = revalidate;
    revalidate->timer.log = cycle->log;
    revalidate->timer.cancelable = 1;

    return revalidate;
}


static void
perm_revalidate_begin(perm_revalidate_t *revalidate, ngx_msec_t delay)
{
    if (!revalidate->conf->stale) {
        return;
    }

    revalidate->stopped = 0;
    revalidate->retry = PERM_REVALIDATE_RETRY;

    if (revalidate->running) {
        revalidate->again = 1;
        return;
    }

    /* not when a retry is due */

    if (revalidate->timer.timer_set
        && (revalidate->failed || delay < PERM_REVALIDATE_DELAY))
    {
        ngx_del_timer(&revalidate->timer);
    }

    perm_revalidate_timer_set(revalidate, delay);
}


void
perm_revalidate_start(perm_revalidate_t *revalidate)
{
    perm_revalidate_begin(revalidate, PERM_REVALIDATE_DELAY);
}


void
perm_revalidate_gap(perm_revalidate_t *revalidate, ngx_uint_t gap)
{
    ngx_uint_t  before;

    before = revalidate->gap;
    revalidate->gap = gap ? 1 : 0;

    /* what was missed is lost where Redis is gone, or empty, before it is
       asked */

    if (before && !gap) {
        perm_revalidate_begin(revalidate, PERM_REVALIDATE_TURN);
    }
}


void
perm_revalidate_stop(perm_revalidate_t *revalidate)
{
    if (revalidate->timer.timer_set) {
        ngx_del_timer(&revalidate->timer);
    }

    revalidate->stopped = 1;
    revalidate->running = 0;
    revalidate->failed = 0;
}
