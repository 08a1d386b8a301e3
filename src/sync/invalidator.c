
#include "sync/invalidator.h"

#include "core/grant_key.h"
#include "redis/tracking.h"
#include "sync/revalidate.h"


/*
 * A gap is a time in which changes may be missed.  An entry that is fetched in
 * a gap must not be trusted for all of "app_permission_cache_valid".  So the
 * whole cache is distrusted again and again, less often in a long gap.
 */

#define PERM_INVALIDATOR_GAP        50      /* ms from one time to the next */
#define PERM_INVALIDATOR_GAP_LONG   1000    /* ms, likewise, in a long gap */
#define PERM_INVALIDATOR_LONG       10000   /* ms: a gap is long from then on */

/* a new holder of the lease has that long before a loss is logged */

#define PERM_INVALIDATOR_TAKEOVER   1000    /* ms */

/* all workers know the new masters that long after a move */

#define PERM_INVALIDATOR_MOVE       3000    /* ms */


struct perm_invalidator_s {
    perm_sync_conf_t       *conf;
    perm_zone_t            *zone;
    perm_fetch_t           *fetch;
    perm_revalidate_t      *revalidate;
    perm_stats_cell_t      *stats;
    ngx_log_t              *log;
    ngx_event_t             timer;      /* of the lease, and of a gap */

    perm_redis_tracking_t  *tracking;   /* NULL: another worker has the lease */
    ngx_msec_t              since;      /* monotonic: last change of "active" */
    ngx_msec_t              distrusted; /* monotonic: in the gap, last */
    ngx_msec_t              moved;      /* monotonic: last move */
    unsigned                active:1;   /* every change is pushed */
    unsigned                moving:1;
    unsigned                refused:1;  /* changes will not be pushed */
    unsigned                gap:1;

    perm_str_t              prefix;
    ngx_str_t               tracked[2]; /* the prefix of grants, and "meta" */
    char                    names[2][PERM_KEY_MAX];
};


static void perm_invalidator_timer(ngx_event_t *ev);
static void perm_invalidator_begin(perm_invalidator_t *invalidator);
static void perm_invalidator_end(perm_invalidator_t *invalidator);
static ngx_msec_t perm_invalidator_turn(perm_invalidator_t *invalidator);
static void perm_invalidator_gap(perm_invalidator_t *invalidator);
static void perm_invalidator_hasten(perm_invalidator_t *invalidator);
static void perm_invalidator_changed(void *data, ngx_str_t *key);
static void perm_invalidator_table(perm_invalidator_t *invalidator,
    perm_table_event_t event);
static void perm_invalidator_active(void *data, ngx_uint_t active);
static void perm_invalidator_lag(void *data, ngx_msec_t msec);
static void perm_invalidator_moved(void *data);
static void perm_invalidator_refused(void *data);
static void perm_invalidator_hung(void *data);


static perm_redis_tracking_handlers_t  perm_invalidator_handlers = {
    perm_invalidator_changed,
    perm_invalidator_active,
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

    p = (u_char *) invalidator->names[0];
    invalidator->tracked[0].data = p;
    invalidator->tracked[0].len = ngx_sprintf(p, "%Vgrants:",
                                              &conf->redis.prefix)
                                  - p;

    p = (u_char *) invalidator->names[1];
    invalidator->tracked[1].data = p;
    invalidator->tracked[1].len = perm_grant_key_meta((char *) p,
                                                      invalidator->prefix);

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


static void
perm_invalidator_timer(ngx_event_t *ev)
{
    perm_invalidator_t *invalidator = ev->data;

    ngx_msec_t  delay;

    if (ngx_exiting) {
        perm_invalidator_end(invalidator);
        return;
    }

    delay = PERM_LEASE_RENEW;

    if (!perm_lease_hold(&invalidator->zone->tracking, ngx_current_msec)) {
        perm_invalidator_end(invalidator);

    } else if (invalidator->tracking == NULL) {
        perm_invalidator_begin(invalidator);
        delay = PERM_INVALIDATOR_GAP;

    } else {
        delay = perm_invalidator_turn(invalidator);
    }

    ngx_add_timer(&invalidator->timer, delay);
}


/* changes between the end of the last holder and now were not pushed */

static void
perm_invalidator_begin(perm_invalidator_t *invalidator)
{
    ngx_log_debug0(NGX_LOG_DEBUG_CORE, invalidator->log, 0,
                   "app_permission: tracking lease taken");

    perm_table_state_event(&invalidator->zone->table, PERM_TABLE_GAP,
                           invalidator->log);

    invalidator->active = 0;
    invalidator->moving = 0;
    invalidator->refused = 0;
    invalidator->since = ngx_current_msec;
    invalidator->distrusted = ngx_current_msec;

    invalidator->tracking = perm_redis_tracking_start(&invalidator->conf->redis,
                                                    invalidator->log,
                                                    invalidator->tracked, 2,
                                                    &perm_invalidator_handlers,
                                                    invalidator);
    if (invalidator->tracking == NULL) {
        perm_lease_release(&invalidator->zone->tracking);
        return;
    }

    /* the last holder may not have finished its walk */

    perm_invalidator_gap(invalidator);
    perm_revalidate_start(invalidator->revalidate, PERM_REVALIDATE_DELAY);
}


static void
perm_invalidator_end(perm_invalidator_t *invalidator)
{
    if (invalidator->tracking == NULL) {
        return;
    }

    ngx_log_debug0(NGX_LOG_DEBUG_CORE, invalidator->log, 0,
                   "app_permission: tracking lease lost");

    perm_revalidate_stop(invalidator->revalidate);

    perm_redis_tracking_stop(invalidator->tracking);
    invalidator->tracking = NULL;
    invalidator->active = 0;

    perm_cache_distrust(invalidator->zone->cache);
    perm_lease_release(&invalidator->zone->tracking);
}


/* for the holder of the lease; returns ms to the next turn */

static ngx_msec_t
perm_invalidator_turn(perm_invalidator_t *invalidator)
{
    ngx_msec_t  lasts, delay;

    if (invalidator->moving
        && ngx_current_msec - invalidator->moved >= PERM_INVALIDATOR_MOVE)
    {
        invalidator->moving = 0;
        perm_invalidator_gap(invalidator);
    }

    lasts = ngx_current_msec - invalidator->since;

    if (!invalidator->active && lasts >= PERM_INVALIDATOR_TAKEOVER) {

        /* logs the loss, unless another worker has logged it */

        perm_health_tracking(&invalidator->zone->health, 0, invalidator->log);
    }

    if (invalidator->active ? !invalidator->moving : invalidator->refused) {
        return PERM_LEASE_RENEW;
    }

    delay = (invalidator->active || lasts < PERM_INVALIDATOR_LONG)
            ? PERM_INVALIDATOR_GAP : PERM_INVALIDATOR_GAP_LONG;

    if (ngx_current_msec - invalidator->distrusted >= delay) {
        perm_cache_distrust(invalidator->zone->cache);
        invalidator->distrusted = ngx_current_msec;
    }

    return ngx_min(delay, PERM_LEASE_RENEW);
}


/* a gap may have begun or ended */

static void
perm_invalidator_gap(perm_invalidator_t *invalidator)
{
    ngx_uint_t  before;

    before = invalidator->gap;
    invalidator->gap = invalidator->moving
                       || !(invalidator->active || invalidator->refused);

    perm_revalidate_gap(invalidator->revalidate, invalidator->gap);

    ngx_log_debug4(NGX_LOG_DEBUG_CORE, invalidator->log, 0,
                   "app_permission: gap:%d, active:%d moving:%d refused:%d",
                   invalidator->gap, invalidator->active, invalidator->moving,
                   invalidator->refused);

    if (before && !invalidator->gap) {
        /* at once: Redis may be gone again, or empty, in a moment */
        perm_revalidate_start(invalidator->revalidate, PERM_REVALIDATE_SOON);
    }
}


/* the cache was distrusted just now; the next turn comes soon */

static void
perm_invalidator_hasten(perm_invalidator_t *invalidator)
{
    invalidator->distrusted = ngx_current_msec;

    /* deleted first: nginx does not bring a timer forward by so little */

    if (invalidator->timer.timer_set) {
        ngx_del_timer(&invalidator->timer);
    }

    ngx_add_timer(&invalidator->timer, PERM_INVALIDATOR_GAP);
}


static void
perm_invalidator_changed(void *data, ngx_str_t *key)
{
    perm_invalidator_t *invalidator = data;

    ngx_str_t   *meta;
    perm_str_t   name, gateway, app;

    meta = &invalidator->tracked[1];

    if (key == NULL) {
        perm_invalidator_table(invalidator, PERM_TABLE_FLUSH);

    } else if (key->len == meta->len
               && ngx_memcmp(key->data, meta->data, meta->len) == 0)
    {
        perm_invalidator_table(invalidator, PERM_TABLE_META);

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

        perm_cache_invalidate(invalidator->zone->cache, gateway, app);
        perm_revalidate_start(invalidator->revalidate, PERM_REVALIDATE_DELAY);
    }

    perm_stats_add(&invalidator->stats->invalidations, 1);
}


/* the table may have been emptied, or loaded */

static void
perm_invalidator_table(perm_invalidator_t *invalidator,
    perm_table_event_t event)
{
    perm_table_state_event(&invalidator->zone->table, event, invalidator->log);
    perm_fetch_table(invalidator->fetch);
    perm_revalidate_start(invalidator->revalidate, PERM_REVALIDATE_DELAY);
}


/*
 * Changes may have been missed, either way.  An entry that is fetched from now
 * on may be trusted when tracking is active: so the cache is distrusted first.
 */

static void
perm_invalidator_active(void *data, ngx_uint_t active)
{
    perm_invalidator_t *invalidator = data;

    invalidator->active = (active != 0);
    invalidator->refused = 0;
    invalidator->since = ngx_current_msec;

    perm_cache_distrust(invalidator->zone->cache);
    perm_invalidator_gap(invalidator);

    if (active) {
        perm_invalidator_table(invalidator, PERM_TABLE_META);

    } else {
        perm_table_state_event(&invalidator->zone->table, PERM_TABLE_GAP,
                               invalidator->log);
    }

    if (ngx_exiting) {

        /* no loss: a worker of the new configuration takes over */

        perm_lease_release(&invalidator->zone->tracking);
        return;
    }

    perm_health_tracking(&invalidator->zone->health, active, invalidator->log);

    if (!active) {
        perm_invalidator_hasten(invalidator);
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

    invalidator->moving = 1;
    invalidator->moved = ngx_current_msec;

    perm_cache_distrust(invalidator->zone->cache);
    perm_invalidator_gap(invalidator);
    perm_invalidator_hasten(invalidator);
}


/* from then on "app_permission_cache_valid" alone bounds an entry's age */

static void
perm_invalidator_refused(void *data)
{
    perm_invalidator_t *invalidator = data;

    invalidator->refused = 1;
    perm_invalidator_gap(invalidator);
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
