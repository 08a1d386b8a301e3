
#include "http/catchup.h"

#include "http/fetch.h"


/* changes come in bursts, and calls see to most of it by themselves */

#define PERM_CATCHUP_DELAY    100    /* ms from a change to a pass */
#define PERM_CATCHUP_RETRY    1000   /* ms, when there is nobody to ask */

#define PERM_CATCHUP_TURN     10     /* ms between turns of a pass */
#define PERM_CATCHUP_SLOTS    4096   /* looked at in a turn */
#define PERM_CATCHUP_FETCHES  32     /* sent in a turn */


struct perm_catchup_s {
    perm_main_conf_t  *pmcf;
    ngx_event_t        timer;
    ngx_uint_t         cursor;       /* of the pass */
    unsigned           running:1;    /* a pass has begun */
    unsigned           again:1;      /* it passed by what changed since */
};


/* returns when the next turn is, in ms, or 0: the pass is over */

static ngx_msec_t
perm_catchup_turn(perm_catchup_t *catchup)
{
    ngx_int_t            rc;
    ngx_uint_t           end, start, sent;
    perm_call_t          call;
    perm_cache_t        *cache;
    perm_zone_t         *zone;
    perm_main_conf_t    *pmcf;
    perm_cache_entry_t   entry;
    char                 names[PERM_CALL_MAX];

    pmcf = catchup->pmcf;
    zone = pmcf->zone.zone;
    cache = zone->cache;

    sent = 0;
    end = catchup->cursor + PERM_CATCHUP_SLOTS;

    while (catchup->cursor < end && sent < PERM_CATCHUP_FETCHES) {
        start = catchup->cursor;

        rc = perm_cache_next(cache, &catchup->cursor, &call, names, &entry);

        if (rc == NGX_DONE) {
            return 0;
        }

        if (rc != NGX_OK || entry.unchanged) {
            continue;
        }

        if (perm_fetch(pmcf->fetch, &call, perm_call_hash(&call, zone->seed),
                       1, NULL, NULL, NULL)
            != NGX_OK)
        {
            catchup->cursor = start;
            return PERM_CATCHUP_RETRY;
        }

        sent++;
    }

    (void) ngx_atomic_fetch_add(&pmcf->stats->refreshes, sent);

    return PERM_CATCHUP_TURN;
}


static void
perm_catchup_timer(ngx_event_t *ev)
{
    perm_catchup_t *catchup = ev->data;

    ngx_msec_t  delay;

    catchup->running = 1;

    delay = perm_catchup_turn(catchup);

    if (delay == 0) {
        catchup->running = 0;
        catchup->cursor = 0;

        if (!catchup->again) {
            return;
        }

        catchup->again = 0;
        delay = PERM_CATCHUP_DELAY;
    }

    ngx_add_timer(&catchup->timer, delay);
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

    catchup->timer.handler = perm_catchup_timer;
    catchup->timer.data = catchup;
    catchup->timer.log = cycle->log;
    catchup->timer.cancelable = 1;

    return catchup;
}


void
perm_catchup_start(perm_catchup_t *catchup)
{
    if (catchup->running) {
        catchup->again = 1;

    } else if (!catchup->timer.timer_set) {
        ngx_add_timer(&catchup->timer, PERM_CATCHUP_DELAY);
    }
}


void
perm_catchup_stop(perm_catchup_t *catchup)
{
    if (catchup->timer.timer_set) {
        ngx_del_timer(&catchup->timer);
    }

    catchup->running = 0;
    catchup->again = 0;
    catchup->cursor = 0;
}
