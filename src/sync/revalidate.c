
#include "sync/revalidate.h"


/* changes come in bursts, and requests of the apps refetch most of it */

#define PERM_REVALIDATE_DELAY      100     /* ms from a change to a walk */

/* ms to the next walk when there was anything to ask for, doubled each time */

#define PERM_REVALIDATE_RETRY      1000
#define PERM_REVALIDATE_RETRY_MAX  32000

#define PERM_REVALIDATE_TURN       10      /* ms between turns of a walk */
#define PERM_REVALIDATE_SLOTS      4096    /* looked at in a turn */
#define PERM_REVALIDATE_FETCHES    32      /* asked for in a turn */


struct perm_revalidate_s {
    perm_sync_conf_t   *conf;
    perm_zone_t        *zone;
    perm_fetch_t       *fetch;
    perm_stats_cell_t  *stats;
    ngx_event_t         timer;
    ngx_uint_t          cursor;       /* of the walk */
    ngx_uint_t          asked;        /* in the walk */
    ngx_msec_t          retry;        /* ms */
    unsigned            walking:1;
    unsigned            again:1;      /* something changed during the walk */
    unsigned            gap:1;
};


static void perm_revalidate_begin(perm_revalidate_t *revalidate,
    ngx_msec_t delay);
static void perm_revalidate_timer(ngx_event_t *ev);
static ngx_msec_t perm_revalidate_walk(perm_revalidate_t *revalidate);
static ngx_uint_t perm_revalidate_turn(perm_revalidate_t *revalidate);
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

    revalidate->timer.handler = perm_revalidate_timer;
    revalidate->timer.data = revalidate;
    revalidate->timer.log = cycle->log;
    revalidate->timer.cancelable = 1;

    return revalidate;
}


void
perm_revalidate_start(perm_revalidate_t *revalidate)
{
    perm_revalidate_begin(revalidate, PERM_REVALIDATE_DELAY);
}


void
perm_revalidate_stop(perm_revalidate_t *revalidate)
{
    if (revalidate->timer.timer_set) {
        ngx_del_timer(&revalidate->timer);
    }

    revalidate->walking = 0;
}


void
perm_revalidate_gap(perm_revalidate_t *revalidate, ngx_uint_t gap)
{
    ngx_uint_t  before;

    before = revalidate->gap;
    revalidate->gap = (gap != 0);

    /* at once: Redis may be gone again, or empty, in a moment */

    if (before && !gap) {
        perm_revalidate_begin(revalidate, PERM_REVALIDATE_TURN);
    }
}


static void
perm_revalidate_begin(perm_revalidate_t *revalidate, ngx_msec_t delay)
{
    ngx_event_t  *timer;

    if (!revalidate->conf->stale) {
        return;
    }

    revalidate->retry = PERM_REVALIDATE_RETRY;

    if (revalidate->walking) {
        revalidate->again = 1;
        return;
    }

    timer = &revalidate->timer;

    if (timer->timer_set) {

        if ((ngx_msec_int_t) (timer->timer.key - ngx_current_msec)
            <= (ngx_msec_int_t) delay)
        {
            return;
        }

        ngx_del_timer(timer);
    }

    ngx_add_timer(timer, delay);
}


static void
perm_revalidate_timer(ngx_event_t *ev)
{
    perm_revalidate_t *revalidate = ev->data;

    ngx_msec_t  delay;

    delay = perm_revalidate_walk(revalidate);

    if (delay) {
        ngx_add_timer(ev, delay);
    }
}


/* returns when to come again, in ms; 0: when something changes */

static ngx_msec_t
perm_revalidate_walk(perm_revalidate_t *revalidate)
{
    ngx_msec_t  delay;

    if (!revalidate->walking) {

        if (perm_redis_client_state(perm_fetch_redis(revalidate->fetch))
            == PERM_REDIS_DOWN)
        {
            return PERM_REVALIDATE_DELAY;
        }

        revalidate->walking = 1;
        revalidate->again = 0;
        revalidate->cursor = 0;
        revalidate->asked = 0;
    }

    if (perm_revalidate_turn(revalidate)) {
        return PERM_REVALIDATE_TURN;
    }

    ngx_log_debug2(NGX_LOG_DEBUG_CORE, revalidate->timer.log, 0,
                   "app_permission: revalidated %ui entries, again:%d",
                   revalidate->asked, revalidate->again);

    revalidate->walking = 0;

    if (revalidate->again) {
        return PERM_REVALIDATE_DELAY;
    }

    if (revalidate->asked == 0) {
        return 0;
    }

    /* entries whose lookups failed are not trusted still */

    delay = revalidate->retry;
    revalidate->retry = ngx_min(delay * 2, PERM_REVALIDATE_RETRY_MAX);

    return delay;
}


/* 0: the walk is over */

static ngx_uint_t
perm_revalidate_turn(perm_revalidate_t *revalidate)
{
    char                names[PERM_TUPLE_MAX];
    uint64_t            hash;
    ngx_int_t           rc;
    ngx_uint_t          end, asked;
    perm_tuple_t        tuple;
    perm_cache_entry_t  entry;

    rc = NGX_AGAIN;
    asked = 0;
    end = revalidate->cursor + PERM_REVALIDATE_SLOTS;

    while (revalidate->cursor < end && asked < PERM_REVALIDATE_FETCHES) {

        rc = perm_cache_next(revalidate->zone->cache, &revalidate->cursor,
                             &tuple, names, &entry);

        if (rc == NGX_DONE) {
            break;
        }

        if (rc != NGX_OK || !perm_revalidate_due(revalidate, &entry)) {
            continue;
        }

        /* where it fails: in a cluster another master may answer the next */

        hash = perm_tuple_hash(&tuple, revalidate->zone->seed);

        (void) perm_fetch(revalidate->fetch, &tuple, hash, PERM_FETCH_KNOWN,
                          NULL);

        asked++;
    }

    revalidate->asked += asked;
    perm_stats_add(&revalidate->stats->refreshes, asked);

    return rc != NGX_DONE;
}


/*
 * Denials that are unchanged can wait for their apps: after a flood there are
 * as many as the limit keeps away from Redis.
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
