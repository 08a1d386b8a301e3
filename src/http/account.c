
#include "http/account.h"

#include "http/refusal.h"


static void perm_account_resource(perm_zone_t *zone, perm_loc_conf_t *plcf,
    perm_check_t *check);


uint64_t
perm_account_start(void)
{
    static ngx_uint_t  requests;

    return (requests++ % PERM_ACCOUNT_SAMPLE) ? 0 : perm_account_clock();
}


uint64_t
perm_account_clock(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}


void
perm_account_count(ngx_http_request_t *r, perm_loc_conf_t *plcf,
    perm_check_t *check)
{
    perm_main_conf_t  *pmcf;

    pmcf = ngx_http_get_module_main_conf(r, ngx_http_app_permission_module);

    perm_stats_count(pmcf->stats,
                     check->decision.outcome != PERM_ALLOW && plcf->dry_run,
                     check->decision.outcome, check->decision.reason,
                     check->cache);
}


void
perm_account_note(ngx_http_request_t *r, perm_loc_conf_t *plcf,
    perm_check_t *check)
{
    int64_t            age;
    perm_zone_t       *zone;
    perm_main_conf_t  *pmcf;

    pmcf = ngx_http_get_module_main_conf(r, ngx_http_app_permission_module);
    zone = pmcf->zone.zone;

    if (check->started && check->cache != PERM_CACHE_NONE) {
        perm_stats_time(pmcf->stats,
                        (check->cache == PERM_CACHE_HIT) ? PERM_HISTOGRAM_HIT
                                                         : PERM_HISTOGRAM_MISS,
                        perm_account_clock() - check->started);
    }

    perm_account_resource(zone, plcf, check);

    if (check->fetched) {
        /* another worker's clock may be a little ahead */

        age = (int64_t) ngx_current_msec - check->fetched;
        perm_stats_age(pmcf->stats, ngx_max(age, 0), ngx_time());
    }

    if (check->cache == PERM_CACHE_MISS
        || perm_forecast_soon(check->decision.expires, ngx_time()))
    {
        perm_forecast_note(zone->forecast, &check->call, check->hash,
                           check->decision.reason, check->decision.expires,
                           ngx_time());
    }

    if (check->decision.outcome != PERM_ALLOW) {
        perm_refusal_note(r, plcf, check);
    }
}


static void
perm_account_resource(perm_zone_t *zone, perm_loc_conf_t *plcf,
    perm_check_t *check)
{
    ngx_uint_t  weight;

    if (!perm_gateway_name_valid(check->call.gateway)
        || !perm_resource_name_valid(check->call.resource))
    {
        return;
    }

    weight = (check->cache == PERM_CACHE_HIT
              && check->decision.outcome == PERM_ALLOW)
             ? PERM_ACCOUNT_SAMPLE : 1;

    perm_resources_note(zone->resources, &check->call, check->policy,
                        plcf->dry_run, check->decision.outcome, weight,
                        ngx_time());
}
