
#include "http/fetch_priv.h"

#include "http/complaint.h"


static void perm_fetch_link(void *data, ngx_uint_t up);
static void perm_fetch_timing(void *data, uint64_t usec);
static perm_lookup_t *perm_fetch_join(perm_fetch_t *fetch, perm_call_t *call,
    uint64_t hash);
static perm_lookup_t *perm_fetch_start(perm_fetch_t *fetch,
    perm_call_t *call, uint64_t hash, ngx_uint_t known);
static ngx_int_t perm_fetch_place(perm_fetch_t *fetch, ngx_uint_t known,
    ngx_msec_t max);
static void perm_fetch_delayed(ngx_event_t *ev);
static ngx_int_t perm_fetch_send(perm_lookup_t *lookup);
static void perm_fetch_reply(void *data, redisReply *reply);
static ngx_int_t perm_fetch_again(perm_lookup_t *lookup);
static void perm_fetch_expired(ngx_event_t *ev);
static void perm_fetch_store(perm_lookup_t *lookup);


perm_fetch_t *
perm_fetch_create(perm_main_conf_t *pmcf, ngx_cycle_t *cycle)
{
    perm_str_t     prefix;
    perm_fetch_t  *fetch;

    fetch = ngx_pcalloc(cycle->pool, sizeof(perm_fetch_t));
    if (fetch == NULL) {
        return NULL;
    }

    fetch->pmcf = pmcf;
    fetch->zone = pmcf->zone.zone;
    fetch->log = cycle->log;
    fetch->worker = ngx_worker;
    fetch->hung = fetch->zone->health.hung;

    perm_lookups_init(&fetch->lookups);
    ngx_queue_init(&fetch->unchecked);

    fetch->meta.handler = perm_fetch_table_handler;
    fetch->meta.data = fetch;
    fetch->meta.log = cycle->log;

    prefix.data = (char *) pmcf->redis.prefix.data;
    prefix.len = pmcf->redis.prefix.len;
    fetch->meta_len = perm_meta_key((char *) fetch->meta_key, prefix);

    fetch->redis = perm_redis_create(&pmcf->redis, cycle->log,
                                     &pmcf->stats->redis, perm_fetch_link,
                                     fetch);
    if (fetch->redis == NULL) {
        return NULL;
    }

    perm_redis_set_timing(fetch->redis, perm_fetch_timing);

    return fetch;
}


void
perm_fetch_destroy(perm_fetch_t *fetch)
{
    if (fetch->meta.posted) {
        ngx_delete_posted_event(&fetch->meta);
    }

    perm_redis_destroy(fetch->redis);
}


perm_redis_t *
perm_fetch_redis(perm_fetch_t *fetch)
{
    return fetch->redis;
}


static void
perm_fetch_link(void *data, ngx_uint_t up)
{
    perm_fetch_t *fetch = data;

    perm_health_redis(&fetch->zone->health, fetch->worker, up, fetch->log);
}


static void
perm_fetch_timing(void *data, uint64_t usec)
{
    perm_fetch_t *fetch = data;

    perm_stats_time(fetch->pmcf->stats, PERM_HISTOGRAM_REDIS, usec);
}


ngx_int_t
perm_fetch(perm_fetch_t *fetch, perm_call_t *call, uint64_t hash,
    ngx_uint_t known, perm_fetch_pt handler, void *data,
    perm_fetch_waiter_t **waiter)
{
    perm_lookup_t  *lookup;

    if (fetch->hung != fetch->zone->health.hung) {
        fetch->hung = fetch->zone->health.hung;
        perm_redis_drop(fetch->redis);
    }

    if (perm_redis_state(fetch->redis) == PERM_REDIS_DOWN) {
        return NGX_DECLINED;
    }

    lookup = perm_fetch_join(fetch, call, hash);

    if (lookup == NULL) {
        lookup = perm_fetch_start(fetch, call, hash, known);

        if (lookup == NULL) {
            return NGX_DECLINED;
        }
    }

    if (handler == NULL) {
        return NGX_OK;
    }

    *waiter = perm_lookup_wait(lookup, handler, data);

    return *waiter ? NGX_AGAIN : NGX_DECLINED;
}


ngx_uint_t
perm_fetch_late(perm_fetch_t *fetch)
{
    return perm_lookups_waiting(&fetch->lookups) >= PERM_FETCH_LATE;
}


void
perm_fetch_cancel(perm_fetch_waiter_t *waiter)
{
    ngx_queue_remove(&waiter->link);
    ngx_free(waiter);
}


/*
 * A lookup that was sent before the last change of the key may have an answer
 * from before it: whoever comes after the change must not share that.
 */

static perm_lookup_t *
perm_fetch_join(perm_fetch_t *fetch, perm_call_t *call, uint64_t hash)
{
    perm_lookup_t      *lookup;
    perm_generation_t   now;

    lookup = perm_lookup_find(&fetch->lookups, call, hash);

    if (lookup == NULL || lookup->delayed) {
        return lookup;
    }

    now = perm_cache_generation(fetch->zone->cache, call->gateway, call->app);

    if (now.epoch != lookup->generation.epoch
        || !perm_generation_unchanged(&lookup->generation, &now))
    {
        return NULL;
    }

    return lookup;
}


static perm_lookup_t *
perm_fetch_start(perm_fetch_t *fetch, perm_call_t *call, uint64_t hash,
    ngx_uint_t known)
{
    ngx_int_t       wait;
    perm_lookup_t  *lookup;

    wait = perm_fetch_place(fetch, known, fetch->pmcf->redis.timeout);

    if (wait == NGX_ERROR) {
        return NULL;
    }

    lookup = perm_lookup_create(&fetch->lookups, call, hash);
    if (lookup == NULL) {
        return NULL;
    }

    lookup->fetch = fetch;
    lookup->known = known ? 1 : 0;

    if (wait) {
        lookup->delayed = 1;
        lookup->timer.handler = perm_fetch_delayed;
        lookup->timer.data = lookup;
        lookup->timer.log = fetch->log;
        ngx_add_timer(&lookup->timer, (ngx_msec_t) wait);
        return lookup;
    }

    if (perm_fetch_send(lookup) != NGX_OK) {
        perm_lookup_free(&fetch->lookups, lookup);
        return NULL;
    }

    return lookup;
}


/* within the limit: see perm_limit_take() */

static ngx_int_t
perm_fetch_place(perm_fetch_t *fetch, ngx_uint_t known, ngx_msec_t max)
{
    ngx_int_t  wait;

    if (known) {
        return 0;
    }

    wait = perm_limit_take(&fetch->zone->limit, &fetch->pmcf->limit,
                           ngx_current_msec, max);

    if (wait != 0) {
        (void) ngx_atomic_fetch_add(&fetch->pmcf->stats->limited, 1);
    }

    return wait;
}


static void
perm_fetch_delayed(ngx_event_t *ev)
{
    perm_lookup_t *lookup = ev->data;

    lookup->delayed = 0;

    if (perm_fetch_send(lookup) != NGX_OK) {
        lookup->result = PERM_FETCH_IMPOSSIBLE;
        lookup->answered = 1;
        lookup->checked = 1;
        perm_fetch_settle(lookup);
    }
}


static ngx_int_t
perm_fetch_send(perm_lookup_t *lookup)
{
    u_char         buf[PERM_KEY_MAX];
    ngx_str_t      argv[4];
    perm_str_t     prefix;
    perm_call_t   *call;
    perm_fetch_t  *fetch;

    fetch = lookup->fetch;
    call = &lookup->call;

    prefix.data = (char *) fetch->pmcf->redis.prefix.data;
    prefix.len = fetch->pmcf->redis.prefix.len;

    ngx_str_set(&argv[0], "HMGET");
    argv[1].data = buf;
    argv[1].len = perm_grant_key((char *) buf, PERM_KEY_GRANTS, prefix,
                                 call->gateway, call->app);
    ngx_str_set(&argv[2], PERM_GATEWAY_FIELD);
    argv[3].data = (u_char *) call->resource.data;
    argv[3].len = call->resource.len;

    lookup->generation = perm_cache_generation(fetch->zone->cache,
                                               call->gateway, call->app);

    /* before the link posts its write, so that one write takes both */

    if (!fetch->meta.posted) {
        ngx_post_event(&fetch->meta, &ngx_posted_events);
    }

    if (perm_redis_send(fetch->redis, &argv[1], 4, argv, perm_fetch_reply,
                        lookup)
        == NULL)
    {
        return NGX_ERROR;
    }

    lookup->sends++;

    perm_lookup_sent(&fetch->lookups, lookup);
    ngx_queue_insert_tail(&fetch->unchecked, &lookup->batch);

    return NGX_OK;
}


static void
perm_fetch_reply(void *data, redisReply *reply)
{
    perm_lookup_t *lookup = data;

    ngx_int_t      rc;
    perm_fetch_t  *fetch;

    fetch = lookup->fetch;
    rc = NGX_ERROR;

    if (reply) {
        rc = perm_answer_grants(reply, &lookup->grants);
        lookup->generation.untold = !perm_redis_told(fetch->redis);

        if (perm_redis_reply_error(reply, "WRONGTYPE")) {
            perm_complaint_wrong_type(fetch->pmcf, &lookup->call, fetch->log);

        } else {
            perm_answer_note(&fetch->answers, reply, rc, "HMGET", fetch->log);
        }

        if (rc == NGX_ERROR) {
            perm_redis_drop(fetch->redis);
        }
    }

    lookup->answered = 1;

    if (rc != NGX_OK) {
        lookup->result = PERM_FETCH_IMPOSSIBLE;
        lookup->checked = 1;
    }

    perm_fetch_settle(lookup);
}


void
perm_fetch_settle(perm_lookup_t *lookup)
{
    if (!lookup->answered || !lookup->checked) {
        return;
    }

    if (lookup->again && perm_fetch_again(lookup) == NGX_OK) {
        return;
    }

    if (lookup->result == PERM_FETCHED) {
        perm_fetch_store(lookup);
    }

    /* who asks from now on does so anew */

    ngx_queue_remove(&lookup->link);
    ngx_queue_init(&lookup->link);

    perm_lookup_tell(lookup);
    perm_lookup_free(&lookup->fetch->lookups, lookup);
}


/* whoever waits does so for the time of one lookup */

static ngx_int_t
perm_fetch_again(perm_lookup_t *lookup)
{
    ngx_msec_int_t  left;

    lookup->again = 0;

    if (lookup->result != PERM_FETCHED) {
        return NGX_DECLINED;
    }

    if (lookup->sends == 1) {
        lookup->due = (ngx_msec_t) lookup->fetched
                      + lookup->fetch->pmcf->redis.timeout;
    }

    left = (ngx_msec_int_t) (lookup->due - ngx_current_msec);

    lookup->answered = 0;
    lookup->checked = 0;

    if (left <= 0
        || perm_fetch_place(lookup->fetch, lookup->known, 0) != 0
        || perm_fetch_send(lookup) != NGX_OK)
    {
        lookup->result = PERM_FETCH_IMPOSSIBLE;
        return NGX_DECLINED;
    }

    if (!lookup->timer.timer_set) {
        lookup->timer.handler = perm_fetch_expired;
        lookup->timer.data = lookup;
        lookup->timer.log = lookup->fetch->log;
        ngx_add_timer(&lookup->timer, (ngx_msec_t) left);
    }

    return NGX_OK;
}


/* the lookup goes on for the cache */

static void
perm_fetch_expired(ngx_event_t *ev)
{
    perm_lookup_t *lookup = ev->data;

    perm_fetch_result_t  result;

    ngx_queue_remove(&lookup->link);
    ngx_queue_init(&lookup->link);

    result = lookup->result;

    lookup->result = PERM_FETCH_IMPOSSIBLE;
    perm_lookup_tell(lookup);

    lookup->result = result;
}


static void
perm_fetch_store(perm_lookup_t *lookup)
{
    ngx_uint_t      live;
    perm_fetch_t   *fetch;

    fetch = lookup->fetch;

    perm_complaint_grants(fetch->pmcf, &lookup->call, &lookup->grants,
                          fetch->log);

    live = perm_decide(lookup->grants, ngx_time()).outcome == PERM_ALLOW;

    perm_cache_store(fetch->zone->cache, &lookup->call, lookup->hash,
                     lookup->grants, live, lookup->fetched,
                     lookup->generation);
}
