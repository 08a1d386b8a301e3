
#include "sync/invalidator.h"

#include "core/grant_key.h"
#include "sync/revalidate.h"
#include "redis/tracking.h"


/* a new holder of the lease gets that long before the loss is made known */

#define PERM_INVALIDATOR_PATIENCE  1000    /* ms */

/* in a gap nothing is trusted for longer than that, and when it lasts */

#define PERM_INVALIDATOR_GAP       50      /* ms */
#define PERM_INVALIDATOR_GAP_LONG  1000    /* ms */
#define PERM_INVALIDATOR_LONG      10000   /* ms */

/* every worker has learned by then that the masters are others now */

#define PERM_INVALIDATOR_MOVE      3000    /* ms */

#define PERM_INVALIDATOR_PREFIXES  2


struct perm_invalidator_s {
    perm_sync_conf_t       *conf;
    perm_fetch_t           *fetch;
    perm_stats_cell_t      *stats;
    perm_zone_t            *zone;
    ngx_log_t              *log;
    ngx_event_t             timer;

    perm_redis_tracking_t  *tracking;   /* NULL: not the holder */
    perm_revalidate_t      *revalidate;
    ngx_msec_t              since;      /* ms, monotonic: in a gap since */
    ngx_msec_t              distrusted; /* ms, monotonic: in the gap, last */
    ngx_msec_t              move;       /* ms, monotonic: the last one's */
    unsigned                active:1;
    unsigned                moving:1;
    unsigned                refused:1;  /* cache_valid is what counts */

    ngx_str_t               prefixes[PERM_INVALIDATOR_PREFIXES];
    ngx_str_t               meta;       /* the key */
};


static void perm_invalidator_changed(void *data, ngx_str_t *key);
static void perm_invalidator_active(void *data, ngx_uint_t active);
static void perm_invalidator_lag(void *data, ngx_msec_t msec);
static void perm_invalidator_moved(void *data);
static void perm_invalidator_witness(void *data);
static void perm_invalidator_refused(void *data);
static void perm_invalidator_hung(void *data);


static perm_redis_tracking_handlers_t  perm_invalidator_handlers = {
    perm_invalidator_changed,
    perm_invalidator_active,
    perm_invalidator_lag,
    perm_invalidator_moved,
    perm_invalidator_witness,
    perm_invalidator_refused,
    perm_invalidator_hung
};


/* the table may be another now, or none */

static void
perm_invalidator_doubt(perm_invalidator_t *invalidator,
    perm_table_event_t event)
{
    perm_table_state_event(&invalidator->zone->table, event, invalidator->log);
    perm_fetch_table(invalidator->fetch);
    perm_revalidate_start(invalidator->revalidate);
}


/* is what is fetched now trusted until it is told of, or ends? */

static void
perm_invalidator_trust(perm_invalidator_t *invalidator)
{
    perm_revalidate_gap(invalidator->revalidate, invalidator->moving || !(invalidator->active || invalidator->refused));
}


static void
perm_invalidator_changed(void *data, ngx_str_t *key)
{
    perm_invalidator_t *invalidator = data;

    perm_str_t  name, prefix, gateway, app;

    if (key == NULL
        || (key->len == invalidator->meta.len
            && ngx_memcmp(key->data, invalidator->meta.data, key->len) == 0))
    {
        perm_invalidator_doubt(invalidator,
                               key ? PERM_TABLE_META : PERM_TABLE_FLUSH);

    } else {
        name.len = key->len;
        name.data = (const char *) key->data;

        prefix.len = invalidator->conf->redis.prefix.len;
        prefix.data = (const char *) invalidator->conf->redis.prefix.data;

        if (!perm_grant_key_parse(name, PERM_KEY_GRANTS, prefix, &gateway,
                                  &app))
        {
            return;
        }

        perm_cache_invalidate(invalidator->zone->cache, gateway, app);
        perm_revalidate_start(invalidator->revalidate);
    }

    (void) ngx_atomic_fetch_add(&invalidator->stats->invalidations, 1);
}


/* the rhythm of a gap */

static void
perm_invalidator_hurry(perm_invalidator_t *invalidator)
{
    invalidator->distrusted = ngx_current_msec;

    /* deleted first: nginx does not bring a timer forward by so little */

    if (invalidator->timer.timer_set) {
        ngx_del_timer(&invalidator->timer);
    }

    ngx_add_timer(&invalidator->timer, PERM_INVALIDATOR_GAP);
}


/*
 * Either way changes may have been missed.  What is fetched from now on is of
 * the new epoch, so that distrusting comes before anybody is told.
 */

static void
perm_invalidator_active(void *data, ngx_uint_t active)
{
    perm_invalidator_t *invalidator = data;

    invalidator->active = active ? 1 : 0;
    invalidator->refused = 0;
    invalidator->since = ngx_current_msec;

    perm_cache_distrust(invalidator->zone->cache);
    perm_invalidator_trust(invalidator);

    if (active) {
        perm_invalidator_doubt(invalidator, PERM_TABLE_META);

    } else {
        perm_table_state_event(&invalidator->zone->table, PERM_TABLE_GAP,
                               invalidator->log);
    }

    if (ngx_exiting) {

        /* a hand-over to a younger worker, not a loss */

        perm_lease_release(&invalidator->zone->tracking);
        return;
    }

    perm_health_tracking(&invalidator->zone->health, active, invalidator->log);

    if (!active) {
        perm_invalidator_hurry(invalidator);
    }
}


static void
perm_invalidator_lag(void *data, ngx_msec_t msec)
{
    perm_invalidator_t *invalidator = data;

    perm_health_t      *health;
    ngx_atomic_uint_t   worst;

    health = &invalidator->zone->health;
    health->lag = msec;

    do {
        worst = health->lag_worst;

    } while (msec > worst
             && !ngx_atomic_cmp_set(&health->lag_worst, worst, msec));
}


static void
perm_invalidator_moved(void *data)
{
    perm_invalidator_t *invalidator = data;

    invalidator->moving = 1;
    invalidator->move = ngx_current_msec;

    perm_cache_distrust(invalidator->zone->cache);
    perm_invalidator_trust(invalidator);
    perm_invalidator_hurry(invalidator);
}


/*
 * What was looked up there is not trusted, so that nothing is to be distrusted
 * for its sake, but fit as stale.
 */

static void
perm_invalidator_witness(void *data)
{
    perm_invalidator_t *invalidator = data;

    perm_revalidate_start(invalidator->revalidate);
}


static void
perm_invalidator_refused(void *data)
{
    perm_invalidator_t *invalidator = data;

    invalidator->refused = 1;
    perm_invalidator_trust(invalidator);
}


static void
perm_invalidator_hung(void *data)
{
    perm_invalidator_t *invalidator = data;

    (void) ngx_atomic_fetch_add(&invalidator->zone->health.hung, 1);
}


/* changes between the last holder's end and now were not reported */

static void
perm_invalidator_begin(perm_invalidator_t *invalidator)
{
    perm_table_state_event(&invalidator->zone->table, PERM_TABLE_GAP,
                           invalidator->log);

    invalidator->active = 0;
    invalidator->moving = 0;
    invalidator->refused = 0;
    invalidator->since = ngx_current_msec;
    invalidator->distrusted = ngx_current_msec;
    invalidator->tracking =
        perm_redis_tracking_start(&invalidator->conf->redis, invalidator->log,
                                  invalidator->prefixes,
                                  PERM_INVALIDATOR_PREFIXES,
                                  &perm_invalidator_handlers, invalidator);
    if (invalidator->tracking == NULL) {
        perm_lease_release(&invalidator->zone->tracking);
        return;
    }

    /* with what the last holder had begun */

    perm_invalidator_trust(invalidator);
    perm_revalidate_start(invalidator->revalidate);
}


static void
perm_invalidator_end(perm_invalidator_t *invalidator)
{
    if (invalidator->tracking == NULL) {
        return;
    }

    perm_revalidate_stop(invalidator->revalidate);

    perm_redis_tracking_stop(invalidator->tracking);
    invalidator->tracking = NULL;
    invalidator->active = 0;

    perm_cache_distrust(invalidator->zone->cache);
    perm_lease_release(&invalidator->zone->tracking);
}


/*
 * Changes are not reported, but will be: what is fetched meanwhile would be
 * trusted for "app_permission_cache_valid" without a reason.  Returns when to
 * come again, in ms.
 */

static ngx_msec_t
perm_invalidator_gap(perm_invalidator_t *invalidator, ngx_msec_t delay)
{
    if (ngx_current_msec - invalidator->distrusted >= delay) {
        perm_cache_distrust(invalidator->zone->cache);
        invalidator->distrusted = ngx_current_msec;
    }

    return ngx_min(delay, PERM_LEASE_RENEW);
}


/* the holder's turn; returns when the next one is, in ms */

static ngx_msec_t
perm_invalidator_turn(perm_invalidator_t *invalidator)
{
    ngx_msec_t  lasts;

    if (invalidator->moving
        && ngx_current_msec - invalidator->move >= PERM_INVALIDATOR_MOVE)
    {
        invalidator->moving = 0;
        perm_invalidator_trust(invalidator);
    }

    if (invalidator->active) {
        return invalidator->moving ? perm_invalidator_gap(invalidator,
                                                          PERM_INVALIDATOR_GAP)
                             : PERM_LEASE_RENEW;
    }

    lasts = ngx_current_msec - invalidator->since;

    if (lasts >= PERM_INVALIDATOR_PATIENCE) {

        /* news only where the last holder left "active" behind */

        perm_health_tracking(&invalidator->zone->health, 0, invalidator->log);
    }

    if (invalidator->refused) {
        return PERM_LEASE_RENEW;
    }

    return perm_invalidator_gap(invalidator, lasts < PERM_INVALIDATOR_LONG ? PERM_INVALIDATOR_GAP : PERM_INVALIDATOR_GAP_LONG);
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


static ngx_int_t
perm_invalidator_names(perm_invalidator_t *invalidator, ngx_pool_t *pool)
{
    u_char     *p;
    ngx_str_t  *prefix;

    prefix = &invalidator->conf->redis.prefix;

    p = ngx_pnalloc(pool, 2 * prefix->len + sizeof("grants:meta") - 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    invalidator->prefixes[0].data = p;
    p = ngx_sprintf(p, "%Vgrants:", prefix);
    invalidator->prefixes[0].len = p - invalidator->prefixes[0].data;

    invalidator->meta.data = p;
    p = ngx_sprintf(p, "%Vmeta", prefix);
    invalidator->meta.len = p - invalidator->meta.data;

    invalidator->prefixes[1] = invalidator->meta;

    return NGX_OK;
}


perm_invalidator_t *
perm_invalidator_create(perm_sync_conf_t *conf, perm_fetch_t *fetch,
    ngx_cycle_t *cycle)
{
    perm_invalidator_t  *invalidator;

    invalidator = ngx_pcalloc(cycle->pool, sizeof(perm_invalidator_t));
    if (invalidator == NULL) {
        return NULL;
    }

    invalidator->conf = conf;
    invalidator->fetch = fetch;
    invalidator->zone = conf->zone.zone;
    invalidator->stats = perm_stats_cell(invalidator->zone->stats, ngx_worker);
    invalidator->log = cycle->log;

    invalidator->revalidate = perm_revalidate_create(conf, fetch, cycle);

    if (invalidator->revalidate == NULL
        || perm_invalidator_names(invalidator, cycle->pool) != NGX_OK)
    {
        return NULL;
    }

    invalidator->timer.handler = perm_invalidator_timer;
    invalidator->timer.data = invalidator;
    invalidator->timer.log = cycle->log;
    invalidator->timer.cancelable = 1;

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
