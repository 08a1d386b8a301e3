
#include "http/handler.h"

#include "http/cached.h"
#include "http/metrics.h"
#include "http/policy.h"
#include "http/response.h"
#include "http/suspend.h"


#define PERM_REFRESH_RETRY  5000    /* ms until another may try a refresh */


static ngx_int_t perm_handler_begin(perm_ctx_t *ctx);
static ngx_int_t perm_handler_resume(perm_ctx_t *ctx);
static ngx_int_t perm_handler_lookup(perm_ctx_t *ctx);
static ngx_int_t perm_handler_old(perm_ctx_t *ctx) __attribute__((noinline));
static ngx_int_t perm_handler_hit(perm_ctx_t *ctx);
static ngx_int_t perm_handler_miss(perm_ctx_t *ctx, ngx_uint_t known,
    ngx_uint_t slow_ok);
static ngx_int_t perm_handler_stale(perm_ctx_t *ctx);
static ngx_int_t perm_handler_unavailable(perm_ctx_t *ctx,
    ngx_uint_t limited);
static void perm_handler_refresh(perm_ctx_t *ctx, ngx_uint_t known);
static ngx_int_t perm_handler_decided(perm_ctx_t *ctx);
static void perm_handler_record(perm_ctx_t *ctx) __attribute__((noinline));


ngx_int_t
perm_handler(ngx_http_request_t *r)
{
    perm_ctx_t       *ctx;
    perm_loc_conf_t  *plcf;

    if (r != r->main) {
        return NGX_DECLINED;
    }

    plcf = ngx_http_get_module_loc_conf(r, ngx_http_app_permission_module);

    if (plcf->policy == PERM_POLICY_OFF) {
        return NGX_DECLINED;
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_app_permission_module);

    if (ctx == NULL) {

        if (r->content_handler
            && (r->content_handler == plcf->decide
                || r->content_handler == plcf->self))
        {
            /* the decision is the content, not what the content waits for */
            return NGX_DECLINED;
        }

        ctx = perm_handler_open(r);

        if (ctx == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    return perm_handler_decide(ctx);
}


perm_ctx_t *
perm_handler_open(ngx_http_request_t *r)
{
    perm_ctx_t  *ctx;

    ctx = perm_ctx_create(r);
    if (ctx == NULL) {
        return NULL;
    }

    if (perm_ctx_publish(ctx)) {
        perm_response_forget(r);
    }

    ctx->started = perm_metrics_start();

    return (perm_policy_read(ctx) == NGX_OK) ? ctx : NULL;
}


ngx_int_t
perm_handler_decide(perm_ctx_t *ctx)
{
    if (ctx->decided) {
        return NGX_DECLINED;
    }

    return ctx->suspend ? perm_handler_resume(ctx) : perm_handler_begin(ctx);
}


static ngx_int_t
perm_handler_begin(perm_ctx_t *ctx)
{
    perm_tuple_t  *tuple;

    if (ctx->policy == PERM_POLICY_OFF) {
        ctx->decided = 1;
        return NGX_DECLINED;
    }

    if (!ctx->pmcf->serving) {

        /* a helper process that listens, as OpenResty's privileged agent */

        ctx->decision = perm_decision_unavailable(0);

        return perm_handler_decided(ctx);
    }

    tuple = &ctx->tuple;

    /*
     * The cache has only valid names, and compares every byte.  So a hit need
     * not validate names: a miss does.
     */

    if (ctx->policy == PERM_POLICY_REQUIRED && perm_tuple_fits(tuple)) {
        ctx->hash = perm_tuple_hash(tuple, ctx->pmcf->sync.zone.zone->seed);

        return perm_handler_lookup(ctx);
    }

    (void) perm_decision_early(ctx->policy, tuple->gateway, tuple->resource,
                               tuple->app, &ctx->decision);

    return perm_handler_decided(ctx);
}


static ngx_int_t
perm_handler_lookup(perm_ctx_t *ctx)
{
    if (!perm_cached_find(ctx)) {

        return perm_decision_early(ctx->policy, ctx->tuple.gateway,
                                   ctx->tuple.resource, ctx->tuple.app,
                                   &ctx->decision)
               ? perm_handler_decided(ctx) : perm_handler_miss(ctx, 0, 0);
    }

    return perm_cached_fresh(ctx) ? perm_handler_hit(ctx)
                                  : perm_handler_old(ctx);
}


/* an entry that may not decide without a lookup */

static ngx_int_t
perm_handler_old(perm_ctx_t *ctx)
{
    ngx_uint_t  known, slow_ok;

    known = (ctx->decision.outcome == PERM_ALLOW);

    /*
     * While Redis is slow, an entry may decide that is only too old: where
     * changes are pushed, a changed one is not trusted.  With
     * "app_permission_cache_valid 0" every request wants a lookup.
     */

    slow_ok = ctx->entry.trusted
              && ctx->pushed == INT64_MAX
              && ctx->pmcf->sync.zone.zone->health.tracking
              && perm_cached_valid(ctx) > 0
              && perm_cached_stale_ok(ctx);

    if (slow_ok && perm_fetch_slow(ctx->pmcf->worker->fetch)) {
        perm_handler_refresh(ctx, known);
        return perm_handler_stale(ctx);
    }

    return perm_handler_miss(ctx, known, slow_ok);
}


/* an entry in use is refreshed before "app_permission_cache_valid" is over */

static ngx_int_t
perm_handler_hit(perm_ctx_t *ctx)
{
    perm_ctx_debug(ctx, "hit");

    ctx->cache = PERM_CACHE_HIT;

    if (ctx->decision.outcome == PERM_ALLOW
        && perm_cached_age(ctx) > (int64_t) ctx->plcf->refresh
        && perm_cache_claim(&ctx->entry, ngx_current_msec,
                            PERM_REFRESH_RETRY))
    {
        (void) ngx_atomic_fetch_add(&ctx->pmcf->stats->refreshes, 1);
        perm_handler_refresh(ctx, 1);
    }

    return perm_handler_decided(ctx);
}


/* "known": the cache has a grant; "slow_ok": the cache decides after a while */

static ngx_int_t
perm_handler_miss(perm_ctx_t *ctx, ngx_uint_t known, ngx_uint_t slow_ok)
{
    ngx_int_t  rc;

    perm_ctx_debug(ctx, "miss");

    if (ctx->suspend == NULL) {
        ctx->started = perm_redis_command_clock();
    }

    rc = perm_suspend_fetch(ctx, known ? PERM_FETCH_KNOWN : 0, slow_ok);

    return (rc == NGX_DECLINED || rc == NGX_BUSY)
           ? perm_handler_unavailable(ctx, rc == NGX_BUSY) : rc;
}


static ngx_int_t
perm_handler_resume(perm_ctx_t *ctx)
{
    perm_grants_reply_t  *reply;

    switch (ctx->suspend->state) {

    case PERM_SUSPEND_WAITING:
        return NGX_AGAIN;

    case PERM_SUSPEND_SLOW:
        return perm_handler_lookup(ctx);

    default: /* PERM_SUSPEND_ANSWERED */
        reply = &ctx->suspend->reply;
    }

    if (reply->result != PERM_FETCHED) {
        return perm_handler_unavailable(ctx,
                                        reply->result == PERM_FETCH_LIMITED);
    }

    ctx->cache = PERM_CACHE_MISS;
    ctx->decision = perm_decision_make(&reply->grants, ngx_time());

    return perm_handler_decided(ctx);
}


/*
 * The entry is found again, since its key may have changed meanwhile.
 * "limited": too many calls brought it about, which lets nobody in.
 */

static ngx_int_t
perm_handler_unavailable(perm_ctx_t *ctx, ngx_uint_t limited)
{
    if (perm_cached_find(ctx) && perm_cached_stale_ok(ctx)) {
        return perm_handler_stale(ctx);
    }

    perm_ctx_debug(ctx, "unavailable");

    ctx->cache = PERM_CACHE_MISS;
    ctx->decision = perm_decision_unavailable(ctx->plcf->on_error_allow
                                              && !limited);

    return perm_handler_decided(ctx);
}


static ngx_int_t
perm_handler_stale(perm_ctx_t *ctx)
{
    perm_ctx_debug(ctx, "stale");

    ctx->cache = PERM_CACHE_STALE;

    return perm_handler_decided(ctx);
}


/* in the background */

static void
perm_handler_refresh(perm_ctx_t *ctx, ngx_uint_t known)
{
    perm_ctx_debug(ctx, "refresh");

    (void) perm_fetch(ctx->pmcf->worker->fetch, &ctx->tuple, ctx->hash,
                      known ? PERM_FETCH_KNOWN : 0, NULL);
}


static ngx_int_t
perm_handler_decided(perm_ctx_t *ctx)
{
    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, ctx->request->connection->log, 0,
                   "app_permission: decided, %s: %s",
                   perm_decision_outcome_name(ctx->decision.outcome),
                   perm_decision_reason_name(ctx->decision.reason));

    ctx->decided = 1;

    perm_metrics_count(ctx);

    if (ctx->content && perm_response_decision(ctx) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ctx->decision.outcome != PERM_ALLOW) {
        return ctx->plcf->dry_run ? NGX_DECLINED : perm_response_send(ctx);
    }

    if (ctx->decision.expires < 0) {
        /* no grant allowed it: "open", or "on_error allow" */
        return NGX_DECLINED;
    }

    if (ctx->plcf->record
        && (ctx->cache == PERM_CACHE_MISS
            || !perm_cache_accessed(&ctx->entry, ngx_time())))
    {
        perm_handler_record(ctx);
    }

    if ((ctx->plcf->expires_header || ctx->content)
        && ctx->decision.expires < PERM_GRANT_PERMANENT
        && perm_response_expires_in(ctx->request,
                                    ctx->decision.expires - ngx_time())
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return NGX_DECLINED;
}


/* an entry is recorded once in a second */

static void
perm_handler_record(perm_ctx_t *ctx)
{
    time_t  now;

    now = ngx_time();

    perm_ctx_debug(ctx, "recorded");

    (void) perm_recorder_record(ctx->pmcf->sync.zone.zone->recorder,
                                &ctx->tuple, ctx->hash, now);

    if (ctx->cache != PERM_CACHE_MISS) {
        perm_cache_note_access(&ctx->entry, now);
    }
}
