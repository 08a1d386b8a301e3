
#include "http/complaint.h"

#include "core/grant_key.h"


static void perm_complaint_unreadable(perm_main_conf_t *pmcf,
    perm_call_t *call, perm_str_t field, ngx_log_t *log);
static ngx_uint_t perm_complaint_new(perm_main_conf_t *pmcf,
    perm_call_t *call, perm_str_t field);


void
perm_complaint_grants(perm_main_conf_t *pmcf, perm_call_t *call,
    perm_grants_t *grants, ngx_log_t *log)
{
    static perm_str_t  gateway_field = perm_string(PERM_GATEWAY_FIELD);

    if (grants->gateway == PERM_GRANT_UNREADABLE) {
        perm_complaint_unreadable(pmcf, call, gateway_field, log);
    }

    if (grants->resource == PERM_GRANT_UNREADABLE) {
        perm_complaint_unreadable(pmcf, call, call->resource, log);
    }
}


static void
perm_complaint_unreadable(perm_main_conf_t *pmcf, perm_call_t *call,
    perm_str_t field, ngx_log_t *log)
{
    (void) ngx_atomic_fetch_add(&pmcf->stats->unreadable_grants, 1);

    if (!perm_complaint_new(pmcf, call, field)) {
        return;
    }

    ngx_log_error(NGX_LOG_ERR, log, 0,
                  "app_permission: unreadable grant, counted as absent: field "
                  "\"%*s\" of \"%Vgrants:{%*s:%*s}\"; write it anew with "
                  "\"app-permission grant\"",
                  field.len, field.data, &pmcf->redis.prefix,
                  call->gateway.len, call->gateway.data, call->app.len,
                  call->app.data);
}


void
perm_complaint_wrong_type(perm_main_conf_t *pmcf, perm_call_t *call,
    ngx_log_t *log)
{
    static perm_str_t  no_field = perm_string("");

    if (!perm_complaint_new(pmcf, call, no_field)) {
        return;
    }

    ngx_log_error(NGX_LOG_ERR, log, 0,
                  "app_permission: \"%Vgrants:{%*s:%*s}\" is not a hash of "
                  "grants (WRONGTYPE), calls of this app are unavailable; "
                  "remove it, and check \"app_permission_redis_prefix\" and "
                  "who writes there",
                  &pmcf->redis.prefix, call->gateway.len, call->gateway.data,
                  call->app.len, call->app.data);
}


static ngx_uint_t
perm_complaint_new(perm_main_conf_t *pmcf, perm_call_t *call, perm_str_t field)
{
    uint64_t      hash;
    perm_call_t   place;
    perm_zone_t  *zone;

    zone = pmcf->zone.zone;

    place = *call;
    place.resource = field;
    hash = perm_call_hash(&place, zone->seed);

    return perm_health_unreadable(&zone->health, hash);
}
