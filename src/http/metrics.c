
#include "http/metrics.h"

#include "http/cached.h"
#include "resp/printable.h"


static void perm_metrics_more(perm_ctx_t *ctx) __attribute__((noinline));
static void perm_metrics_denial(perm_ctx_t *ctx);
static void perm_metrics_log_denial(perm_ctx_t *ctx);


uint64_t
perm_metrics_start(void)
{
    static ngx_uint_t  requests;

    return (requests++ % PERM_METRICS_SAMPLE) ? 0 : perm_redis_command_clock();
}


/*
 * A hit that a grant allowed is only counted, unless it is in the sample.  The
 * rest is not inline, so that such a hit saves no registers for it.
 */

void
perm_metrics_count(perm_ctx_t *ctx)
{
    perm_stats_cell_t  *stats;

    stats = ctx->pmcf->stats;

    perm_stats_add(&stats->cache[ctx->cache], 1);

    if (ctx->decision.outcome == PERM_ALLOW) {
        perm_stats_add(&stats->requests[0][PERM_ALLOW][ctx->decision.reason],
                       1);

        if (ctx->cache == PERM_CACHE_HIT && ctx->started == 0) {
            return;
        }
    }

    perm_metrics_more(ctx);
}


static void
perm_metrics_more(perm_ctx_t *ctx)
{
    ngx_uint_t          weight;
    perm_zone_t        *zone;
    perm_stats_cell_t  *stats;

    zone = ctx->pmcf->sync.zone.zone;
    stats = ctx->pmcf->stats;

    if (ctx->started && ctx->cache != PERM_CACHE_NONE) {
        perm_stats_time(stats,
                        (ctx->cache == PERM_CACHE_HIT) ? PERM_HISTOGRAM_HIT
                                                       : PERM_HISTOGRAM_MISS,
                        perm_redis_command_clock() - ctx->started);
    }

    if (ctx->cache == PERM_CACHE_HIT || ctx->cache == PERM_CACHE_STALE) {
        perm_stats_age(stats, ngx_max(perm_cached_age(ctx), 0), ngx_time());
    }

    weight = (ctx->cache == PERM_CACHE_HIT
              && ctx->decision.outcome == PERM_ALLOW)
             ? PERM_METRICS_SAMPLE : 1;

    perm_resources_note(zone->resources, &ctx->tuple, ctx->policy,
                        ctx->plcf->dry_run, ctx->decision.outcome, weight,
                        ngx_time());

    if (ctx->cache == PERM_CACHE_MISS
        || perm_expiring_soon(ctx->decision.expires, ngx_time()))
    {
        perm_expiring_note(zone->expiring, &ctx->tuple, ctx->decision.reason,
                           ctx->decision.expires, ngx_time());
    }

    if (ctx->decision.outcome != PERM_ALLOW) {
        perm_metrics_denial(ctx);
    }
}


/* a request that is denied, fails, or would in dry run */

static void
perm_metrics_denial(perm_ctx_t *ctx)
{
    perm_zone_t  *zone;

    perm_stats_add(&ctx->pmcf->stats->requests[ctx->plcf->dry_run]
                                              [ctx->decision.outcome]
                                              [ctx->decision.reason], 1);

    zone = ctx->pmcf->sync.zone.zone;

    if (ctx->twice) {
        perm_stats_add(&ctx->pmcf->stats->twice, 1);
        zone->health.twice = ngx_time();

    } else if (ctx->decision.reason == PERM_BAD_CONFIG) {
        zone->health.bad_config = ngx_time();
    }

    if (ctx->request->connection->log->log_level >= ctx->plcf->log_level) {
        perm_metrics_log_denial(ctx);
    }

    /* an outage would fill the lists with every app there is */

    if (ctx->decision.outcome == PERM_DENY) {
        perm_heavy_hitters_add(ctx->plcf->dry_run ? zone->would_deny
                                                  : zone->refused,
                               &ctx->tuple, ctx->decision.reason, ngx_time());
    }
}


static void
perm_metrics_log_denial(perm_ctx_t *ctx)
{
    char  *verb;
    char   app[PERM_PRINTABLE_SIZE(PERM_APP_MAX)];
    char   gateway[PERM_PRINTABLE_SIZE(PERM_GATEWAY_MAX)];
    char   resource[PERM_PRINTABLE_SIZE(PERM_RESOURCE_MAX)];

    (void) perm_printable(app, sizeof(app), ctx->tuple.app, 1);
    (void) perm_printable(gateway, sizeof(gateway), ctx->tuple.gateway, 1);
    (void) perm_printable(resource, sizeof(resource), ctx->tuple.resource, 1);

    if (ctx->decision.outcome == PERM_DENY) {
        verb = ctx->plcf->dry_run ? "would deny" : "denied";

    } else {
        verb = ctx->plcf->dry_run ? "would fail" : "failed";
    }

    ngx_log_error(ctx->plcf->log_level, ctx->request->connection->log, 0,
                  "app permission %s: %s, app \"%s\", gateway \"%s\", "
                  "resource \"%s\"", verb,
                  perm_decision_reason_name(ctx->decision.reason), app,
                  gateway, resource);
}
