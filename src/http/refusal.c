
#include "http/refusal.h"

#include "http/escape.h"


static void perm_refusal_log(ngx_http_request_t *r, perm_loc_conf_t *plcf,
    perm_check_t *check);
static ngx_str_t perm_refusal_name(u_char *buf, perm_str_t name, size_t max);
static void perm_refusal_count(ngx_http_request_t *r, perm_loc_conf_t *plcf,
    perm_check_t *check);


void
perm_refusal_note(ngx_http_request_t *r, perm_loc_conf_t *plcf,
    perm_check_t *check)
{
    if (r->connection->log->log_level >= plcf->log_level) {
        perm_refusal_log(r, plcf, check);
    }

    /* an outage is no refusal, and would fill the lists with everybody */

    if (check->decision.outcome == PERM_DENY) {
        perm_refusal_count(r, plcf, check);
    }
}


static void
perm_refusal_log(ngx_http_request_t *r, perm_loc_conf_t *plcf,
    perm_check_t *check)
{
    char        *verb;
    u_char       app_buf[PERM_ESCAPED_BYTE * PERM_APP_MAX];
    u_char       gateway_buf[PERM_ESCAPED_BYTE * PERM_GATEWAY_MAX];
    u_char       resource_buf[PERM_ESCAPED_BYTE * PERM_RESOURCE_MAX];
    ngx_str_t    app, gateway, resource;
    perm_str_t   reason;

    app = perm_refusal_name(app_buf, check->call.app, PERM_APP_MAX);
    gateway = perm_refusal_name(gateway_buf, check->call.gateway,
                                PERM_GATEWAY_MAX);
    resource = perm_refusal_name(resource_buf, check->call.resource,
                                 PERM_RESOURCE_MAX);
    reason = perm_reason_name(check->decision.reason);

    if (check->decision.outcome == PERM_DENY) {
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
perm_refusal_name(u_char *buf, perm_str_t name, size_t max)
{
    ngx_str_t  escaped;

    if (name.len > max) {
        name.len = max;
    }

    escaped.data = buf;
    escaped.len = perm_escape(buf, name) - buf;

    return escaped;
}


static void
perm_refusal_count(ngx_http_request_t *r, perm_loc_conf_t *plcf,
    perm_check_t *check)
{
    uint64_t           hash;
    perm_top_t        *top;
    perm_call_t        call;
    perm_zone_t       *zone;
    perm_main_conf_t  *pmcf;

    call = check->call;

    if (!perm_gateway_name_valid(call.gateway)
        || !perm_resource_name_valid(call.resource))
    {
        return;
    }

    if (!perm_app_name_valid(call.app)) {
        call.app.len = 0;
    }

    pmcf = ngx_http_get_module_main_conf(r, ngx_http_app_permission_module);
    zone = pmcf->zone.zone;

    top = plcf->dry_run ? zone->would_deny : zone->refused;
    hash = perm_call_hash(&call, zone->seed);

    perm_top_add(top, &call, hash, check->decision.reason, ngx_time());
}
