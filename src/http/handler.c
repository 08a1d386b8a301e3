
#include "http/handler.h"

#include "http/metrics.h"
#include "http/ctx.h"
#include "http/policy.h"
#include "http/response.h"
#include "http/suspend.h"


#define PERM_REFRESH_RETRY  5000    /* ms until another may try a refresh */


static ngx_int_t perm_handler_begin(ngx_http_request_t *r,
    perm_loc_conf_t *plcf);
static ngx_int_t perm_handler_lookup(ngx_http_request_t *r,
    perm_loc_conf_t *plcf, perm_ctx_t *ctx);
static int64_t perm_handler_valid(perm_loc_conf_t *plcf,
    perm_ctx_t *ctx);
static ngx_uint_t perm_handler_fresh(perm_loc_conf_t *plcf,
    perm_ctx_t *ctx, perm_cache_entry_t *entry);
static ngx_int_t perm_handler_hit(ngx_http_request_t *r,
    perm_loc_conf_t *plcf, perm_ctx_t *ctx, perm_cache_entry_t *entry);
static ngx_uint_t perm_handler_fit(ngx_http_request_t *r,
    perm_loc_conf_t *plcf, perm_ctx_t *ctx, perm_cache_entry_t *entry);
static ngx_uint_t perm_handler_known(ngx_http_request_t *r,
    perm_loc_conf_t *plcf, perm_ctx_t *ctx, perm_cache_entry_t *entry);
static ngx_int_t perm_handler_stale(ngx_http_request_t *r,
    perm_loc_conf_t *plcf, perm_ctx_t *ctx, perm_cache_entry_t *entry);
static ngx_int_t perm_handler_resume(ngx_http_request_t *r,
    perm_loc_conf_t *plcf, perm_ctx_t *ctx);
static ngx_int_t perm_handler_impossible(ngx_http_request_t *r,
    perm_loc_conf_t *plcf, perm_ctx_t *ctx);
static ngx_int_t perm_handler_decided(ngx_http_request_t *r,
    perm_loc_conf_t *plcf, perm_ctx_t *ctx);
static ngx_int_t perm_handler_allow(ngx_http_request_t *r,
    perm_loc_conf_t *plcf, perm_ctx_t *ctx);
static void perm_handler_record(perm_main_conf_t *pmcf, perm_ctx_t *ctx,
    perm_cache_entry_t *entry);


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
        return perm_handler_begin(r, plcf);
    }

    switch (ctx->step) {

    case PERM_CTX_WAITING:
        return NGX_AGAIN;

    case PERM_CTX_ANSWERED:
        return perm_handler_resume(r, plcf, ctx);

    case PERM_CTX_IMPATIENT:
        return perm_handler_lookup(r, plcf, ctx);

    default:
        return NGX_DECLINED;
    }
}


static ngx_int_t
perm_handler_begin(ngx_http_request_t *r, perm_loc_conf_t *plcf)
{
    perm_tuple_t  *tuple;
    perm_ctx_t    *ctx;

    if (perm_ctx_get(r)) {
        perm_response_forget(r);
    }

    ctx = perm_ctx_create(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->started = perm_metrics_start();

    if (perm_policy_read(r, plcf, ctx) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ctx->policy == PERM_POLICY_OFF) {
        ctx->step = PERM_CTX_DECIDED;
        return NGX_DECLINED;
    }

    tuple = &ctx->tuple;

    /*
     * Names that the cache holds byte for byte are valid, which is not worth
     * finding out for every hit.
     */

    if (ctx->policy == PERM_POLICY_REQUIRED
        && tuple->gateway.len <= PERM_GATEWAY_MAX
        && tuple->resource.len <= PERM_RESOURCE_MAX
        && tuple->app.len <= PERM_APP_MAX)
    {
        return perm_handler_lookup(r, plcf, ctx);
    }

    (void) perm_decision_early(ctx->policy, tuple->gateway, tuple->resource,
                               tuple->app, &ctx->decision);

    return perm_handler_decided(r, plcf, ctx);
}


static ngx_int_t
perm_handler_lookup(ngx_http_request_t *r, perm_loc_conf_t *plcf,
    perm_ctx_t *ctx)
{
    ngx_int_t            rc;
    ngx_uint_t           live, known;
    perm_tuple_t        *tuple;
    perm_zone_t         *zone;
    perm_main_conf_t    *pmcf;
    perm_cache_entry_t   entry;

    pmcf = ngx_http_get_module_main_conf(r, ngx_http_app_permission_module);
    zone = pmcf->sync.zone.zone;
    tuple = &ctx->tuple;

    ctx->hash = perm_tuple_hash(tuple, zone->seed);

    live = 0;
    known = 0;
    rc = perm_cache_lookup(zone->cache, tuple, ctx->hash, ngx_current_msec,
                           &entry);

    if (rc == NGX_OK) {
        ctx->decision = perm_decision_make(entry.grants, ngx_time());

        if (perm_handler_fresh(plcf, ctx, &entry)) {
            return perm_handler_hit(r, plcf, ctx, &entry);
        }

        live = (ctx->decision.outcome == PERM_ALLOW);

        known = perm_handler_known(r, plcf, ctx, &entry);

        if (known && perm_fetch_late(pmcf->worker->fetch)) {
            (void) perm_fetch(pmcf->worker->fetch, tuple, ctx->hash, live, NULL,
                              NULL, NULL);
            return perm_handler_stale(r, plcf, ctx, &entry);
        }

    } else if (perm_decision_early(ctx->policy, tuple->gateway, tuple->resource,
                                   tuple->app, &ctx->decision))
    {
        return perm_handler_decided(r, plcf, ctx);
    }

    if (ctx->step == PERM_CTX_NEW) {
        ctx->started = perm_metrics_clock();
    }

    rc = perm_fetch(pmcf->worker->fetch, tuple, ctx->hash, live,
                    perm_suspend_answered, r, &ctx->waiter);

    if (rc == NGX_AGAIN) {
        return perm_suspend(r, ctx, known);
    }

    return perm_handler_impossible(r, plcf, ctx);
}


static int64_t
perm_handler_valid(perm_loc_conf_t *plcf, perm_ctx_t *ctx)
{
    return (ctx->decision.outcome == PERM_ALLOW) ? plcf->valid
                                                   : plcf->valid_denied;
}


static ngx_uint_t
perm_handler_fresh(perm_loc_conf_t *plcf, perm_ctx_t *ctx,
    perm_cache_entry_t *entry)
{
    int64_t  age;

    age = (int64_t) ngx_current_msec - entry->fetched;

    return entry->trusted && age < perm_handler_valid(plcf, ctx);
}


static ngx_int_t
perm_handler_hit(ngx_http_request_t *r, perm_loc_conf_t *plcf,
    perm_ctx_t *ctx, perm_cache_entry_t *entry)
{
    int64_t            age;
    perm_main_conf_t  *pmcf;

    pmcf = ngx_http_get_module_main_conf(r, ngx_http_app_permission_module);

    ctx->cache = PERM_CACHE_HIT;
    ctx->fetched = entry->fetched;

    if (ctx->decision.outcome == PERM_ALLOW) {
        age = (int64_t) ngx_current_msec - entry->fetched;

        if (age > (int64_t) (plcf->valid - plcf->valid / 4)
            && perm_cache_claim(pmcf->sync.zone.zone->cache, entry,
                                ngx_current_msec, PERM_REFRESH_RETRY))
        {
            (void) ngx_atomic_fetch_add(&pmcf->stats->refreshes, 1);
            (void) perm_fetch(pmcf->worker->fetch, &ctx->tuple, ctx->hash, 1,
                              NULL, NULL, NULL);
        }

        if (plcf->record && !perm_cache_accessed(entry, ngx_time())) {
            perm_handler_record(pmcf, ctx, entry);
        }
    }

    return perm_handler_decided(r, plcf, ctx);
}


/* may it decide where there is nobody to ask? */

static ngx_uint_t
perm_handler_fit(ngx_http_request_t *r, perm_loc_conf_t *plcf,
    perm_ctx_t *ctx, perm_cache_entry_t *entry)
{
    int64_t            age;
    perm_main_conf_t  *pmcf;

    pmcf = ngx_http_get_module_main_conf(r, ngx_http_app_permission_module);

    if (!plcf->stale
        || !perm_table_state_stale_ok(&pmcf->sync.zone.zone->table,
                                      &ctx->tuple, entry))
    {
        return 0;
    }

    age = (int64_t) ngx_current_msec - entry->fetched;

    return age < perm_handler_valid(plcf, ctx) + (int64_t) plcf->stale;
}


/*
 * May it decide where the answer is late?  Where changes are pushed, only its
 * time is over.  Not where nothing is to be cached.
 */

static ngx_uint_t
perm_handler_known(ngx_http_request_t *r, perm_loc_conf_t *plcf,
    perm_ctx_t *ctx, perm_cache_entry_t *entry)
{
    perm_main_conf_t  *pmcf;

    pmcf = ngx_http_get_module_main_conf(r, ngx_http_app_permission_module);

    return entry->trusted
           && pmcf->sync.zone.zone->health.tracking
           && perm_handler_valid(plcf, ctx) > 0
           && perm_handler_fit(r, plcf, ctx, entry);
}


static ngx_int_t
perm_handler_stale(ngx_http_request_t *r, perm_loc_conf_t *plcf,
    perm_ctx_t *ctx, perm_cache_entry_t *entry)
{
    ctx->cache = PERM_CACHE_STALE;
    ctx->fetched = entry->fetched;

    return perm_handler_decided(r, plcf, ctx);
}


static ngx_int_t
perm_handler_resume(ngx_http_request_t *r, perm_loc_conf_t *plcf,
    perm_ctx_t *ctx)
{
    if (ctx->result != PERM_FETCHED) {
        return perm_handler_impossible(r, plcf, ctx);
    }

    return perm_handler_decided(r, plcf, ctx);
}


/*
 * No answer to be had: what is known goes on for a while.  Looked up anew,
 * since meanwhile the key may have been reported as changed.
 */

static ngx_int_t
perm_handler_impossible(ngx_http_request_t *r, perm_loc_conf_t *plcf,
    perm_ctx_t *ctx)
{
    perm_main_conf_t    *pmcf;
    perm_cache_entry_t   entry;

    pmcf = ngx_http_get_module_main_conf(r, ngx_http_app_permission_module);

    if (perm_cache_lookup(pmcf->sync.zone.zone->cache, &ctx->tuple, ctx->hash,
                          ngx_current_msec, &entry)
        == NGX_OK)
    {
        ctx->decision = perm_decision_make(entry.grants, ngx_time());

        if (perm_handler_fit(r, plcf, ctx, &entry)) {
            return perm_handler_stale(r, plcf, ctx, &entry);
        }
    }

    ctx->cache = PERM_CACHE_MISS;
    ctx->decision = perm_decision_unavailable(plcf->on_error_allow);

    return perm_handler_decided(r, plcf, ctx);
}


static ngx_int_t
perm_handler_decided(ngx_http_request_t *r, perm_loc_conf_t *plcf,
    perm_ctx_t *ctx)
{
    ctx->step = PERM_CTX_DECIDED;

    perm_metrics_count(r, plcf, ctx);

    if (perm_metrics_noted(ctx)) {
        perm_metrics_note(r, plcf, ctx);
    }

    if (ctx->decision.outcome == PERM_ALLOW) {
        return perm_handler_allow(r, plcf, ctx);
    }

    if (plcf->dry_run) {
        return NGX_DECLINED;
    }

    return perm_response_send(r, plcf, ctx);
}


static ngx_int_t
perm_handler_allow(ngx_http_request_t *r, perm_loc_conf_t *plcf,
    perm_ctx_t *ctx)
{
    int64_t            expires;
    perm_main_conf_t  *pmcf;

    expires = ctx->decision.expires;

    if (expires < 0) {
        /* no grant allowed it: "open", or "on_error allow" */
        return NGX_DECLINED;
    }

    if (plcf->record && ctx->cache != PERM_CACHE_HIT) {
        pmcf = ngx_http_get_module_main_conf(r,
                                             ngx_http_app_permission_module);
        perm_handler_record(pmcf, ctx, NULL);
    }

    if (plcf->expires_header && expires < PERM_GRANT_PERMANENT
        && perm_response_expires_in(r, expires - ngx_time()) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return NGX_DECLINED;
}


static void
perm_handler_record(perm_main_conf_t *pmcf, perm_ctx_t *ctx,
    perm_cache_entry_t *entry)
{
    (void) perm_recorder_record(pmcf->sync.zone.zone->recorder, &ctx->tuple,
                                ctx->hash, ngx_time());

    if (entry != NULL) {
        perm_cache_note_access(entry, ngx_time());
    }
}
