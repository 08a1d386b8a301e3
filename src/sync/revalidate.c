
#include "sync/revalidate.h"


/* ms to the next walk when this one asked for entries, doubled each time */

#define PERM_REVALIDATE_RETRY      1000
#define PERM_REVALIDATE_RETRY_MAX  32000

#define PERM_REVALIDATE_STEP       10      /* ms between steps of a walk */
#define PERM_REVALIDATE_SLOTS      4096    /* looked at in a step */
#define PERM_REVALIDATE_FETCHES    32      /* asked for in a step */


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
    unsigned            walking:1;
    unsigned            again:1;    /* something changed during the walk */
    unsigned            gap:1;      /* changes may be missed now */
};


static void perm_revalidate_walk(ngx_event_t *ev);
static ngx_uint_t perm_revalidate_step(perm_revalidate_t *revalidate);
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
    if (revalidate->walk.timer_set) {
        ngx_del_timer(&revalidate->walk);
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

    if (!revalidate->walking) {

        if (perm_redis_client_state(perm_fetch_redis(revalidate->fetch))
            == PERM_REDIS_DOWN)
        {
            ngx_add_timer(ev, PERM_REVALIDATE_DELAY);
            return;
        }

        revalidate->walking = 1;
        revalidate->again = 0;
        revalidate->cursor = 0;
        revalidate->asked = 0;
    }

    if (perm_revalidate_step(revalidate)) {
        ngx_add_timer(ev, PERM_REVALIDATE_STEP);
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


/* looks at a bounded number of entries; 0: the walk is over */

static ngx_uint_t
perm_revalidate_step(perm_revalidate_t *revalidate)
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

        /* a failure does not end the walk: other masters may answer */

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
