
#include "sync/invalidator.h"

#include "core/grant_key.h"
#include "redis/tracking.h"
#include "sync/revalidate.h"
#include "sync/table_watch.h"


/*
 * A worker that tracks looks that often for those of a newer configuration:
 * nginx tells it to exit 100 ms after they were started.
 */

#define PERM_INVALIDATOR_LOOK       50      /* ms */

/* a worker that has begun to track has that long before a loss is logged */

#define PERM_INVALIDATOR_TAKEOVER   1000    /* ms */


/* a worker that exits waits that long for a new one that tracks */

#define PERM_INVALIDATOR_EXIT       2000    /* ms */


struct perm_invalidator_s {
    perm_sync_conf_t       *conf;
    perm_zone_t            *zone;
    perm_fetch_t           *fetch;
    perm_revalidate_t      *revalidate;
    perm_stats_cell_t      *stats;
    ngx_log_t              *log;
    ngx_event_t             timer;

    perm_tracker_t          tracker;    /* what the other workers know of it */
    perm_redis_tracking_t  *tracking;   /* NULL: others track */
    ngx_msec_t              since;      /* monotonic: last change of "active" */
    ngx_msec_t              turned;     /* monotonic: last turn */
    ngx_msec_t              exiting;    /* monotonic: seen first, 0: is not */
    perm_epoch_t            epoch;      /* of the cache, seen last */
    unsigned                active:1;   /* every change is pushed */
    unsigned                leads:1;    /* has the lease "revalidating" */
    unsigned                gap:1;      /* nothing is trusted, seen last */

    perm_table_watch_t      watch;

    perm_str_t              prefix;
    ngx_str_t               tracked[2]; /* the prefix of grants, and "meta" */
    char                    names[2][PERM_KEY_MAX];
};


static void perm_invalidator_timer(ngx_event_t *ev);
static ngx_uint_t perm_invalidator_tracks(perm_invalidator_t *invalidator);
static void perm_invalidator_begin(perm_invalidator_t *invalidator);
static void perm_invalidator_end(perm_invalidator_t *invalidator);
static void perm_invalidator_turn(perm_invalidator_t *invalidator);
static void perm_invalidator_unpushed(perm_invalidator_t *invalidator);
static void perm_invalidator_lead(perm_invalidator_t *invalidator);
static void perm_invalidator_look(perm_invalidator_t *invalidator);
static void perm_invalidator_walk(perm_invalidator_t *invalidator,
    ngx_msec_t delay);
static void perm_invalidator_distrusted(perm_invalidator_t *invalidator);
static void perm_invalidator_changed(void *data, ngx_str_t *key);
static void perm_invalidator_active(void *data, ngx_uint_t active);
static void perm_invalidator_heard(void *data, ngx_msec_t sent);
static void perm_invalidator_lag(void *data, ngx_msec_t msec);
static void perm_invalidator_moved(void *data);
static ngx_uint_t perm_invalidator_refused(void *data, ngx_uint_t lasting);
static void perm_invalidator_hung(void *data);


static perm_redis_tracking_handlers_t  perm_invalidator_handlers = {
    perm_invalidator_changed,
    perm_invalidator_active,
    perm_invalidator_heard,
    perm_invalidator_lag,
    perm_invalidator_moved,
    perm_invalidator_refused,
    perm_invalidator_hung
};


perm_invalidator_t *
perm_invalidator_create(perm_sync_conf_t *conf, perm_fetch_t *fetch,
    ngx_cycle_t *cycle)
{
    u_char              *p;
    perm_invalidator_t  *invalidator;

    invalidator = ngx_pcalloc(cycle->pool, sizeof(perm_invalidator_t));
    if (invalidator == NULL) {
        return NULL;
    }

    invalidator->conf = conf;
    invalidator->zone = conf->zone.zone;
    invalidator->fetch = fetch;
    invalidator->stats = perm_stats_cell(&invalidator->zone->stats, ngx_worker);
    invalidator->log = cycle->log;
    invalidator->prefix = perm_sync_conf_prefix(conf);
    invalidator->tracker.trackers = &invalidator->zone->trackers;
    invalidator->tracker.generation = conf->generation;

    p = (u_char *) invalidator->names[0];
    invalidator->tracked[0].data = p;
    invalidator->tracked[0].len = ngx_sprintf(p, "%Vgrants:",
                                              &conf->redis.prefix)
                                  - p;

    p = (u_char *) invalidator->names[1];
    invalidator->tracked[1].data = p;
    invalidator->tracked[1].len = perm_grant_key_meta((char *) p,
                                                      invalidator->prefix);

    perm_table_watch_init(&invalidator->watch, conf, &invalidator->tracked[1],
                          cycle->log);

    invalidator->timer.handler = perm_invalidator_timer;
    invalidator->timer.data = invalidator;
    invalidator->timer.log = cycle->log;
    invalidator->timer.cancelable = 1;

    invalidator->revalidate = perm_revalidate_create(conf, fetch, cycle);
    if (invalidator->revalidate == NULL) {
        return NULL;
    }

    ngx_add_timer(&invalidator->timer, 1);

    return invalidator;
}


void
perm_invalidator_destroy(perm_invalidator_t *invalidator)
{
    if (invalidator->timer.timer_set) {
        ngx_del_timer(&invalidator->timer);
    }

    perm_invalidator_end(invalidator);
}


/*
 * While a newer configuration's workers do not track yet, nginx waits for this
 * timer before the worker exits.
 */

static void
perm_invalidator_timer(ngx_event_t *ev)
{
    perm_invalidator_t *invalidator = ev->data;

    if (!perm_invalidator_tracks(invalidator)) {
        perm_invalidator_end(invalidator);

        if (!ngx_exiting) {
            ev->cancelable = 1;
            ngx_add_timer(ev, PERM_LEASE_RENEW);
        }

        return;
    }

    if (invalidator->tracking == NULL) {
        perm_invalidator_begin(invalidator);
    }

    if (ngx_current_msec - invalidator->turned >= PERM_LEASE_RENEW) {
        invalidator->turned = ngx_current_msec;
        perm_invalidator_turn(invalidator);
    }

    perm_invalidator_look(invalidator);

    ev->cancelable = !(invalidator->active
                       && perm_trackers_former(&invalidator->tracker));

    ngx_add_timer(ev, PERM_INVALIDATOR_LOOK);
}


static ngx_uint_t
perm_invalidator_tracks(perm_invalidator_t *invalidator)
{
    ngx_msec_t       now;
    perm_tracker_t  *tracker;

    now = ngx_current_msec;
    tracker = &invalidator->tracker;

    /* what another Redis pushes is not of the grants of the new workers */

    if (perm_sync_conf_replaced(invalidator->conf)
        || perm_trackers_relieved(tracker, now))
    {
        return 0;
    }

    if (!ngx_exiting) {
        return perm_trackers_hold(tracker, now);
    }

    /* there is nobody to wait for when nginx quits */

    if (!invalidator->active || !perm_trackers_former(tracker)) {
        return 0;
    }

    if (invalidator->exiting == 0) {
        invalidator->exiting = now;
    }

    return now - invalidator->exiting < PERM_INVALIDATOR_EXIT
           && perm_trackers_hold(tracker, now);
}


static void
perm_invalidator_begin(perm_invalidator_t *invalidator)
{
    ngx_log_debug0(NGX_LOG_DEBUG_CORE, invalidator->log, 0,
                   "app_permission: tracking lease taken");

    invalidator->active = 0;
    invalidator->since = ngx_current_msec;

    /* NULL: memory is out, and the next turn tries again */

    invalidator->tracking = perm_redis_tracking_start(&invalidator->conf->redis,
                                                    invalidator->log,
                                                    invalidator->tracked, 2,
                                                    &perm_invalidator_handlers,
                                                    invalidator);
    if (invalidator->tracking) {
        perm_table_watch_start(&invalidator->watch, invalidator->tracking);
    }
}


static void
perm_invalidator_end(perm_invalidator_t *invalidator)
{
    if (invalidator->tracking == NULL) {
        return;
    }

    ngx_log_debug0(NGX_LOG_DEBUG_CORE, invalidator->log, 0,
                   "app_permission: tracking lease lost");

    perm_redis_tracking_stop(invalidator->tracking);
    invalidator->tracking = NULL;
    invalidator->active = 0;

    if (perm_trackers_release(&invalidator->tracker, ngx_current_msec)) {
        perm_table_state_event(&invalidator->zone->table, PERM_TABLE_GAP,
                               invalidator->log);
    }

    perm_invalidator_lead(invalidator);
}


static void
perm_invalidator_turn(perm_invalidator_t *invalidator)
{
    ngx_uint_t  pushed;

    pushed = perm_trackers_active(&invalidator->zone->trackers,
                                  ngx_current_msec);

    /* said in each turn: another worker may have been wrong just now */

    if (pushed || (!ngx_exiting
                   && ngx_current_msec - invalidator->since
                      >= PERM_INVALIDATOR_TAKEOVER))
    {
        perm_health_tracking(&invalidator->zone->health, pushed,
                             invalidator->log);
    }

    if (!pushed && !ngx_exiting) {
        perm_invalidator_unpushed(invalidator);
    }

    if (invalidator->tracking) {
        perm_table_watch_turn(&invalidator->watch);
    }

    perm_invalidator_lead(invalidator);
}


/* not in an outage, which has a line of its own and may be found out later */

static void
perm_invalidator_unpushed(perm_invalidator_t *invalidator)
{
    time_t                seconds;
    perm_zone_t          *zone;
    perm_redis_client_t  *redis;

    zone = invalidator->zone;
    redis = perm_fetch_redis(invalidator->fetch);
    seconds = perm_link_state_unpushed(&zone->link, &zone->health, ngx_time());

    if (seconds && perm_redis_client_state(redis) == PERM_REDIS_UP
        && perm_health_turned(&zone->health.unpushed_logged,
                              invalidator->conf->generation))
    {
        ngx_log_error(NGX_LOG_ERR, invalidator->log, 0,
                      "app_permission: Redis is up, but has not pushed changes "
                      "of grants for %T s: an answer counts for 1 s at most, "
                      "so there are more lookups; \"app-permission doctor "
                      "--for gateway\" examines Redis", seconds);
    }
}


/*
 * All that track hear of each change.  One of them revalidates, and counts what
 * was received.
 */

static void
perm_invalidator_lead(perm_invalidator_t *invalidator)
{
    ngx_uint_t    may;
    perm_zone_t  *zone;

    zone = invalidator->zone;

    may = invalidator->tracking
          && (invalidator->active
              || !perm_trackers_active(&zone->trackers, ngx_current_msec));

    if (may && perm_lease_hold(&zone->revalidating, ngx_current_msec)) {

        if (!invalidator->leads) {
            invalidator->leads = 1;

            /* the worker before may not have finished its walk */

            perm_invalidator_walk(invalidator, PERM_REVALIDATE_DELAY);
        }

        return;
    }

    if (invalidator->leads) {
        invalidator->leads = 0;
        perm_revalidate_stop(invalidator->revalidate);
        perm_lease_release(&zone->revalidating);
    }
}


/*
 * Any worker may have distrusted the cache, or ended a gap.  The walk comes
 * soon: Redis may be gone again, or empty, in a moment.
 */

static void
perm_invalidator_look(perm_invalidator_t *invalidator)
{
    perm_epoch_t  epoch;
    ngx_uint_t    gap, before;
    perm_zone_t  *zone;

    zone = invalidator->zone;
    epoch = perm_epoch_seen(perm_cache_epoch(zone->cache));
    before = invalidator->gap;

    /* a tracker was killed before it had the answer, and nobody else asks */

    if (perm_epoch_suspended(epoch)
        && !perm_trackers_covered(&zone->trackers, ngx_current_msec))
    {
        perm_cache_distrust(zone->cache);
    }

    epoch = perm_epoch_base(epoch);

    gap = (perm_trackers_valid(&zone->trackers, ngx_current_msec)
           != INT64_MAX);

    if (gap != before) {
        ngx_log_debug2(NGX_LOG_DEBUG_CORE, invalidator->log, 0,
                       "app_permission: gap:%ui, active:%d", gap,
                       invalidator->active);

        invalidator->gap = gap;
        perm_revalidate_gap(invalidator->revalidate, gap);
    }

    if (epoch != invalidator->epoch || (before && !gap)) {
        invalidator->epoch = epoch;
        perm_invalidator_walk(invalidator, PERM_REVALIDATE_SOON);
    }
}


static void
perm_invalidator_walk(perm_invalidator_t *invalidator, ngx_msec_t delay)
{
    if (invalidator->leads) {
        perm_revalidate_start(invalidator->revalidate, delay);
    }
}


/* changes up to now may be missed: those of "meta", too */

static void
perm_invalidator_distrusted(perm_invalidator_t *invalidator)
{
    perm_table_state_event(&invalidator->zone->table, PERM_TABLE_GAP,
                           invalidator->log);
    perm_table_state_event(&invalidator->zone->table, PERM_TABLE_META,
                           invalidator->log);
    perm_table_watch_missed(&invalidator->watch);
}


static void
perm_invalidator_changed(void *data, ngx_str_t *key)
{
    perm_invalidator_t *invalidator = data;

    ngx_str_t   *meta;
    perm_str_t   name, gateway, app;

    meta = &invalidator->tracked[1];

    if (key == NULL) {
        perm_table_watch_event(&invalidator->watch, PERM_TABLE_FLUSH);

    } else if (key->len == meta->len
               && ngx_memcmp(key->data, meta->data, meta->len) == 0)
    {
        perm_table_watch_event(&invalidator->watch, PERM_TABLE_META);

    } else {
        name.len = key->len;
        name.data = (const char *) key->data;

        if (!perm_grant_key_parse(name, PERM_KEY_GRANTS, invalidator->prefix,
                                  &gateway, &app))
        {
            return;
        }

        ngx_log_debug4(NGX_LOG_DEBUG_CORE, invalidator->log, 0,
                       "app_permission: changed, app \"%*s\", gateway \"%*s\"",
                       app.len, app.data, gateway.len, gateway.data);

        perm_cache_invalidate(invalidator->zone->cache, gateway, app,
                              !invalidator->watch.empty);
        perm_invalidator_walk(invalidator, PERM_REVALIDATE_DELAY);
    }

    perm_stats_add(&invalidator->stats->invalidations, invalidator->leads);
}


static void
perm_invalidator_active(void *data, ngx_uint_t active)
{
    perm_invalidator_t *invalidator = data;

    ngx_uint_t       gap;
    ngx_msec_t       since;
    perm_zone_t     *zone;
    perm_tracker_t  *tracker;

    zone = invalidator->zone;
    tracker = &invalidator->tracker;
    since = tracker->since;

    /* it began after what the clock of this turn says */

    ngx_time_update();

    invalidator->active = (active != 0);
    invalidator->since = ngx_current_msec;

    if (active) {

        /* a worker that leads without hearing of changes finds out later */

        if (!perm_trackers_active(&zone->trackers, ngx_current_msec)) {
            /* orders: only this word */
            __atomic_store_n(&zone->revalidating.word, 0, __ATOMIC_SEQ_CST);
        }

        gap = perm_trackers_begin(tracker, ngx_current_msec);

    } else {
        gap = perm_trackers_lost(tracker, ngx_current_msec);
        perm_trackers_ended(&zone->trackers, since, ngx_current_msec);
    }

    perm_invalidator_lead(invalidator);
    perm_invalidator_look(invalidator);

    if (gap && active) {
        perm_invalidator_distrusted(invalidator);

    } else {
        if (gap) {
            perm_table_state_event(&zone->table, PERM_TABLE_GAP,
                                   invalidator->log);
        }

        perm_table_watch_missed(&invalidator->watch);
    }

    if (!ngx_exiting) {
        perm_health_tracking(&zone->health,
                             perm_trackers_active(&zone->trackers,
                                                  ngx_current_msec),
                             invalidator->log);
    }
}


static void
perm_invalidator_heard(void *data, ngx_msec_t sent)
{
    perm_invalidator_t *invalidator = data;

    if (perm_trackers_heard(&invalidator->tracker, sent, ngx_current_msec)) {
        perm_invalidator_distrusted(invalidator);
    }
}


static void
perm_invalidator_lag(void *data, ngx_msec_t msec)
{
    perm_invalidator_t *invalidator = data;

    perm_health_lag(&invalidator->zone->health, msec);
}


/* a worker that does not know the new master reads from the former one */

static void
perm_invalidator_moved(void *data)
{
    perm_invalidator_t *invalidator = data;

    perm_trackers_moved(&invalidator->zone->trackers,
                        ngx_current_msec + PERM_TRACKERS_MOVE,
                        ngx_current_msec);
}


/* for good: from then on "app_permission_cache_valid" bounds an entry's age */

static ngx_uint_t
perm_invalidator_refused(void *data, ngx_uint_t lasting)
{
    perm_invalidator_t *invalidator = data;

    if (perm_sync_conf_former(invalidator->conf)
        || !perm_trackers_refuse(&invalidator->zone->trackers,
                                 lasting ? PERM_TRACKERS_REFUSED
                                         : PERM_TRACKERS_FAILING))
    {
        return 0;
    }

    (void) perm_health_turned(&invalidator->zone->health.unpushed_logged,
                              invalidator->conf->generation);

    return 1;
}


/* all workers drop their links to a server that hangs */

static void
perm_invalidator_hung(void *data)
{
    perm_invalidator_t *invalidator = data;

    ngx_log_debug0(NGX_LOG_DEBUG_CORE, invalidator->log, 0,
                   "app_permission: Redis hangs");

    (void) ngx_atomic_fetch_add(&invalidator->zone->health.hung, 1);
}
