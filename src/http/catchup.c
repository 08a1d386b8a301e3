
#include "http/catchup.h"

#include "http/fetch.h"


/* changes come in bursts, and calls see to most of it by themselves */

#define PERM_CATCHUP_DELAY      100     /* ms from a change to a pass */

/* ms to the next pass when lookups failed, doubled up to the second one */

#define PERM_CATCHUP_RETRY      1000
#define PERM_CATCHUP_RETRY_MAX  32000

#define PERM_CATCHUP_TURN       10      /* ms between turns of a pass */
#define PERM_CATCHUP_SLOTS      4096    /* looked at in a turn */
#define PERM_CATCHUP_FETCHES    32      /* likewise asked for */


struct perm_catchup_s {
    perm_main_conf_t  *pmcf;
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
perm_catchup_timer_set(perm_catchup_t *catchup, ngx_msec_t delay)
{
    if (!catchup->timer.timer_set) {
        ngx_add_timer(&catchup->timer, delay);
    }
}


/* of a failed lookup a later pass has to take care */

static void
perm_catchup_failed(perm_catchup_t *catchup)
{
    catchup->failed = 1;

    if (!catchup->running && !catchup->stopped) {
        perm_catchup_timer_set(catchup, catchup->retry);
    }
}


static void
perm_catchup_answered(void *data, perm_fetch_result_t result,
    perm_grants_t *grants)
{
    perm_catchup_t *catchup = data;

    if (result != PERM_FETCHED) {
        perm_catchup_failed(catchup);
    }
}


/* NGX_DONE: the pass is over; NGX_AGAIN: it needs more turns */

static ngx_int_t
perm_catchup_turn(perm_catchup_t *catchup)
{
    ngx_int_t             rc;
    ngx_uint_t            end, tried;
    perm_call_t           call;
    perm_zone_t          *zone;
    perm_main_conf_t     *pmcf;
    perm_cache_entry_t    entry;
    perm_fetch_waiter_t  *waiter;
    char                  names[PERM_CALL_MAX];

    pmcf = catchup->pmcf;
    zone = pmcf->zone.zone;

    tried = 0;
    rc = NGX_AGAIN;
    end = catchup->cursor + PERM_CATCHUP_SLOTS;

    while (catchup->cursor < end && tried < PERM_CATCHUP_FETCHES) {

        rc = perm_cache_next(zone->cache, &catchup->cursor, &call, names,
                             &entry);

        if (rc == NGX_DONE) {
            break;
        }

        if (rc != NGX_OK || entry.trusted) {
            continue;
        }

        /* denials of a flood would be as many as the limit keeps away */

        if (entry.unchanged
            && (catchup->gap
                || perm_decide(entry.grants, ngx_time()).outcome
                   != PERM_ALLOW))
        {
            continue;
        }

        if (perm_fetch(pmcf->fetch, &call, perm_call_hash(&call, zone->seed),
                       1, perm_catchup_answered, catchup, &waiter)
            != NGX_AGAIN)
        {
            /* in a cluster those of other masters have their turn */

            catchup->failed = 1;
        }

        tried++;
    }

    (void) ngx_atomic_fetch_add(&pmcf->stats->refreshes, tried);

    return (rc == NGX_DONE) ? NGX_DONE : NGX_AGAIN;
}


/* returns when the next turn is, in ms, or 0: there is none */

static ngx_msec_t
perm_catchup_pass(perm_catchup_t *catchup)
{
    if (!catchup->running) {

        if (perm_redis_state(perm_fetch_redis(catchup->pmcf->fetch))
            == PERM_REDIS_DOWN)
        {
            return PERM_CATCHUP_DELAY;
        }

        if (catchup->failed) {
            catchup->retry = ngx_min(catchup->retry * 2,
                                     PERM_CATCHUP_RETRY_MAX);
        }

        catchup->running = 1;
        catchup->again = 0;
        catchup->failed = 0;
        catchup->cursor = 0;
    }

    if (perm_catchup_turn(catchup) == NGX_AGAIN) {
        return PERM_CATCHUP_TURN;
    }

    catchup->running = 0;

    if (catchup->again) {
        return PERM_CATCHUP_DELAY;
    }

    return catchup->failed ? catchup->retry : 0;
}


static void
perm_catchup_timer(ngx_event_t *ev)
{
    perm_catchup_t *catchup = ev->data;

    ngx_msec_t  delay;

    delay = perm_catchup_pass(catchup);

    if (delay) {
        perm_catchup_timer_set(catchup, delay);
    }
}


perm_catchup_t *
perm_catchup_create(perm_main_conf_t *pmcf, ngx_cycle_t *cycle)
{
    perm_catchup_t  *catchup;

    catchup = ngx_pcalloc(cycle->pool, sizeof(perm_catchup_t));
    if (catchup == NULL) {
        return NULL;
    }

    catchup->pmcf = pmcf;
    catchup->stopped = 1;

    catchup->timer.handler = perm_catchup_timer;
    catchup->timer.data = catchup;
    catchup->timer.log = cycle->log;
    catchup->timer.cancelable = 1;

    return catchup;
}


static void
perm_catchup_begin(perm_catchup_t *catchup, ngx_msec_t delay)
{
    if (!catchup->pmcf->stale) {
        return;
    }

    catchup->stopped = 0;
    catchup->retry = PERM_CATCHUP_RETRY;

    if (catchup->running) {
        catchup->again = 1;
        return;
    }

    /* not when a retry is due */

    if (catchup->timer.timer_set
        && (catchup->failed || delay < PERM_CATCHUP_DELAY))
    {
        ngx_del_timer(&catchup->timer);
    }

    perm_catchup_timer_set(catchup, delay);
}


void
perm_catchup_start(perm_catchup_t *catchup)
{
    perm_catchup_begin(catchup, PERM_CATCHUP_DELAY);
}


void
perm_catchup_gap(perm_catchup_t *catchup, ngx_uint_t gap)
{
    ngx_uint_t  before;

    before = catchup->gap;
    catchup->gap = gap ? 1 : 0;

    /* what was missed is lost where Redis is gone, or empty, before it is
       asked */

    if (before && !gap) {
        perm_catchup_begin(catchup, PERM_CATCHUP_TURN);
    }
}


void
perm_catchup_stop(perm_catchup_t *catchup)
{
    if (catchup->timer.timer_set) {
        ngx_del_timer(&catchup->timer);
    }

    catchup->stopped = 1;
    catchup->running = 0;
    catchup->failed = 0;
}
