
#include "sync/revalidate.h"


/* changes come in bursts, and calls see to most of it by themselves */

#define PERM_REVALIDATE_DELAY      100     /* ms from a change to a walk */

/* ms to the next walk when lookups failed, doubled from the second one on */

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
    ngx_msec_t          retry;        /* ms */
    unsigned            walking:1;
    unsigned            again:1;      /* something changed during the walk */
    unsigned            failed:1;     /* some lookups were not answered */
    unsigned            stopped:1;
    unsigned            gap:1;
};


static void perm_revalidate_begin(perm_revalidate_t *revalidate,
    ngx_msec_t delay);
static void perm_revalidate_timer(ngx_event_t *ev);
static ngx_msec_t perm_revalidate_walk(perm_revalidate_t *revalidate);
static ngx_uint_t perm_revalidate_turn(perm_revalidate_t *revalidate);
static ngx_uint_t perm_revalidate_due(perm_revalidate_t *revalidate,
    perm_cache_entry_t *entry);
static void perm_revalidate_answered(void *data, perm_grants_reply_t *reply);


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
    revalidate->stats = perm_stats_cell(revalidate->zone->stats, ngx_worker);
    revalidate->stopped = 1;

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

    revalidate->stopped = 1;
    revalidate->walking = 0;
    revalidate->failed = 0;
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
    if (!revalidate->conf->stale) {
        return;
    }

    revalidate->stopped = 0;
    revalidate->retry = PERM_REVALIDATE_RETRY;

    if (revalidate->walking) {
        revalidate->again = 1;
        return;
    }

    /* sooner than a retry, or than after another change */

    if (revalidate->timer.timer_set
        && (revalidate->failed || delay < PERM_REVALIDATE_DELAY))
    {
        ngx_del_timer(&revalidate->timer);
    }

    if (!revalidate->timer.timer_set) {
        ngx_add_timer(&revalidate->timer, delay);
    }
}


static void
perm_revalidate_timer(ngx_event_t *ev)
{
    perm_revalidate_t *revalidate = ev->data;

    ngx_msec_t  delay;

    delay = perm_revalidate_walk(revalidate);

    if (delay && !ev->timer_set) {
        ngx_add_timer(ev, delay);
    }
}


/* returns when to come again, in ms; 0: when something changes */

static ngx_msec_t
perm_revalidate_walk(perm_revalidate_t *revalidate)
{
    if (!revalidate->walking) {

        if (perm_redis_client_state(perm_fetch_redis(revalidate->fetch))
            == PERM_REDIS_DOWN)
        {
            return PERM_REVALIDATE_DELAY;
        }

        if (revalidate->failed) {
            revalidate->retry = ngx_min(revalidate->retry * 2,
                                        PERM_REVALIDATE_RETRY_MAX);
        }

        ngx_log_debug0(NGX_LOG_DEBUG_CORE, revalidate->timer.log, 0,
                       "app_permission: revalidation begins");

        revalidate->walking = 1;
        revalidate->again = 0;
        revalidate->failed = 0;
        revalidate->cursor = 0;
    }

    if (perm_revalidate_turn(revalidate)) {
        return PERM_REVALIDATE_TURN;
    }

    ngx_log_debug2(NGX_LOG_DEBUG_CORE, revalidate->timer.log, 0,
                   "app_permission: revalidation ends, again:%d failed:%d",
                   revalidate->again, revalidate->failed);

    revalidate->walking = 0;

    if (revalidate->again) {
        return PERM_REVALIDATE_DELAY;
    }

    return revalidate->failed ? revalidate->retry : 0;
}


/* 0: the walk is over */

static ngx_uint_t
perm_revalidate_turn(perm_revalidate_t *revalidate)
{
    char                    names[PERM_TUPLE_MAX];
    uint64_t                hash;
    ngx_int_t               rc;
    ngx_uint_t              end, asked;
    perm_tuple_t            tuple;
    perm_cache_entry_t      entry;
    perm_pending_waiter_t  *waiter;

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

        hash = perm_tuple_hash(&tuple, revalidate->zone->seed);

        if (perm_fetch(revalidate->fetch, &tuple, hash, PERM_FETCH_KNOWN,
                       perm_revalidate_answered, revalidate, &waiter)
            != NGX_AGAIN)
        {
            /* the walk goes on: in a cluster another master may answer */

            revalidate->failed = 1;
        }

        asked++;
    }

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


/* another walk has to ask again */

static void
perm_revalidate_answered(void *data, perm_grants_reply_t *reply)
{
    perm_revalidate_t *revalidate = data;

    if (reply->result == PERM_FETCHED) {
        return;
    }

    revalidate->failed = 1;

    if (!revalidate->walking && !revalidate->stopped
        && !revalidate->timer.timer_set)
    {
        ngx_add_timer(&revalidate->timer, revalidate->retry);
    }
}
