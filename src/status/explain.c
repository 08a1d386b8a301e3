
#include "status/explain.h"

#include "core/grant_key.h"
#include "sync/grants_reply.h"
#include "status/explain_json.h"
#include "http/send.h"


typedef enum {
    PERM_ASK_GRANTS = 0,
    PERM_ASK_META,
    PERM_ASKED
} perm_ask_t;


typedef struct {
    ngx_http_request_t     *request;
    perm_loc_conf_t        *plcf;
    perm_main_conf_t       *pmcf;
    perm_tuple_t            tuple;

    /* NULL: not asked, or answered */
    perm_redis_command_t   *commands[PERM_ASKED];
    ngx_uint_t              waiting;
    ngx_msec_t              asked;      /* ms, monotonic */

    perm_explain_cache_t    cache;
    perm_explain_redis_t    redis;
} perm_explain_t;


static ngx_int_t perm_explain_call(ngx_http_request_t *r, perm_tuple_t *tuple);
static void perm_explain_cached(perm_explain_t *e);
static ngx_int_t perm_explain_ask(perm_explain_t *e);
static ngx_int_t perm_explain_wait(perm_explain_t *e);
static void perm_explain_grants(void *data, redisReply *reply);
static void perm_explain_meta(void *data, redisReply *reply);
static void perm_explain_error(perm_explain_t *e, redisReply *reply,
    ngx_int_t rc);
static void perm_explain_answered(perm_explain_t *e);
static ngx_int_t perm_explain_send(perm_explain_t *e);
static void perm_explain_cancel(void *data);


ngx_int_t
perm_explain(ngx_http_request_t *r)
{
    ngx_int_t        rc;
    perm_tuple_t     tuple;
    perm_explain_t  *e;

    rc = perm_explain_call(r, &tuple);

    if (rc == NGX_ERROR) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (rc == NGX_DECLINED) {
        return perm_send_error(r, NGX_HTTP_BAD_REQUEST,
                               "gateway, resource and app take one valid "
                               "name each: explain?gateway=G&resource=R"
                               "&app=A");
    }

    e = ngx_pcalloc(r->pool, sizeof(perm_explain_t));
    if (e == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    e->request = r;
    e->tuple = tuple;
    e->pmcf = ngx_http_get_module_main_conf(r, ngx_http_app_permission_module);
    e->plcf = ngx_http_get_module_loc_conf(r, ngx_http_app_permission_module);

    perm_explain_cached(e);

    if (perm_explain_ask(e) != NGX_OK) {
        return perm_explain_send(e);
    }

    return perm_explain_wait(e);
}


/* NGX_DECLINED: a name is missing or not valid */

static ngx_int_t
perm_explain_call(ngx_http_request_t *r, perm_tuple_t *tuple)
{
    if (perm_send_argument(r, "gateway", &tuple->gateway) != NGX_OK
        || perm_send_argument(r, "resource", &tuple->resource) != NGX_OK
        || perm_send_argument(r, "app", &tuple->app) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (!perm_name_gateway_valid(tuple->gateway)
        || !perm_name_resource_valid(tuple->resource)
        || !perm_name_app_valid(tuple->app))
    {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


static void
perm_explain_cached(perm_explain_t *e)
{
    int64_t                valid;
    uint64_t               hash;
    perm_zone_t           *zone;
    perm_explain_cache_t  *cache;

    zone = e->pmcf->sync.zone.zone;
    cache = &e->cache;
    hash = perm_tuple_hash(&e->tuple, zone->seed);

    cache->generation = perm_cache_generation(zone->cache, e->tuple.gateway,
                                              e->tuple.app);

    if (perm_cache_lookup(zone->cache, &e->tuple, hash, ngx_current_msec,
                          &cache->entry)
        != NGX_OK)
    {
        return;
    }

    cache->found = 1;
    cache->age = (int64_t) ngx_current_msec - cache->entry.fetched;
    cache->decision = perm_decision_make(cache->entry.grants, ngx_time());

    valid = (cache->decision.outcome == PERM_ALLOW) ? e->plcf->valid
                                                    : e->plcf->valid_denied;

    cache->fresh = cache->entry.trusted && cache->age < valid;
    cache->stale = perm_table_state_stale_ok(&zone->table, &e->tuple,
                                              &cache->entry)
                   && e->plcf->stale
                   && cache->age < valid + (int64_t) e->plcf->stale;
}


/* the same question as a lookup's */

static ngx_int_t
perm_explain_ask(perm_explain_t *e)
{
    char                  grants_key[PERM_KEY_MAX], meta_key[PERM_KEY_MAX];
    ngx_str_t             argv[4];
    perm_str_t            prefix;
    perm_redis_client_t  *redis;

    e->redis.decision = perm_decision_unavailable(e->plcf->on_error_allow);

    if (e->pmcf->worker == NULL) {
        e->redis.error = (perm_str_t) perm_string("no Redis is configured");
        return NGX_DECLINED;
    }

    redis = perm_fetch_redis(e->pmcf->worker->fetch);

    prefix.data = (char *) e->pmcf->sync.redis.prefix.data;
    prefix.len = e->pmcf->sync.redis.prefix.len;

    ngx_str_set(&argv[0], "HMGET");
    argv[1].data = (u_char *) grants_key;
    argv[1].len = perm_grant_key(grants_key, PERM_KEY_GRANTS, prefix,
                                 e->tuple.gateway, e->tuple.app);
    ngx_str_set(&argv[2], PERM_GATEWAY_FIELD);
    argv[3].data = (u_char *) e->tuple.resource.data;
    argv[3].len = e->tuple.resource.len;

    e->commands[PERM_ASK_GRANTS] = perm_redis_client_send(redis, &argv[1], 4,
                                                          argv,
                                                          perm_explain_grants,
                                                          e);

    ngx_str_set(&argv[0], "HGET");
    argv[1].data = (u_char *) meta_key;
    argv[1].len = perm_grant_key_meta(meta_key, prefix);
    ngx_str_set(&argv[2], PERM_SCHEMA_FIELD);

    e->commands[PERM_ASK_META] = perm_redis_client_send(redis, &argv[1], 3,
                                                        argv,
                                                        perm_explain_meta, e);

    if (e->commands[PERM_ASK_GRANTS] && e->commands[PERM_ASK_META]) {
        e->waiting = PERM_ASKED;
        e->asked = ngx_current_msec;
        e->redis.answered = 1;
        e->redis.loaded = 1;
        return NGX_OK;
    }

    perm_explain_cancel(e);

    e->redis.error = (perm_str_t) perm_string("the link to Redis is down");

    return NGX_DECLINED;
}


static ngx_int_t
perm_explain_wait(perm_explain_t *e)
{
    ngx_event_t         *rev;
    ngx_http_cleanup_t  *cln;
    ngx_http_request_t  *r;

    r = e->request;

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        perm_explain_cancel(e);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln->handler = perm_explain_cancel;
    cln->data = e;

    /* notice a client that leaves */

    if (!r->discard_body) {
        rev = r->connection->read;
        r->read_event_handler = ngx_http_test_reading;

        if (rev->ready) {
            ngx_post_event(rev, &ngx_posted_events);

        } else if (ngx_handle_read_event(rev, 0) != NGX_OK) {
            perm_explain_cancel(e);
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    r->write_event_handler = ngx_http_request_empty_handler;
    r->main->count++;

    return NGX_DONE;
}


static void
perm_explain_grants(void *data, redisReply *reply)
{
    perm_explain_t *e = data;

    ngx_int_t  rc;

    e->commands[PERM_ASK_GRANTS] = NULL;

    rc = reply ? perm_grants_reply_parse(reply, &e->redis.grants) : NGX_ERROR;

    if (rc != NGX_OK) {
        perm_explain_error(e, reply, rc);
    }

    perm_explain_answered(e);
}


static void
perm_explain_meta(void *data, redisReply *reply)
{
    perm_explain_t *e = data;

    ngx_int_t  rc;

    e->commands[PERM_ASK_META] = NULL;

    rc = reply ? perm_grants_reply_loaded(reply, &e->redis.loaded) : NGX_ERROR;

    if (rc != NGX_OK) {
        perm_explain_error(e, reply, rc);
    }

    perm_explain_answered(e);
}


static void
perm_explain_error(perm_explain_t *e, redisReply *reply, ngx_int_t rc)
{
    size_t                 len;
    perm_explain_redis_t  *redis;

    redis = &e->redis;
    redis->answered = 0;

    if (reply == NULL) {
        redis->error = (perm_str_t) perm_string("no answer in time");
        return;
    }

    if (rc == NGX_ERROR) {
        redis->error = (perm_str_t) perm_string("an answer of a wrong type");
        return;
    }

    len = ngx_min((size_t) reply->len, sizeof(redis->text));
    ngx_memcpy(redis->text, reply->str, len);

    redis->error.data = redis->text;
    redis->error.len = len;
}


static void
perm_explain_answered(perm_explain_t *e)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    if (--e->waiting) {
        return;
    }

    r = e->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    e->redis.took = ngx_current_msec - e->asked;

    if (e->redis.answered && e->redis.loaded) {
        e->redis.decision = perm_decision_make(e->redis.grants, ngx_time());
    }

    ngx_http_finalize_request(r, perm_explain_send(e));
    ngx_http_run_posted_requests(c);
}


static ngx_int_t
perm_explain_send(perm_explain_t *e)
{
    perm_writer_t  w;

    static ngx_str_t  type = ngx_string("application/json");

    perm_writer_init(&w, e->request->pool);
    perm_explain_json(&w, &e->tuple, e->plcf, &e->cache, &e->redis);

    return perm_send_content(e->request, NGX_HTTP_OK, &type, &w);
}


/* the client is gone, or not everything could be asked */

static void
perm_explain_cancel(void *data)
{
    perm_explain_t *e = data;

    ngx_uint_t  i;

    for (i = 0; i < PERM_ASKED; i++) {
        if (e->commands[i]) {
            perm_redis_command_cancel(e->commands[i]);
            e->commands[i] = NULL;
        }
    }
}
