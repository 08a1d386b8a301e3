
#include "http/denial_log.h"

#include "resp/printable.h"


static void perm_denial_log_log(ngx_http_request_t *r, perm_loc_conf_t *plcf,
    perm_ctx_t *ctx);
static ngx_str_t perm_denial_log_name(u_char *buf, perm_str_t name, size_t max);
static void perm_denial_log_count(ngx_http_request_t *r, perm_loc_conf_t *plcf,
    perm_ctx_t *ctx);


void
perm_denial_log_note(ngx_http_request_t *r, perm_loc_conf_t *plcf,
    perm_ctx_t *ctx)
{
    if (r->connection->log->log_level >= plcf->log_level) {
        perm_denial_log_log(r, plcf, ctx);
    }

    /* an outage is no refusal, and would fill the lists with everybody */

    if (ctx->decision.outcome == PERM_DENY) {
        perm_denial_log_count(r, plcf, ctx);
    }
}


static void
perm_denial_log_log(ngx_http_request_t *r, perm_loc_conf_t *plcf,
    perm_ctx_t *ctx)
{
    char        *verb;
    u_char       app_buf[PERM_PRINTABLE_SIZE(PERM_APP_MAX)];
    u_char       gateway_buf[PERM_PRINTABLE_SIZE(PERM_GATEWAY_MAX)];
    u_char       resource_buf[PERM_PRINTABLE_SIZE(PERM_RESOURCE_MAX)];
    ngx_str_t    app, gateway, resource;
    perm_str_t   reason;

    app = perm_denial_log_name(app_buf, ctx->tuple.app, PERM_APP_MAX);
    gateway = perm_denial_log_name(gateway_buf, ctx->tuple.gateway,
                                   PERM_GATEWAY_MAX);
    resource = perm_denial_log_name(resource_buf, ctx->tuple.resource,
                                    PERM_RESOURCE_MAX);
    reason = perm_decision_reason_name(ctx->decision.reason);

    if (ctx->decision.outcome == PERM_DENY) {
        verb = plcf->dry_run ? "would deny" : "denied";

    } else {
        verb = plcf->dry_run ? "would fail" : "failed";
    }

    ngx_log_error(plcf->log_level, r->connection->log, 0,
                  "app permission %s: %*s, app \"%V\", gateway \"%V\", "
                  "resource \"%V\"", verb, reason.len, reason.data, &app,
                  &gateway, &resource);
}


/* the beginning of a name that is too long will do */

static ngx_str_t
perm_denial_log_name(u_char *buf, perm_str_t name, size_t max)
{
    ngx_str_t  escaped;

    if (name.len > max) {
        name.len = max;
    }

    escaped.data = buf;
    escaped.len = perm_printable((char *) buf, PERM_PRINTABLE_SIZE(max), name,
                                 1);

    return escaped;
}


static void
perm_denial_log_count(ngx_http_request_t *r, perm_loc_conf_t *plcf,
    perm_ctx_t *ctx)
{
    uint64_t               hash;
    perm_heavy_hitters_t  *top;
    perm_tuple_t           tuple;
    perm_zone_t           *zone;
    perm_main_conf_t      *pmcf;

    tuple = ctx->tuple;

    if (!perm_name_gateway_valid(tuple.gateway)
        || !perm_name_resource_valid(tuple.resource))
    {
        return;
    }

    if (!perm_name_app_valid(tuple.app)) {
        tuple.app.len = 0;
    }

    pmcf = ngx_http_get_module_main_conf(r, ngx_http_app_permission_module);
    zone = pmcf->sync.zone.zone;

    top = plcf->dry_run ? zone->would_deny : zone->refused;
    hash = perm_tuple_hash(&tuple, zone->seed);

    perm_heavy_hitters_add(top, &tuple, hash, ctx->decision.reason, ngx_time());
}
