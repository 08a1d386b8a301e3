
#include "sync/revalidate.h"


/* ms to the next walk when this one asked for entries, doubled each time */

#define PERM_REVALIDATE_RETRY      1000
#define PERM_REVALIDATE_RETRY_MAX  32000

#define PERM_REVALIDATE_STEP       1       /* ms to the next step of a walk */
#define PERM_REVALIDATE_IDLE       10      /* ... when nothing was asked for */
#define PERM_REVALIDATE_SLOTS      4096    /* looked at in a step */

/*
 * The rate grows by one entry a millisecond with each quick answer, and is
 * halved when an answer or a step is late.  A step is short, since calls of
 * this worker wait for its end.
 */

#define PERM_REVALIDATE_MIN        3       /* entries/ms */
#define PERM_REVALIDATE_MAX        32      /* ... and in a step */
#define PERM_REVALIDATE_STEPS      16      /* without an answer */
#define PERM_REVALIDATE_LATE       5       /* ms */


/* the first lookup of a step, which stands for the others */

typedef struct {
    perm_pending_waiter_t  waiter;
    perm_revalidate_t     *revalidate;
    ngx_msec_t             sent;           /* monotonic */
} perm_revalidate_asked_t;


struct perm_revalidate_s {
    perm_sync_conf_t   *conf;
    perm_zone_t        *zone;
    perm_fetch_t       *fetch;
    perm_stats_cell_t  *stats;
    ngx_log_t          *log;

    ngx_event_t         walk;       /* next step, or next walk */
    ngx_uint_t          cursor;     /* of the walk */
    ngx_uint_t          asked;      /* entries, in the walk */
    ngx_msec_t          retry;      /* ms */

    ngx_msec_t          due;        /* monotonic: the next step of a walk */
    ngx_msec_t          stepped;    /* monotonic: the step before */
    ngx_uint_t          rate;       /* entries/ms */
    ngx_msec_t          quick;      /* ms: the quickest answer in the walk */
    perm_revalidate_asked_t  steps[PERM_REVALIDATE_STEPS];
    unsigned            walking:1;
    unsigned            again:1;    /* something changed during the walk */
    unsigned            gap:1;      /* changes may be missed now */
};


static void perm_revalidate_walk(ngx_event_t *ev);
static ngx_int_t perm_revalidate_step(perm_revalidate_t *revalidate,
    perm_revalidate_asked_t *step);
static perm_revalidate_asked_t *perm_revalidate_room(
    perm_revalidate_t *revalidate);
static void perm_revalidate_answered(void *data, perm_grants_reply_t *reply);
static void perm_revalidate_slow(perm_revalidate_t *revalidate);
static ngx_uint_t perm_revalidate_due(perm_revalidate_t *revalidate,
    perm_cache_entry_t *entry);


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
    revalidate->zone = conf->zone.zone;
    revalidate->fetch = fetch;
    revalidate->stats = perm_stats_cell(&revalidate->zone->stats, ngx_worker);
    revalidate->log = cycle->log;

    revalidate->walk.handler = perm_revalidate_walk;
    revalidate->walk.data = revalidate;
    revalidate->walk.log = cycle->log;
    revalidate->walk.cancelable = 1;

    return revalidate;
}


void
perm_revalidate_stop(perm_revalidate_t *revalidate)
{
    ngx_uint_t  i;

    if (revalidate->walk.timer_set) {
        ngx_del_timer(&revalidate->walk);
    }

    for (i = 0; i < PERM_REVALIDATE_STEPS; i++) {

        if (revalidate->steps[i].waiter.pending) {
            perm_fetch_cancel(&revalidate->steps[i].waiter);
        }
    }

    revalidate->walking = 0;
}


void
perm_revalidate_gap(perm_revalidate_t *revalidate, ngx_uint_t gap)
{
    revalidate->gap = (gap != 0);
}


/*
 * Entries that are not trusted any more are asked for in the background, so
 * that an outage that follows finds the current grants, also of apps that have
 * sent no request meanwhile.  The whole cache is walked, and again, ever less
 * often, until a walk finds nothing to ask for.  Only stale answers need this.
 */

void
perm_revalidate_start(perm_revalidate_t *revalidate, ngx_msec_t delay)
{
    ngx_event_t  *walk;

    if (!revalidate->conf->stale) {
        return;
    }

    revalidate->retry = PERM_REVALIDATE_RETRY;

    if (revalidate->walking) {
        revalidate->again = 1;
        return;
    }

    walk = &revalidate->walk;

    if (walk->timer_set) {

        if ((ngx_msec_int_t) (walk->timer.key - ngx_current_msec)
            <= (ngx_msec_int_t) delay)
        {
            return;
        }

        ngx_del_timer(walk);
    }

    ngx_add_timer(walk, delay);
}


static void
perm_revalidate_walk(ngx_event_t *ev)
{
    perm_revalidate_t *revalidate = ev->data;

    ngx_int_t                 rc;
    ngx_msec_t                delay;
    perm_epoch_t              epoch;
    perm_revalidate_asked_t  *step;

    epoch = perm_epoch_seen(perm_cache_epoch(revalidate->zone->cache));

    /* while trust is suspended, all entries look changed */

    if (perm_redis_client_state(perm_fetch_redis(revalidate->fetch))
        == PERM_REDIS_DOWN
        || perm_epoch_suspended(epoch))
    {
        delay = revalidate->walking ? PERM_REVALIDATE_IDLE
                                    : PERM_REVALIDATE_DELAY;

        revalidate->due = ngx_current_msec + delay;
        ngx_add_timer(ev, delay);
        return;
    }

    if (!revalidate->walking) {
        revalidate->walking = 1;
        revalidate->again = 0;
        revalidate->cursor = 0;
        revalidate->asked = 0;
        revalidate->quick = PERM_REVALIDATE_DELAY;
        revalidate->rate = PERM_REVALIDATE_MIN;
        revalidate->stepped = ngx_current_msec - PERM_REVALIDATE_STEP;

    } else if ((ngx_msec_int_t) (ngx_current_msec - revalidate->due)
               > PERM_REVALIDATE_LATE)
    {
        perm_revalidate_slow(revalidate);
    }

    step = perm_revalidate_room(revalidate);

    rc = step ? perm_revalidate_step(revalidate, step) : NGX_OK;

    if (rc != NGX_DONE) {
        delay = (rc == NGX_OK) ? PERM_REVALIDATE_STEP : PERM_REVALIDATE_IDLE;

        revalidate->due = ngx_current_msec + delay;
        ngx_add_timer(ev, delay);
        return;
    }

    ngx_log_debug2(NGX_LOG_DEBUG_CORE, revalidate->log, 0,
                   "app_permission: revalidated %ui entries, again:%d",
                   revalidate->asked, revalidate->again);

    revalidate->walking = 0;

    if (revalidate->again) {
        ngx_add_timer(ev, PERM_REVALIDATE_DELAY);

    } else if (revalidate->asked) {

        /* entries whose lookups failed are still not trusted */

        ngx_add_timer(ev, revalidate->retry);
        revalidate->retry = ngx_min(revalidate->retry * 2,
                                     PERM_REVALIDATE_RETRY_MAX);
    }
}


/*
 * Looks at a bounded number of entries.  NGX_OK: it asked for some; NGX_AGAIN:
 * for none; NGX_DONE: the walk is over.
 */

static ngx_int_t
perm_revalidate_step(perm_revalidate_t *revalidate,
    perm_revalidate_asked_t *step)
{
    char                    names[PERM_TUPLE_MAX];
    uint64_t                hash;
    ngx_int_t               rc;
    ngx_uint_t              end, asked, most;
    perm_tuple_t            tuple;
    perm_cache_entry_t      entry;
    perm_pending_waiter_t  *waiter;

    rc = NGX_AGAIN;
    asked = 0;
    end = revalidate->cursor + PERM_REVALIDATE_SLOTS;

    most = revalidate->rate * (ngx_current_msec - revalidate->stepped);
    most = ngx_min(most, PERM_REVALIDATE_MAX);
    revalidate->stepped = ngx_current_msec;

    while (revalidate->cursor < end && asked < most) {

        rc = perm_cache_next(revalidate->zone->cache, &revalidate->cursor,
                             &tuple, names, &entry);

        if (rc == NGX_DONE) {
            break;
        }

        if (rc != NGX_OK || !perm_revalidate_due(revalidate, &entry)) {
            continue;
        }

        step->sent = ngx_current_msec;
        waiter = (asked == 0) ? &step->waiter : NULL;
        asked++;

        /* a failure does not end the walk: other masters may answer */

        hash = perm_tuple_hash(&tuple, revalidate->zone->seed);

        (void) perm_fetch(revalidate->fetch, &tuple, hash, PERM_FETCH_KNOWN,
                          waiter);
    }

    revalidate->asked += asked;
    perm_stats_add(&revalidate->stats->refreshes, asked);

    return (rc == NGX_DONE) ? NGX_DONE : asked ? NGX_OK : NGX_AGAIN;
}


/* NULL: too many steps have no answer */

static perm_revalidate_asked_t *
perm_revalidate_room(perm_revalidate_t *revalidate)
{
    ngx_uint_t                i;
    perm_revalidate_asked_t  *step;

    for (i = 0; i < PERM_REVALIDATE_STEPS; i++) {
        step = &revalidate->steps[i];

        if (step->waiter.pending == NULL) {
            step->waiter.handler = perm_revalidate_answered;
            step->waiter.data = step;
            step->revalidate = revalidate;
            return step;
        }
    }

    return NULL;
}


static void
perm_revalidate_answered(void *data, perm_grants_reply_t *reply)
{
    perm_revalidate_asked_t *step = data;

    ngx_msec_t          took;
    perm_revalidate_t  *revalidate;

    revalidate = step->revalidate;
    took = ngx_current_msec - step->sent;

    if (reply->result != PERM_FETCHED
        || took > revalidate->quick + PERM_REVALIDATE_LATE)
    {
        perm_revalidate_slow(revalidate);

    } else if (revalidate->rate < PERM_REVALIDATE_MAX) {
        revalidate->rate++;
    }

    /* a server that is far away is not slow for that */

    revalidate->quick = ngx_min(revalidate->quick, took);
}


static void
perm_revalidate_slow(perm_revalidate_t *revalidate)
{
    revalidate->rate = ngx_max(revalidate->rate / 2, PERM_REVALIDATE_MIN);
}


/*
 * In a gap, only entries of changed keys are asked for, and all others that
 * allow when it ends.  Unchanged denials wait for a request of their apps:
 * after a flood of unknown apps there may be very many.
 */

static ngx_uint_t
perm_revalidate_due(perm_revalidate_t *revalidate, perm_cache_entry_t *entry)
{
    if (entry->trusted) {
        return 0;
    }

    return !entry->unchanged
           || (!revalidate->gap
               && perm_decision_allows(entry->grants, ngx_time()));
}
