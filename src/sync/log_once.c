
#include "sync/log_once.h"

#include "core/grant_key.h"


static void perm_log_once_unreadable(perm_sync_conf_t *conf,
    perm_tuple_t *tuple, perm_str_t field, ngx_log_t *log);
static ngx_uint_t perm_log_once_new(perm_sync_conf_t *conf,
    perm_tuple_t *tuple, perm_str_t field);


void
perm_log_once_grants(perm_sync_conf_t *conf, perm_stats_cell_t *stats,
    perm_tuple_t *tuple, perm_grants_t *grants, ngx_log_t *log)
{
    static perm_str_t  gateway_field = perm_string(PERM_GATEWAY_FIELD);

    if (grants->gateway == PERM_GRANT_UNREADABLE) {
        perm_stats_add(&stats->unreadable_grants, 1);
        perm_log_once_unreadable(conf, tuple, gateway_field, log);
    }

    if (grants->resource == PERM_GRANT_UNREADABLE) {
        perm_stats_add(&stats->unreadable_grants, 1);
        perm_log_once_unreadable(conf, tuple, tuple->resource, log);
    }
}


static void
perm_log_once_unreadable(perm_sync_conf_t *conf, perm_tuple_t *tuple,
    perm_str_t field, ngx_log_t *log)
{
    if (!perm_log_once_new(conf, tuple, field)) {
        return;
    }

    ngx_log_error(NGX_LOG_ERR, log, 0,
                  "app_permission: unreadable grant, counted as absent: field "
                  "\"%*s\" of \"%Vgrants:{%*s:%*s}\"; write it anew with "
                  "\"app-permission grant\"",
                  field.len, field.data, &conf->redis.prefix,
                  tuple->gateway.len, tuple->gateway.data, tuple->app.len,
                  tuple->app.data);
}


void
perm_log_once_wrong_type(perm_sync_conf_t *conf, perm_tuple_t *tuple,
    ngx_log_t *log)
{
    static perm_str_t  no_field = perm_string("");

    if (!perm_log_once_new(conf, tuple, no_field)) {
        return;
    }

    ngx_log_error(NGX_LOG_ERR, log, 0,
                  "app_permission: \"%Vgrants:{%*s:%*s}\" is not a hash of "
                  "grants (WRONGTYPE), calls of this app are unavailable; "
                  "remove it, and check \"app_permission_redis_prefix\" and "
                  "who writes there",
                  &conf->redis.prefix, tuple->gateway.len, tuple->gateway.data,
                  tuple->app.len, tuple->app.data);
}


static ngx_uint_t
perm_log_once_new(perm_sync_conf_t *conf, perm_tuple_t *tuple, perm_str_t field)
{
    uint64_t      hash;
    perm_tuple_t  place;
    perm_zone_t  *zone;

    zone = conf->zone.zone;

    place = *tuple;
    place.resource = field;
    hash = perm_tuple_hash(&place, zone->seed);

    return perm_health_unreadable(&zone->health, hash);
}
