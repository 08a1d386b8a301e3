
#include "sync/fetch.h"

#include "core/grant_key.h"
#include "sync/link.h"


/*
 * Lookups of unknown keys on their way, of this worker.  Others wait for them
 * here, so that no flood queues so many at Redis that an answer is late.
 */

#define PERM_FETCH_WINDOW  1024


struct perm_fetch_s {
    perm_sync_conf_t     *conf;
    perm_zone_t          *zone;
    perm_stats_cell_t    *stats;      /* of this worker */
    perm_redis_client_t  *redis;
    perm_redis_meter_t    meter;
    ngx_log_t            *log;
    ngx_atomic_uint_t     hung;       /* of health, when last looked at */

    perm_lookup_sender_t *sender;
    perm_pending_table_t  pendings;
};


static void perm_fetch_link(void *data, ngx_uint_t up);
static void perm_fetch_timing(void *data, uint64_t usec);
static perm_pending_t *perm_fetch_join(perm_fetch_t *fetch,
    perm_tuple_t *tuple, uint64_t hash);
static ngx_int_t perm_fetch_start(perm_fetch_t *fetch, perm_tuple_t *tuple,
    uint64_t hash, ngx_uint_t flags, perm_pending_t **pending);
static ngx_int_t perm_fetch_limit(perm_fetch_t *fetch, ngx_uint_t known,
    ngx_msec_t max);
static void perm_fetch_limited(ngx_event_t *ev);
static ngx_int_t perm_fetch_turn(perm_pending_t *pending);
static void perm_fetch_over(ngx_event_t *ev);
static ngx_int_t perm_fetch_send(perm_pending_t *pending);
static void perm_fetch_reply(void *data, redisReply *reply, ngx_int_t rc);
static void perm_fetch_failed(perm_pending_t *pending, redisReply *reply,
    ngx_int_t rc);
static void perm_fetch_finish(perm_pending_t *pending);
static void perm_fetch_end(perm_pending_t *pending);
static ngx_int_t perm_fetch_again(perm_pending_t *pending);
static void perm_fetch_due(ngx_event_t *ev);
static void perm_fetch_store(perm_pending_t *pending);
static void perm_fetch_unreadable(perm_pending_t *pending, perm_str_t field,
    ngx_uint_t too_long);


perm_fetch_t *
perm_fetch_create(perm_sync_conf_t *conf, ngx_cycle_t *cycle)
{
    perm_fetch_t  *fetch;

    fetch = ngx_pcalloc(cycle->pool, sizeof(perm_fetch_t));
    if (fetch == NULL) {
        return NULL;
    }

    fetch->conf = conf;
    fetch->zone = conf->zone.zone;
    fetch->stats = perm_stats_cell(&fetch->zone->stats, ngx_worker);
    fetch->meter.commands = &fetch->stats->redis.commands;
    fetch->meter.errors = &fetch->stats->redis.errors;
    fetch->meter.timing = perm_fetch_timing;
    fetch->meter.data = fetch;
    fetch->log = cycle->log;
    fetch->hung = fetch->zone->health.hung;

    perm_pending_init(&fetch->pendings);

    fetch->redis = perm_redis_client_create(&conf->redis, cycle->log,
                                            &fetch->meter, perm_fetch_link,
                                            fetch);
    if (fetch->redis == NULL) {
        return NULL;
    }

    perm_link_watch(conf, fetch->redis);

    fetch->sender = perm_lookup_create(conf, cycle, fetch->redis);
    if (fetch->sender == NULL) {
        perm_redis_client_destroy(fetch->redis);
        return NULL;
    }

    return fetch;
}


void
perm_fetch_destroy(perm_fetch_t *fetch)
{
    perm_lookup_destroy(fetch->sender);
    perm_redis_client_destroy(fetch->redis);
}


perm_redis_client_t *
perm_fetch_redis(perm_fetch_t *fetch)
{
    return fetch->redis;
}


perm_meta_t *
perm_fetch_meta(perm_fetch_t *fetch)
{
    return perm_lookup_meta(fetch->sender);
}


static void
perm_fetch_link(void *data, ngx_uint_t up)
{
    perm_fetch_t *fetch = data;

    if (!perm_sync_conf_former(fetch->conf)) {
        perm_health_redis(&fetch->zone->health, ngx_worker, up, fetch->log);
    }
}


static void
perm_fetch_timing(void *data, uint64_t usec)
{
    perm_fetch_t *fetch = data;

    perm_stats_time(fetch->stats, PERM_HISTOGRAM_REDIS, usec);
}


ngx_int_t
perm_fetch(perm_fetch_t *fetch, perm_tuple_t *tuple, uint64_t hash,
    ngx_uint_t flags, perm_pending_waiter_t *waiter)
{
    ngx_int_t        rc;
    perm_pending_t  *pending;

    if (fetch->hung != fetch->zone->health.hung) {
        fetch->hung = fetch->zone->health.hung;
        perm_redis_client_drop(fetch->redis);
    }

    if (perm_redis_client_state(fetch->redis) == PERM_REDIS_DOWN) {
        return (perm_fetch_limit(fetch, flags & PERM_FETCH_KNOWN, 0) == 0)
               ? NGX_DECLINED : NGX_BUSY;
    }

    pending = perm_fetch_join(fetch, tuple, hash);

    if (pending == NULL || (pending->limited && (flags & PERM_FETCH_KNOWN))) {

        rc = perm_fetch_start(fetch, tuple, hash, flags, &pending);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (!(flags & PERM_FETCH_PEEK)) {
        pending->store = 1;
    }

    if (waiter) {
        perm_pending_wait(pending, waiter);
    }

    return NGX_OK;
}


void
perm_fetch_cancel(perm_pending_waiter_t *waiter)
{
    if (waiter->pending) {
        ngx_log_debug1(NGX_LOG_DEBUG_CORE, ngx_cycle->log, 0,
                       "app_permission: lookup %p has a waiter less",
                       waiter->pending);

        perm_pending_cancel(waiter);
    }
}


ngx_uint_t
perm_fetch_slow(perm_fetch_t *fetch)
{
    ngx_msec_t  waiting;

    waiting = perm_pending_waiting(&fetch->pendings);

    if (waiting < PERM_FETCH_SLOW) {
        return 0;
    }

    ngx_log_debug1(NGX_LOG_DEBUG_CORE, fetch->log, 0,
                   "app_permission: Redis is slow, no answer for %M ms",
                   waiting);

    return 1;
}


/*
 * A lookup that was sent before the last change of the key may have an answer
 * from before the change.  A request that came after the change must not share
 * that.
 */

static perm_pending_t *
perm_fetch_join(perm_fetch_t *fetch, perm_tuple_t *tuple, uint64_t hash)
{
    perm_pending_t     *pending;
    perm_generation_t   now;

    pending = perm_pending_find(&fetch->pendings, tuple, hash);
    if (pending == NULL) {
        return NULL;
    }

    if (!pending->limited) {
        now = perm_cache_generation(fetch->zone->cache, tuple->gateway,
                                    tuple->app);

        if (now.epoch != pending->lookup.generation.epoch
            || !perm_generation_unchanged(&pending->lookup.generation,
                                          &now))
        {
            return NULL;
        }
    }

    ngx_log_debug1(NGX_LOG_DEBUG_CORE, fetch->log, 0,
                   "app_permission: lookup %p joined", pending);

    return pending;
}


static ngx_int_t
perm_fetch_start(perm_fetch_t *fetch, perm_tuple_t *tuple, uint64_t hash,
    ngx_uint_t flags, perm_pending_t **started)
{
    ngx_int_t        rc, wait;
    perm_pending_t  *pending;

    wait = perm_fetch_limit(fetch, flags & PERM_FETCH_KNOWN,
                            fetch->conf->redis.timeout);

    if (wait == NGX_ERROR) {
        ngx_log_debug0(NGX_LOG_DEBUG_CORE, fetch->log, 0,
                       "app_permission: lookup beyond the limit");
        return NGX_BUSY;
    }

    pending = perm_pending_create(&fetch->pendings, tuple, hash);
    if (pending == NULL) {
        return NGX_BUSY;
    }

    pending->owner = fetch;
    pending->lookup.handler = perm_fetch_reply;
    pending->known = ((flags & PERM_FETCH_KNOWN) != 0);
    pending->due = ngx_current_msec + fetch->conf->redis.timeout;

    pending->timer.data = pending;
    pending->timer.log = fetch->log;

    ngx_log_debug8(NGX_LOG_DEBUG_CORE, fetch->log, 0,
                   "app_permission: lookup %p, app \"%*s\", gateway \"%*s\", "
                   "resource \"%*s\", limited for %i ms", pending,
                   tuple->app.len, tuple->app.data,
                   tuple->gateway.len, tuple->gateway.data,
                   tuple->resource.len, tuple->resource.data, wait);

    *started = pending;

    if (wait) {
        pending->limited = 1;
        pending->timer.handler = perm_fetch_limited;
        ngx_add_timer(&pending->timer, (ngx_msec_t) wait);
        return NGX_OK;
    }

    rc = perm_fetch_turn(pending);

    if (rc != NGX_OK) {
        perm_pending_free(&fetch->pendings, pending);
    }

    return rc;
}


/* ms to wait, or NGX_ERROR: that would be more than "max" */

static ngx_int_t
perm_fetch_limit(perm_fetch_t *fetch, ngx_uint_t known, ngx_msec_t max)
{
    ngx_int_t  wait;

    if (known) {
        return 0;
    }

    wait = perm_rate_limit_take(&fetch->zone->limit, &fetch->conf->limit,
                                ngx_current_msec, max);

    if (wait != 0) {
        perm_stats_add(&fetch->stats->limited, 1);
    }

    return wait;
}


static void
perm_fetch_limited(ngx_event_t *ev)
{
    perm_pending_t *pending = ev->data;

    /* it exceeded the rate: no failure of it lets the caller in */

    if (perm_fetch_turn(pending) != NGX_OK) {
        perm_fetch_failed(pending, NULL, NGX_BUSY);
    }
}


/* sends it, or queues it behind those on their way */

static ngx_int_t
perm_fetch_turn(perm_pending_t *pending)
{
    perm_fetch_t    *fetch;
    ngx_msec_int_t   left;

    fetch = pending->owner;

    if (pending->known
        || (fetch->pendings.unknown < PERM_FETCH_WINDOW
            && ngx_queue_empty(&fetch->pendings.queued)))
    {
        return perm_fetch_send(pending);
    }

    left = (ngx_msec_int_t) (pending->due - ngx_current_msec);

    if (left <= 0) {
        return NGX_BUSY;
    }

    if (!pending->limited) {
        pending->limited = 1;
        perm_stats_add(&fetch->stats->limited, 1);
    }

    perm_pending_queue(&fetch->pendings, pending);

    pending->timer.handler = perm_fetch_over;
    ngx_add_timer(&pending->timer, (ngx_msec_t) left);

    return NGX_OK;
}


static void
perm_fetch_over(ngx_event_t *ev)
{
    perm_fetch_failed(ev->data, NULL, NGX_BUSY);
}


/*
 * NGX_DECLINED: there is no link to the server; NGX_BUSY: memory is out, or too
 * much is on its way, which callers may have brought about.
 */

static ngx_int_t
perm_fetch_send(perm_pending_t *pending)
{
    perm_fetch_t  *fetch;

    fetch = pending->owner;

    if (perm_lookup_send(fetch->sender, &pending->lookup) != NGX_OK) {

        /* a master of a cluster may be down while others are not */

        return (perm_redis_client_state(fetch->redis) == PERM_REDIS_DOWN
                || fetch->conf->redis.url->kind == PERM_REDIS_CLUSTER)
               ? NGX_DECLINED : NGX_BUSY;
    }

    if (!pending->counted) {
        pending->due = ngx_current_msec + fetch->conf->redis.timeout;
    }

    pending->limited = 0;
    perm_pending_sent(&fetch->pendings, pending);

    ngx_log_debug1(NGX_LOG_DEBUG_CORE, fetch->log, 0,
                   "app_permission: lookup %p sent", pending);

    return NGX_OK;
}


static void
perm_fetch_reply(void *data, redisReply *reply, ngx_int_t rc)
{
    perm_pending_t *pending = data;

    ngx_log_debug2(NGX_LOG_DEBUG_CORE, ngx_cycle->log, 0,
                   "app_permission: lookup %p answered, rc:%i", pending, rc);

    pending->reply.grants = pending->lookup.grants;

    switch (rc) {

    case NGX_OK:
        break;

    case NGX_ABORT:
        pending->reply.result = PERM_FETCH_NOT_LOADED;
        break;

    case NGX_AGAIN:
        pending->again = 1;
        break;

    default:
        perm_fetch_failed(pending, reply, rc);
        return;
    }

    perm_fetch_finish(pending);
}


/*
 * A lookup whose link was lost is sent once more, all of it: what came before
 * may have been damaged, too.
 */

static void
perm_fetch_failed(perm_pending_t *pending, redisReply *reply, ngx_int_t rc)
{
    if (reply == NULL && rc == NGX_ERROR && !pending->resent) {
        pending->resent = 1;
        pending->again = 1;

    } else {
        perm_grants_reply_failed(&pending->reply, reply, rc);
    }

    perm_fetch_finish(pending);
}


static void
perm_fetch_finish(perm_pending_t *pending)
{
    ngx_queue_t           *q;
    perm_fetch_t          *fetch;
    perm_pending_table_t  *table;

    if (pending->again && perm_fetch_again(pending) == NGX_OK) {
        return;
    }

    fetch = pending->owner;
    table = &fetch->pendings;

    if (pending->reply.result == PERM_FETCHED && pending->store
        && !perm_sync_conf_replaced(fetch->conf))
    {
        perm_fetch_store(pending);
    }

    if (pending->lookup.replica && pending->reply.result == PERM_FETCHED) {

        /* the cache decides, as long as it may */

        pending->reply.result = PERM_FETCH_IMPOSSIBLE;
        (void) ngx_cpystrn((u_char *) pending->reply.error,
                           (u_char *) "a replica alone can be asked",
                           PERM_GRANTS_REPLY_ERROR);
    }

    perm_fetch_end(pending);

    while (table->unknown < PERM_FETCH_WINDOW
           && !ngx_queue_empty(&table->queued))
    {
        q = ngx_queue_head(&table->queued);
        pending = ngx_queue_data(q, perm_pending_t, sent);

        ngx_queue_remove(q);
        ngx_queue_init(q);
        ngx_del_timer(&pending->timer);

        if (perm_fetch_send(pending) != NGX_OK) {
            perm_grants_reply_failed(&pending->reply, NULL, NGX_BUSY);
            perm_fetch_end(pending);
        }
    }
}


static void
perm_fetch_end(perm_pending_t *pending)
{
    perm_fetch_t  *fetch;

    fetch = pending->owner;

    perm_pending_unshare(pending);
    perm_pending_wake(pending, &pending->reply);
    perm_pending_free(&fetch->pendings, pending);
}


/*
 * The table was emptied or loaded meanwhile, or the link was lost.  The lookup
 * is sent again in what is left of the waiters' time, and within the limit.
 */

static ngx_int_t
perm_fetch_again(perm_pending_t *pending)
{
    ngx_int_t        rc;
    perm_fetch_t    *fetch;
    ngx_msec_int_t   left;

    pending->again = 0;

    fetch = pending->owner;
    left = (ngx_msec_int_t) (pending->due - ngx_current_msec);

    rc = (left <= 0) ? NGX_ERROR
         : perm_fetch_limit(fetch, pending->known, 0) ? NGX_BUSY
         : perm_fetch_send(pending);

    if (rc != NGX_OK) {
        perm_grants_reply_failed(&pending->reply, NULL, rc);
        return NGX_DECLINED;
    }

    if (!pending->timer.timer_set) {
        pending->timer.handler = perm_fetch_due;
        ngx_add_timer(&pending->timer, (ngx_msec_t) left);
    }

    return NGX_OK;
}


/* the waiters' time is over; the lookup goes on for the cache */

static void
perm_fetch_due(ngx_event_t *ev)
{
    perm_pending_t *pending = ev->data;

    perm_grants_reply_t  reply;

    ngx_log_debug1(NGX_LOG_DEBUG_CORE, ev->log, 0,
                   "app_permission: lookup %p timed out for its waiters",
                   pending);

    perm_grants_reply_failed(&reply, NULL, NGX_ERROR);

    perm_pending_unshare(pending);
    perm_pending_wake(pending, &reply);
}


static void
perm_fetch_store(perm_pending_t *pending)
{
    int64_t         fetched;
    perm_fetch_t   *fetch;
    perm_grants_t  *grants;

    fetch = pending->owner;
    grants = &pending->reply.grants;

    if (grants->gateway == PERM_GRANT_UNREADABLE) {
        perm_fetch_unreadable(pending, perm_str(PERM_GATEWAY_FIELD),
                              pending->lookup.long_gateway);
    }

    if (grants->resource == PERM_GRANT_UNREADABLE) {
        perm_fetch_unreadable(pending, pending->tuple.resource,
                              pending->lookup.long_resource);
    }

    /* a replica's data count as of when a master was reached last */

    fetched = (int64_t) (pending->lookup.replica ? fetch->zone->link.master
                                                 : pending->lookup.sent);

    perm_table_state_stored(&fetch->zone->table, fetch->conf->source,
                            fetch->log);

    perm_cache_store(fetch->zone->cache, &pending->tuple, pending->hash,
                     *grants, perm_decision_allows(*grants, ngx_time()),
                     fetched, pending->lookup.generation);

    ngx_log_debug4(NGX_LOG_DEBUG_CORE, fetch->log, 0,
                   "app_permission: lookup %p cached, gateway:%L resource:%L "
                   "tracked:%d", pending, grants->gateway, grants->resource,
                   !pending->lookup.generation.untracked);
}


static void
perm_fetch_unreadable(perm_pending_t *pending, perm_str_t field,
    ngx_uint_t too_long)
{
    perm_fetch_t  *fetch;

    fetch = pending->owner;

    perm_stats_add(&fetch->stats->unreadable_grants, 1);
    fetch->zone->health.unreadable = ngx_time();
    perm_grants_reply_log_grant(fetch->conf, &pending->tuple, field, too_long,
                                fetch->log);
}
