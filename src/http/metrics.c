
#include "http/metrics.h"

#include "http/denial_log.h"


static void perm_metrics_resource(perm_zone_t *zone, perm_loc_conf_t *plcf,
    perm_ctx_t *ctx);


uint64_t
perm_metrics_start(void)
{
    static ngx_uint_t  requests;

    return (requests++ % PERM_METRICS_SAMPLE) ? 0 : perm_metrics_clock();
}


uint64_t
perm_metrics_clock(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}


void
perm_metrics_count(ngx_http_request_t *r, perm_loc_conf_t *plcf,
    perm_ctx_t *ctx)
{
    perm_main_conf_t  *pmcf;

    pmcf = ngx_http_get_module_main_conf(r, ngx_http_app_permission_module);

    perm_stats_count(pmcf->stats,
                     ctx->decision.outcome != PERM_ALLOW && plcf->dry_run,
                     ctx->decision.outcome, ctx->decision.reason,
                     ctx->cache);
}


void
perm_metrics_note(ngx_http_request_t *r, perm_loc_conf_t *plcf,
    perm_ctx_t *ctx)
{
    int64_t            age;
    perm_zone_t       *zone;
    perm_main_conf_t  *pmcf;

    pmcf = ngx_http_get_module_main_conf(r, ngx_http_app_permission_module);
    zone = pmcf->sync.zone.zone;

    if (ctx->started && ctx->cache != PERM_CACHE_NONE) {
        perm_stats_time(pmcf->stats,
                        (ctx->cache == PERM_CACHE_HIT) ? PERM_HISTOGRAM_HIT
                                                         : PERM_HISTOGRAM_MISS,
                        perm_metrics_clock() - ctx->started);
    }

    perm_metrics_resource(zone, plcf, ctx);

    if (ctx->fetched) {
        /* another worker's clock may be a little ahead */

        age = (int64_t) ngx_current_msec - ctx->fetched;
        perm_stats_age(pmcf->stats, ngx_max(age, 0), ngx_time());
    }

    if (ctx->cache == PERM_CACHE_MISS
        || perm_expiring_soon(ctx->decision.expires, ngx_time()))
    {
        perm_expiring_note(zone->expiring, &ctx->tuple, ctx->hash,
                           ctx->decision.reason, ctx->decision.expires,
                           ngx_time());
    }

    if (ctx->decision.outcome != PERM_ALLOW) {
        perm_denial_log_note(r, plcf, ctx);
    }
}


static void
perm_metrics_resource(perm_zone_t *zone, perm_loc_conf_t *plcf,
    perm_ctx_t *ctx)
{
    ngx_uint_t  weight;

    if (!perm_name_gateway_valid(ctx->tuple.gateway)
        || !perm_name_resource_valid(ctx->tuple.resource))
    {
        return;
    }

    weight = (ctx->cache == PERM_CACHE_HIT
              && ctx->decision.outcome == PERM_ALLOW)
             ? PERM_METRICS_SAMPLE : 1;

    perm_resources_note(zone->resources, &ctx->tuple, ctx->policy,
                        plcf->dry_run, ctx->decision.outcome, weight,
                        ngx_time());
}
