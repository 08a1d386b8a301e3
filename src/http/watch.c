
#include "http/watch.h"

#include "core/grant_key.h"
#include "http/catchup.h"
#include "http/fetch.h"
#include "redis/tracking.h"


/* a new holder of the lease gets that long before the loss is made known */

#define PERM_WATCH_PATIENCE  1000    /* ms */

/* in a gap nothing is trusted for longer than that, and when it lasts */

#define PERM_WATCH_GAP       50      /* ms */
#define PERM_WATCH_GAP_LONG  1000    /* ms */
#define PERM_WATCH_LONG      10000   /* ms */

/* every worker has learned by then that the masters are others now */

#define PERM_WATCH_MOVE      3000    /* ms */

#define PERM_WATCH_PREFIXES  2


struct perm_watch_s {
    perm_main_conf_t       *pmcf;
    perm_zone_t            *zone;
    ngx_log_t              *log;
    ngx_event_t             timer;

    perm_redis_tracking_t  *tracking;   /* NULL: not the holder */
    perm_catchup_t         *catchup;
    ngx_msec_t              since;      /* ms, monotonic: in a gap since */
    ngx_msec_t              distrusted; /* ms, monotonic: in the gap, last */
    ngx_msec_t              move;       /* ms, monotonic: the last one's */
    unsigned                active:1;
    unsigned                moving:1;
    unsigned                refused:1;  /* cache_valid is what counts */

    ngx_str_t               prefixes[PERM_WATCH_PREFIXES];
    ngx_str_t               meta;       /* the key */
};


static void perm_watch_changed(void *data, ngx_str_t *key);
static void perm_watch_active(void *data, ngx_uint_t active);
static void perm_watch_lag(void *data, ngx_msec_t msec);
static void perm_watch_moved(void *data);
static void perm_watch_witness(void *data);
static void perm_watch_refused(void *data);
static void perm_watch_hung(void *data);


static perm_redis_tracking_handlers_t  perm_watch_handlers = {
    perm_watch_changed,
    perm_watch_active,
    perm_watch_lag,
    perm_watch_moved,
    perm_watch_witness,
    perm_watch_refused,
    perm_watch_hung
};


/*
 * What was told till now are changes, what is told from now on may be a table
 * that is being loaded.  One that is empty already may be half loaded.
 */

static void
perm_watch_excuse(perm_watch_t *watch)
{
    if (watch->zone->health.table != PERM_TABLE_NOT_LOADED) {
        perm_cache_excuse(watch->zone->cache);
    }
}


/* the table may be another now, or none */

static void
perm_watch_doubt(perm_watch_t *watch, ngx_uint_t doubt)
{
    perm_cache_distrust(watch->zone->cache);
    perm_watch_excuse(watch);
    perm_health_table_doubt(&watch->zone->health, doubt);
    perm_fetch_table(watch->pmcf->fetch);
    perm_catchup_start(watch->catchup);
}


/* is what is fetched now trusted until it is told of, or ends? */

static void
perm_watch_trust(perm_watch_t *watch)
{
    perm_catchup_gap(watch->catchup,
                     watch->moving || !(watch->active || watch->refused));
}


static void
perm_watch_changed(void *data, ngx_str_t *key)
{
    perm_watch_t *watch = data;

    perm_str_t  name, prefix, gateway, app;

    if (key == NULL
        || (key->len == watch->meta.len
            && ngx_memcmp(key->data, watch->meta.data, key->len) == 0))
    {
        /* another worker may have found it empty before this one was told */

        if (watch->zone->health.table_doubt == PERM_DOUBT_FOUND) {
            perm_cache_excuse(watch->zone->cache);
        }

        perm_watch_doubt(watch, key ? PERM_DOUBT_TOLD : PERM_DOUBT_FLUSHED);

    } else {
        name.len = key->len;
        name.data = (const char *) key->data;

        prefix.len = watch->pmcf->redis.prefix.len;
        prefix.data = (const char *) watch->pmcf->redis.prefix.data;

        if (!perm_grant_key_parse(name, PERM_KEY_GRANTS, prefix, &gateway,
                                  &app))
        {
            return;
        }

        perm_cache_invalidate(watch->zone->cache, gateway, app);
        perm_catchup_start(watch->catchup);
    }

    (void) ngx_atomic_fetch_add(&watch->pmcf->stats->invalidations, 1);
}


/* the rhythm of a gap */

static void
perm_watch_hurry(perm_watch_t *watch)
{
    watch->distrusted = ngx_current_msec;

    /* deleted first: nginx does not bring a timer forward by so little */

    if (watch->timer.timer_set) {
        ngx_del_timer(&watch->timer);
    }

    ngx_add_timer(&watch->timer, PERM_WATCH_GAP);
}


/*
 * Either way changes may have been missed.  What is fetched from now on is of
 * the new epoch, so that distrusting comes before anybody is told.
 */

static void
perm_watch_active(void *data, ngx_uint_t active)
{
    perm_watch_t *watch = data;

    watch->active = active ? 1 : 0;
    watch->refused = 0;
    watch->since = ngx_current_msec;

    perm_cache_distrust(watch->zone->cache);
    perm_watch_trust(watch);

    if (active) {
        perm_watch_doubt(watch, PERM_DOUBT_TOLD);

    } else {

        /* it may be emptied untold, also where a doubt is open still */

        perm_watch_excuse(watch);
    }

    if (ngx_exiting) {

        /* a hand-over to a younger worker, not a loss */

        perm_lease_release(&watch->zone->tracking);
        return;
    }

    perm_health_tracking(&watch->zone->health, active, watch->log);

    if (!active) {
        perm_watch_hurry(watch);
    }
}


static void
perm_watch_lag(void *data, ngx_msec_t msec)
{
    perm_watch_t *watch = data;

    perm_health_t      *health;
    ngx_atomic_uint_t   worst;

    health = &watch->zone->health;
    health->lag = msec;

    do {
        worst = health->lag_worst;

    } while (msec > worst
             && !ngx_atomic_cmp_set(&health->lag_worst, worst, msec));
}


static void
perm_watch_moved(void *data)
{
    perm_watch_t *watch = data;

    watch->moving = 1;
    watch->move = ngx_current_msec;

    perm_cache_distrust(watch->zone->cache);
    perm_watch_trust(watch);
    perm_watch_hurry(watch);
}


/*
 * What was looked up there is not trusted, so that nothing is to be distrusted
 * for its sake, but fit as stale.
 */

static void
perm_watch_witness(void *data)
{
    perm_watch_t *watch = data;

    perm_catchup_start(watch->catchup);
}


static void
perm_watch_refused(void *data)
{
    perm_watch_t *watch = data;

    watch->refused = 1;
    perm_watch_trust(watch);
}


static void
perm_watch_hung(void *data)
{
    perm_watch_t *watch = data;

    (void) ngx_atomic_fetch_add(&watch->zone->health.hung, 1);
}


/* changes between the last holder's end and now were not reported */

static void
perm_watch_begin(perm_watch_t *watch)
{
    perm_cache_distrust(watch->zone->cache);
    perm_watch_excuse(watch);

    watch->active = 0;
    watch->moving = 0;
    watch->refused = 0;
    watch->since = ngx_current_msec;
    watch->distrusted = ngx_current_msec;
    watch->tracking = perm_redis_tracking_start(&watch->pmcf->redis,
                                                watch->log, watch->prefixes,
                                                PERM_WATCH_PREFIXES,
                                                &perm_watch_handlers, watch);
    if (watch->tracking == NULL) {
        perm_lease_release(&watch->zone->tracking);
        return;
    }

    /* with what the last holder had begun */

    perm_watch_trust(watch);
    perm_catchup_start(watch->catchup);
}


static void
perm_watch_end(perm_watch_t *watch)
{
    if (watch->tracking == NULL) {
        return;
    }

    perm_catchup_stop(watch->catchup);

    perm_redis_tracking_stop(watch->tracking);
    watch->tracking = NULL;
    watch->active = 0;

    perm_cache_distrust(watch->zone->cache);
    perm_lease_release(&watch->zone->tracking);
}


/*
 * Changes are not reported, but will be: what is fetched meanwhile would be
 * trusted for "app_permission_cache_valid" without a reason.  Returns when to
 * come again, in ms.
 */

static ngx_msec_t
perm_watch_gap(perm_watch_t *watch, ngx_msec_t delay)
{
    if (ngx_current_msec - watch->distrusted >= delay) {
        perm_cache_distrust(watch->zone->cache);
        watch->distrusted = ngx_current_msec;
    }

    return ngx_min(delay, PERM_LEASE_RENEW);
}


/* the holder's turn; returns when the next one is, in ms */

static ngx_msec_t
perm_watch_turn(perm_watch_t *watch)
{
    ngx_msec_t  lasts;

    if (watch->moving && ngx_current_msec - watch->move >= PERM_WATCH_MOVE) {
        watch->moving = 0;
        perm_watch_trust(watch);
    }

    if (watch->active) {
        return watch->moving ? perm_watch_gap(watch, PERM_WATCH_GAP)
                             : PERM_LEASE_RENEW;
    }

    lasts = ngx_current_msec - watch->since;

    if (lasts >= PERM_WATCH_PATIENCE) {

        /* news only where the last holder left "active" behind */

        perm_health_tracking(&watch->zone->health, 0, watch->log);
    }

    if (watch->refused) {
        return PERM_LEASE_RENEW;
    }

    return perm_watch_gap(watch, lasts < PERM_WATCH_LONG
                                 ? PERM_WATCH_GAP : PERM_WATCH_GAP_LONG);
}


static void
perm_watch_timer(ngx_event_t *ev)
{
    perm_watch_t *watch = ev->data;

    ngx_msec_t  delay;

    if (ngx_exiting) {
        perm_watch_end(watch);
        return;
    }

    delay = PERM_LEASE_RENEW;

    if (!perm_lease_hold(&watch->zone->tracking, ngx_current_msec)) {
        perm_watch_end(watch);

    } else if (watch->tracking == NULL) {
        perm_watch_begin(watch);
        delay = PERM_WATCH_GAP;

    } else {
        delay = perm_watch_turn(watch);
    }

    ngx_add_timer(&watch->timer, delay);
}


static ngx_int_t
perm_watch_names(perm_watch_t *watch, ngx_pool_t *pool)
{
    u_char     *p;
    ngx_str_t  *prefix;

    prefix = &watch->pmcf->redis.prefix;

    p = ngx_pnalloc(pool, 2 * prefix->len + sizeof("grants:meta") - 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    watch->prefixes[0].data = p;
    p = ngx_sprintf(p, "%Vgrants:", prefix);
    watch->prefixes[0].len = p - watch->prefixes[0].data;

    watch->meta.data = p;
    p = ngx_sprintf(p, "%Vmeta", prefix);
    watch->meta.len = p - watch->meta.data;

    watch->prefixes[1] = watch->meta;

    return NGX_OK;
}


perm_watch_t *
perm_watch_create(perm_main_conf_t *pmcf, ngx_cycle_t *cycle)
{
    perm_watch_t  *watch;

    if (pmcf->redis.url == NULL
        || (ngx_process != NGX_PROCESS_WORKER
            && ngx_process != NGX_PROCESS_SINGLE))
    {
        return NULL;
    }

    watch = ngx_pcalloc(cycle->pool, sizeof(perm_watch_t));
    if (watch == NULL) {
        return NULL;
    }

    watch->pmcf = pmcf;
    watch->zone = pmcf->zone.zone;
    watch->log = cycle->log;

    watch->catchup = perm_catchup_create(pmcf, cycle);

    if (watch->catchup == NULL
        || perm_watch_names(watch, cycle->pool) != NGX_OK)
    {
        return NULL;
    }

    watch->timer.handler = perm_watch_timer;
    watch->timer.data = watch;
    watch->timer.log = cycle->log;
    watch->timer.cancelable = 1;

    ngx_add_timer(&watch->timer, 1);

    return watch;
}


void
perm_watch_destroy(perm_watch_t *watch)
{
    if (watch->timer.timer_set) {
        ngx_del_timer(&watch->timer);
    }

    perm_watch_end(watch);
}
