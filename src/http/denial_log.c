
#include "http/denial_log.h"

#include "resp/printable.h"


static void perm_denial_log_line(perm_ctx_t *ctx);
static void perm_denial_log_list(perm_ctx_t *ctx);


void
perm_denial_log(perm_ctx_t *ctx)
{
    if (ctx->request->connection->log->log_level >= ctx->plcf->log_level) {
        perm_denial_log_line(ctx);
    }

    /* an outage would fill the lists with every app there is */

    if (ctx->decision.outcome == PERM_DENY) {
        perm_denial_log_list(ctx);
    }
}


static void
perm_denial_log_line(perm_ctx_t *ctx)
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


static void
perm_denial_log_list(perm_ctx_t *ctx)
{
    perm_zone_t  *zone;

    zone = ctx->pmcf->sync.zone.zone;

    perm_heavy_hitters_add(ctx->plcf->dry_run ? zone->would_deny
                                              : zone->refused,
                           &ctx->tuple, ctx->decision.reason, ngx_time());
}
