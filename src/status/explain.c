
#include "status/explain.h"

#include "http/cached.h"
#include "http/send.h"
#include "http/suspend.h"


/* what this instance has cached, and what Redis says now */

typedef struct {
    perm_ctx_t          *ctx;          /* the cached entry and its decision */
    ngx_uint_t           found;        /* there is an entry */
    ngx_uint_t           fresh;        /* it may decide without a lookup */
    ngx_uint_t           stale_ok;     /* it may decide while Redis is down */

    const char          *error;        /* NULL: Redis has answered */
    ngx_uint_t           loaded;       /* and its table is loaded */
    perm_grants_reply_t  *reply;
    perm_decision_t      redis;        /* by Redis alone */
} perm_explain_t;


static ngx_int_t perm_explain_send(perm_ctx_t *ctx, const char *error);
static void perm_explain_compare(perm_explain_t *e);
static void perm_explain_now(perm_writer_t *w, perm_explain_t *e);
static void perm_explain_cache(perm_writer_t *w, perm_explain_t *e);
static void perm_explain_redis(perm_writer_t *w, perm_explain_t *e);
static void perm_explain_agree(perm_writer_t *w, perm_explain_t *e);
static const char *perm_explain_ignored(perm_explain_t *e);
static void perm_explain_expires(perm_writer_t *w, const char *member,
    int64_t expires);
static void perm_explain_decision(perm_writer_t *w,
    perm_decision_t *decision);


ngx_int_t
perm_explain(ngx_http_request_t *r)
{
    ngx_int_t      rc;
    perm_ctx_t    *ctx;
    perm_tuple_t   tuple;

    ctx = ngx_http_get_module_ctx(r, ngx_http_app_permission_module);

    if (ctx && ctx->content) {
        return perm_explain_send(ctx, NULL);
    }

    if (perm_send_argument(r, "gateway", &tuple.gateway) != NGX_OK
        || perm_send_argument(r, "resource", &tuple.resource) != NGX_OK
        || perm_send_argument(r, "app", &tuple.app) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (!perm_name_gateway_valid(tuple.gateway)
        || !perm_name_resource_valid(tuple.resource)
        || !perm_name_app_valid(tuple.app))
    {
        return perm_send_error(r, NGX_HTTP_BAD_REQUEST,
                               "gateway, resource and app take one valid "
                               "name each: explain?gateway=G&resource=R"
                               "&app=A");
    }

    /* the context is not published: it is no decision about this request */

    ctx = perm_ctx_create(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->content = 1;
    ctx->tuple = tuple;
    ctx->hash = perm_tuple_hash(&tuple, ctx->pmcf->sync.zone.zone->seed);

    if (ctx->pmcf->worker == NULL) {
        return perm_explain_send(ctx, "no Redis is configured");
    }

    perm_ctx_debug(ctx, "explain");

    /* not "known": each of these counts against the limit */

    rc = perm_suspend_fetch(ctx, PERM_FETCH_PEEK, 0);

    if (rc == NGX_DECLINED) {
        return perm_explain_send(ctx, "the connection to Redis is down");
    }

    if (rc != NGX_BUSY) {
        return rc;
    }

    return perm_send_error(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                           "too many lookups at this moment: explain counts "
                           "against app_permission_lookup_limit, which is "
                           "reached; try again in a second");
}


/* "error": why Redis was not asked, or NULL */

static ngx_int_t
perm_explain_send(perm_ctx_t *ctx, const char *error)
{
    perm_tuple_t    *tuple;
    perm_writer_t    w;
    perm_explain_t   e;

    static ngx_str_t  type = ngx_string("application/json");

    ngx_memzero(&e, sizeof(perm_explain_t));

    e.ctx = ctx;
    e.error = error;

    perm_explain_compare(&e);

    perm_writer_init(&w, ctx->request->pool);

    tuple = &ctx->tuple;

    perm_writer_put(&w, "{\"now\":%T,\"gateway\":\"%*s\",\"resource\":\"%*s\","
                    "\"app\":\"%*s\"", ngx_time(),
                    tuple->gateway.len, tuple->gateway.data,
                    tuple->resource.len, tuple->resource.data,
                    tuple->app.len, tuple->app.data);

    perm_explain_now(&w, &e);
    perm_explain_cache(&w, &e);
    perm_explain_redis(&w, &e);
    perm_explain_agree(&w, &e);

    perm_writer_put(&w, "}" CRLF);

    return perm_send_content(ctx->request, NGX_HTTP_OK, &type, &w);
}


static void
perm_explain_compare(perm_explain_t *e)
{
    e->found = perm_cached_find(e->ctx);
    e->fresh = e->found && perm_cached_fresh(e->ctx);
    e->stale_ok = e->found && perm_cached_stale_ok(e->ctx);

    e->redis = perm_decision_unavailable(e->ctx->plcf->on_error_allow);

    if (e->error) {
        return;
    }

    e->reply = &e->ctx->suspend->reply;

    if (e->reply->result == PERM_FETCHED) {
        e->loaded = 1;
        e->redis = perm_decision_make(&e->reply->grants, ngx_time());

    } else if (e->reply->result != PERM_FETCH_NOT_LOADED) {
        e->error = e->reply->error;
    }
}


/* the decision that the policy "required" has now, and the side it is from */

static void
perm_explain_now(perm_writer_t *w, perm_explain_t *e)
{
    if (e->fresh || (!e->loaded && e->stale_ok)) {
        perm_explain_decision(w, &e->ctx->decision);
        perm_writer_put(w, ",\"by\":\"%s\"", e->fresh ? "cache" : "stale");

    } else {

        /* "unavailable" where the table is not loaded */

        perm_explain_decision(w, &e->redis);
        perm_writer_put(w, ",\"by\":\"%s\"", e->loaded ? "redis" : "on_error");
    }
}


static void
perm_explain_cache(perm_writer_t *w, perm_explain_t *e)
{
    int64_t              age;
    ngx_uint_t           trusted;
    perm_ctx_t          *ctx;
    perm_generation_t    now;
    perm_cache_entry_t  *entry;

    ctx = e->ctx;
    entry = &ctx->entry;

    perm_writer_put(w, ",\"cache\":{\"found\":%s", perm_writer_bool(e->found));

    if (e->found) {
        age = perm_cached_age(ctx);
        trusted = entry->trusted && age < ctx->pushed;

        perm_writer_put(w, ",\"state\":\"%s\",\"trusted\":%s,\"unchanged\":%s,"
                        "\"stale_allowed\":%s,\"age_ms\":%L,"
                        "\"valid_until\":%L,\"generation\":"
                        "{\"epoch\":%uD,\"change\":[%uD,%uD]}",
                        e->fresh ? "fresh"
                        : !entry->unchanged ? "changed"
                        : trusted ? "aged" : "distrusted",
                        perm_writer_bool(trusted),
                        perm_writer_bool(entry->unchanged),
                        perm_writer_bool(e->stale_ok), age,
                        ngx_time() + (perm_cached_valid(ctx) - age) / 1000,
                        entry->generation.epoch, entry->generation.change[0],
                        entry->generation.change[1]);

        perm_explain_expires(w, "gateway_expires", entry->grants.gateway);
        perm_explain_expires(w, "resource_expires", entry->grants.resource);
        perm_explain_decision(w, &ctx->decision);
    }

    now = perm_cache_generation(ctx->pmcf->sync.zone.zone->cache,
                                ctx->tuple.gateway, ctx->tuple.app);

    perm_writer_put(w, ",\"current_generation\":{\"epoch\":%uD,"
                    "\"change\":[%uD,%uD]}}", now.epoch, now.change[0],
                    now.change[1]);
}


static void
perm_explain_redis(perm_writer_t *w, perm_explain_t *e)
{
    perm_writer_put(w, ",\"redis_error\":");

    if (e->error) {
        perm_writer_json(w, perm_str(e->error));
        perm_writer_put(w, ",\"redis\":null");
        return;
    }

    perm_writer_put(w, "null,\"redis\":{\"answered\":true,\"took_ms\":%M,"
                    "\"table_loaded\":%s",
                    ngx_current_msec - e->ctx->suspend->since,
                    perm_writer_bool(e->loaded));

    perm_explain_expires(w, "gateway_expires", e->reply->grants.gateway);
    perm_explain_expires(w, "resource_expires", e->reply->grants.resource);
    perm_explain_decision(w, &e->redis);

    perm_writer_put(w, "}");
}


/*
 * The members in which the two sides differ, when there are both, whether they
 * agree (null: nobody can tell), and one sentence about it.
 */

static void
perm_explain_agree(perm_writer_t *w, perm_explain_t *e)
{
    u_char            refused[PERM_GRANTS_REPLY_ERROR + 32];
    ngx_uint_t        i, n, differs[4];
    perm_grants_t    *cached, *now;
    perm_decision_t  *decision;

    static char  *members[] = {
        "gateway_expires", "resource_expires", "decision", "reason"
    };

    n = 0;
    decision = &e->ctx->decision;

    perm_writer_put(w, ",\"differs\":[");

    if (e->found && e->loaded) {
        cached = &e->ctx->entry.grants;
        now = &e->reply->grants;

        differs[0] = (cached->gateway != now->gateway);
        differs[1] = (cached->resource != now->resource);
        differs[2] = (decision->outcome != e->redis.outcome);
        differs[3] = (decision->reason != e->redis.reason);

        for (i = 0; i < 4; i++) {
            if (differs[i]) {
                perm_writer_put(w, "%s\"%s\"", n++ ? "," : "", members[i]);
            }
        }
    }

    perm_writer_put(w, "],\"agree\":%s,\"summary\":",
                    !e->loaded ? "null" : perm_writer_bool(n == 0));

    if (e->reply && e->reply->result == PERM_FETCH_REFUSED) {

        /* the words of Redis may be any bytes */

        *ngx_snprintf(refused, sizeof(refused) - 1, "Redis refused: %s",
                      e->error) = '\0';
        perm_writer_json(w, perm_str((char *) refused));
        return;
    }

    perm_writer_put(w, "\"");

    if (e->error) {
        perm_writer_put(w, "Redis gave no answer: nobody can tell whether this "
                        "instance agrees with it.");

    } else if (!e->loaded) {
        perm_writer_put(w, "Redis answers, but its grant table is not loaded: "
                        "there is nothing to compare with.");

    } else if (!e->found) {
        perm_writer_put(w, "This instance has no cached answer, so the next "
                        "call asks Redis: they agree.");

    } else if (n == 0) {
        perm_writer_put(w, "This instance and Redis agree%s.",
                        perm_explain_ignored(e));

    } else if (decision->outcome == e->redis.outcome) {
        perm_writer_put(w, "This instance and Redis come to the same decision, "
                        "but differ in its reason or end%s.",
                        perm_explain_ignored(e));

    } else {
        perm_writer_put(w, "This instance and Redis differ: the cached answer "
                        "says %s, Redis says %s%s.",
                        perm_decision_outcome_name(decision->outcome),
                        perm_decision_outcome_name(e->redis.outcome),
                        perm_explain_ignored(e));
    }

    perm_writer_put(w, "\"");
}


/* the end of the sentence: why the cached answer counts, or does not */

static const char *
perm_explain_ignored(perm_explain_t *e)
{
    perm_cache_entry_t  *entry;

    entry = &e->ctx->entry;

    if (e->fresh) {
        return e->ctx->pmcf->sync.zone.zone->health.tracking
               ? "; the cached answer decides, since no change of it has been "
                 "reported"
               : "; the cached answer decides until valid_until, since Redis "
                 "does not push changes";
    }

    return !entry->unchanged ? "; the next call asks Redis, since a change of "
                               "the grant was reported"
           : entry->trusted  ? "; the next call asks Redis, since the cached "
                               "answer is older than app_permission_cache_valid"
           : "; the next call asks Redis, since changes may have been missed";
}


/* null: there is no such grant */

static void
perm_explain_expires(perm_writer_t *w, const char *member, int64_t expires)
{
    if (expires >= 0) {
        perm_writer_put(w, ",\"%s\":%L", member, expires);

    } else {
        perm_writer_put(w, ",\"%s\":%s", member,
                        expires == PERM_GRANT_UNREADABLE ? "\"unreadable\""
                                                         : "null");
    }
}


static void
perm_explain_decision(perm_writer_t *w, perm_decision_t *decision)
{
    perm_writer_put(w, ",\"decision\":\"%s\",\"reason\":\"%s\"",
                    perm_decision_outcome_name(decision->outcome),
                    perm_decision_reason_name(decision->reason));
}
