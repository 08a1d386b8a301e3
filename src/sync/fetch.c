
#include "sync/fetch_priv.h"

#include "sync/log_once.h"


static void perm_fetch_link(void *data, ngx_uint_t up);
static void perm_fetch_timing(void *data, uint64_t usec);
static perm_pending_t *perm_fetch_join(perm_fetch_t *fetch, perm_tuple_t *tuple,
    uint64_t hash);
static perm_pending_t *perm_fetch_start(perm_fetch_t *fetch,
    perm_tuple_t *tuple, uint64_t hash, ngx_uint_t flags);
static ngx_int_t perm_fetch_place(perm_fetch_t *fetch, ngx_uint_t known,
    ngx_msec_t max);
static void perm_fetch_delayed(ngx_event_t *ev);
static ngx_int_t perm_fetch_send(perm_pending_t *pending);
static void perm_fetch_reply(void *data, redisReply *reply);
static ngx_int_t perm_fetch_again(perm_pending_t *pending);
static void perm_fetch_expired(ngx_event_t *ev);
static void perm_fetch_store(perm_pending_t *pending);


perm_fetch_t *
perm_fetch_create(perm_sync_conf_t *conf, ngx_cycle_t *cycle)
{
    perm_str_t     prefix;
    perm_fetch_t  *fetch;

    fetch = ngx_pcalloc(cycle->pool, sizeof(perm_fetch_t));
    if (fetch == NULL) {
        return NULL;
    }

    fetch->conf = conf;
    fetch->zone = conf->zone.zone;
    fetch->stats = perm_stats_cell(fetch->zone->stats, ngx_worker);
    fetch->log = cycle->log;
    fetch->worker = ngx_worker;
    fetch->hung = fetch->zone->health.hung;

    perm_pending_init(&fetch->pendings);
    ngx_queue_init(&fetch->unchecked);

    fetch->meta.handler = perm_fetch_table_handler;
    fetch->meta.data = fetch;
    fetch->meta.log = cycle->log;

    prefix.data = (char *) conf->redis.prefix.data;
    prefix.len = conf->redis.prefix.len;
    fetch->meta_len = perm_grant_key_meta((char *) fetch->meta_key, prefix);

    fetch->stat.commands = &fetch->stats->redis.commands;
    fetch->stat.errors = &fetch->stats->redis.errors;

    fetch->redis = perm_redis_client_create(&conf->redis, cycle->log,
                                            &fetch->stat, perm_fetch_link,
                                            fetch);
    if (fetch->redis == NULL) {
        return NULL;
    }

    perm_redis_client_set_timing(fetch->redis, perm_fetch_timing);

    return fetch;
}


void
perm_fetch_destroy(perm_fetch_t *fetch)
{
    if (fetch->meta.posted) {
        ngx_delete_posted_event(&fetch->meta);
    }

    perm_redis_client_destroy(fetch->redis);
}


perm_redis_client_t *
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

    perm_stats_time(fetch->stats, PERM_HISTOGRAM_REDIS, usec);
}


ngx_int_t
perm_fetch(perm_fetch_t *fetch, perm_tuple_t *tuple, uint64_t hash,
    ngx_uint_t flags, perm_fetch_pt handler, void *data,
    perm_fetch_waiter_t **waiter)
{
    perm_pending_t  *pending;

    if (fetch->hung != fetch->zone->health.hung) {
        fetch->hung = fetch->zone->health.hung;
        perm_redis_client_drop(fetch->redis);
    }

    if (perm_redis_client_state(fetch->redis) == PERM_REDIS_DOWN) {
        return NGX_DECLINED;
    }

    pending = perm_fetch_join(fetch, tuple, hash);

    if (pending == NULL) {
        pending = perm_fetch_start(fetch, tuple, hash, flags);

        if (pending == NULL) {
            return NGX_DECLINED;
        }
    }

    if (!(flags & PERM_FETCH_PEEK)) {
        pending->store = 1;
    }

    if (handler == NULL) {
        return NGX_OK;
    }

    *waiter = perm_pending_wait(pending, handler, data);

    return *waiter ? NGX_AGAIN : NGX_DECLINED;
}


ngx_uint_t
perm_fetch_late(perm_fetch_t *fetch)
{
    return perm_pending_waiting(&fetch->pendings) >= PERM_FETCH_LATE;
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

static perm_pending_t *
perm_fetch_join(perm_fetch_t *fetch, perm_tuple_t *tuple, uint64_t hash)
{
    perm_pending_t     *pending;
    perm_generation_t   now;

    pending = perm_pending_find(&fetch->pendings, tuple, hash);

    if (pending == NULL || pending->delayed) {
        return pending;
    }

    now = perm_cache_generation(fetch->zone->cache, tuple->gateway, tuple->app);

    if (now.epoch != pending->generation.epoch
        || !perm_generation_unchanged(&pending->generation, &now))
    {
        return NULL;
    }

    return pending;
}


static perm_pending_t *
perm_fetch_start(perm_fetch_t *fetch, perm_tuple_t *tuple, uint64_t hash,
    ngx_uint_t flags)
{
    ngx_int_t        wait;
    ngx_uint_t       known;
    perm_pending_t  *pending;

    known = flags & PERM_FETCH_KNOWN;
    wait = perm_fetch_place(fetch, known, fetch->conf->redis.timeout);

    if (wait == NGX_ERROR) {
        return NULL;
    }

    pending = perm_pending_create(&fetch->pendings, tuple, hash);
    if (pending == NULL) {
        return NULL;
    }

    pending->fetch = fetch;
    pending->known = known;

    if (wait) {
        pending->delayed = 1;
        pending->timer.handler = perm_fetch_delayed;
        pending->timer.data = pending;
        pending->timer.log = fetch->log;
        ngx_add_timer(&pending->timer, (ngx_msec_t) wait);
        return pending;
    }

    if (perm_fetch_send(pending) != NGX_OK) {
        perm_pending_free(&fetch->pendings, pending);
        return NULL;
    }

    return pending;
}


/* within the limit: see perm_rate_limit_take() */

static ngx_int_t
perm_fetch_place(perm_fetch_t *fetch, ngx_uint_t known, ngx_msec_t max)
{
    ngx_int_t  wait;

    if (known) {
        return 0;
    }

    wait = perm_rate_limit_take(&fetch->zone->limit, &fetch->conf->limit,
                                ngx_current_msec, max);

    if (wait != 0) {
        (void) ngx_atomic_fetch_add(&fetch->stats->limited, 1);
    }

    return wait;
}


static void
perm_fetch_delayed(ngx_event_t *ev)
{
    perm_pending_t *pending = ev->data;

    pending->delayed = 0;

    if (perm_fetch_send(pending) != NGX_OK) {
        perm_fetch_failed(pending, NULL, NGX_ERROR);
        pending->answered = 1;
        pending->checked = 1;
        perm_fetch_settle(pending);
    }
}


static ngx_int_t
perm_fetch_send(perm_pending_t *pending)
{
    u_char         buf[PERM_KEY_MAX];
    ngx_str_t      argv[4];
    perm_str_t     prefix;
    perm_tuple_t  *tuple;
    perm_fetch_t  *fetch;

    fetch = pending->fetch;
    tuple = &pending->tuple;

    prefix.data = (char *) fetch->conf->redis.prefix.data;
    prefix.len = fetch->conf->redis.prefix.len;

    ngx_str_set(&argv[0], "HMGET");
    argv[1].data = buf;
    argv[1].len = perm_grant_key((char *) buf, PERM_KEY_GRANTS, prefix,
                                 tuple->gateway, tuple->app);
    ngx_str_set(&argv[2], PERM_GATEWAY_FIELD);
    argv[3].data = (u_char *) tuple->resource.data;
    argv[3].len = tuple->resource.len;

    pending->generation = perm_cache_generation(fetch->zone->cache,
                                                tuple->gateway, tuple->app);

    /* before the link posts its write, so that one write takes both */

    if (!fetch->meta.posted) {
        ngx_post_event(&fetch->meta, &ngx_posted_events);
    }

    if (perm_redis_client_send(fetch->redis, &argv[1], 4, argv, perm_fetch_reply,
                               pending)
        == NULL)
    {
        return NGX_ERROR;
    }

    pending->sends++;

    perm_pending_sent(&fetch->pendings, pending);
    ngx_queue_insert_tail(&fetch->unchecked, &pending->batch);

    return NGX_OK;
}


static void
perm_fetch_reply(void *data, redisReply *reply)
{
    perm_pending_t *pending = data;

    ngx_int_t      rc;
    perm_fetch_t  *fetch;

    fetch = pending->fetch;
    rc = NGX_ERROR;

    if (reply) {
        rc = perm_grants_reply_parse(reply, &pending->reply.grants);
        pending->generation.untracked =
            !perm_redis_client_tracked(fetch->redis);

        if (perm_redis_reply_error(reply, "WRONGTYPE")) {
            perm_log_once_wrong_type(fetch->conf, &pending->tuple, fetch->log);

        } else {
            perm_grants_reply_log(&fetch->answers, reply, rc, "HMGET",
                                  fetch->log);
        }

        if (rc == NGX_ERROR) {
            perm_redis_client_drop(fetch->redis);
        }
    }

    pending->answered = 1;

    if (rc != NGX_OK) {
        perm_fetch_failed(pending, reply, rc);
        pending->checked = 1;
    }

    perm_fetch_settle(pending);
}


void
perm_fetch_failed(perm_pending_t *pending, redisReply *reply, ngx_int_t rc)
{
    perm_fetch_reply_t  *failed;

    failed = &pending->reply;
    failed->result = PERM_FETCH_IMPOSSIBLE;

    if (reply == NULL) {
        ngx_memcpy(failed->error, "no answer in time",
                   sizeof("no answer in time"));

    } else if (rc == NGX_ERROR) {
        ngx_memcpy(failed->error, "an answer of a wrong type",
                   sizeof("an answer of a wrong type"));

    } else {
        ngx_cpystrn((u_char *) failed->error, (u_char *) reply->str,
                    PERM_FETCH_ERROR);
    }
}


void
perm_fetch_settle(perm_pending_t *pending)
{
    if (!pending->answered || !pending->checked) {
        return;
    }

    if (pending->again && perm_fetch_again(pending) == NGX_OK) {
        return;
    }

    if (pending->reply.result == PERM_FETCHED && pending->store) {
        perm_fetch_store(pending);
    }

    /* who asks from now on does so anew */

    ngx_queue_remove(&pending->link);
    ngx_queue_init(&pending->link);

    perm_pending_tell(pending);
    perm_pending_free(&pending->fetch->pendings, pending);
}


/* whoever waits does so for the time of one lookup */

static ngx_int_t
perm_fetch_again(perm_pending_t *pending)
{
    ngx_msec_int_t  left;

    pending->again = 0;

    if (pending->reply.result != PERM_FETCHED) {
        return NGX_DECLINED;
    }

    if (pending->sends == 1) {
        pending->due = (ngx_msec_t) pending->fetched
                      + pending->fetch->conf->redis.timeout;
    }

    left = (ngx_msec_int_t) (pending->due - ngx_current_msec);

    pending->answered = 0;
    pending->checked = 0;

    if (left <= 0
        || perm_fetch_place(pending->fetch, pending->known, 0) != 0
        || perm_fetch_send(pending) != NGX_OK)
    {
        perm_fetch_failed(pending, NULL, NGX_ERROR);
        return NGX_DECLINED;
    }

    if (!pending->timer.timer_set) {
        pending->timer.handler = perm_fetch_expired;
        pending->timer.data = pending;
        pending->timer.log = pending->fetch->log;
        ngx_add_timer(&pending->timer, (ngx_msec_t) left);
    }

    return NGX_OK;
}


/* the lookup goes on for the cache */

static void
perm_fetch_expired(ngx_event_t *ev)
{
    perm_pending_t *pending = ev->data;

    perm_fetch_result_t  result;

    ngx_queue_remove(&pending->link);
    ngx_queue_init(&pending->link);

    result = pending->reply.result;

    perm_fetch_failed(pending, NULL, NGX_ERROR);
    perm_pending_tell(pending);

    pending->reply.result = result;
}


static void
perm_fetch_store(perm_pending_t *pending)
{
    ngx_uint_t      live;
    perm_fetch_t   *fetch;

    fetch = pending->fetch;

    perm_log_once_grants(fetch->conf, fetch->stats, &pending->tuple,
                         &pending->reply.grants, fetch->log);

    live = perm_decision_allows(pending->reply.grants, ngx_time());

    perm_cache_store(fetch->zone->cache, &pending->tuple, pending->hash,
                     pending->reply.grants, live, pending->fetched,
                     pending->generation);
}
