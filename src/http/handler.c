
#include "http/handler.h"

#include "http/account.h"
#include "http/check.h"
#include "http/policy.h"
#include "http/response.h"
#include "http/suspend.h"


#define PERM_REFRESH_RETRY  5000    /* ms until another may try a refresh */


static ngx_int_t perm_handler_begin(ngx_http_request_t *r,
    perm_loc_conf_t *plcf);
static ngx_int_t perm_handler_lookup(ngx_http_request_t *r,
    perm_loc_conf_t *plcf, perm_check_t *check);
static int64_t perm_handler_valid(perm_loc_conf_t *plcf,
    perm_check_t *check);
static ngx_uint_t perm_handler_fresh(perm_loc_conf_t *plcf,
    perm_check_t *check, perm_cache_entry_t *entry);
static ngx_int_t perm_handler_hit(ngx_http_request_t *r,
    perm_loc_conf_t *plcf, perm_check_t *check, perm_cache_entry_t *entry);
static ngx_uint_t perm_handler_fit(ngx_http_request_t *r,
    perm_loc_conf_t *plcf, perm_check_t *check, perm_cache_entry_t *entry);
static ngx_uint_t perm_handler_known(ngx_http_request_t *r,
    perm_loc_conf_t *plcf, perm_check_t *check, perm_cache_entry_t *entry);
static ngx_int_t perm_handler_stale(ngx_http_request_t *r,
    perm_loc_conf_t *plcf, perm_check_t *check, perm_cache_entry_t *entry);
static ngx_int_t perm_handler_resume(ngx_http_request_t *r,
    perm_loc_conf_t *plcf, perm_check_t *check);
static ngx_int_t perm_handler_impossible(ngx_http_request_t *r,
    perm_loc_conf_t *plcf, perm_check_t *check);
static ngx_int_t perm_handler_decided(ngx_http_request_t *r,
    perm_loc_conf_t *plcf, perm_check_t *check);
static ngx_int_t perm_handler_allow(ngx_http_request_t *r,
    perm_loc_conf_t *plcf, perm_check_t *check);
static void perm_handler_record(perm_main_conf_t *pmcf, perm_check_t *check,
    perm_cache_entry_t *entry);


ngx_int_t
perm_handler(ngx_http_request_t *r)
{
    perm_check_t     *check;
    perm_loc_conf_t  *plcf;

    if (r != r->main) {
        return NGX_DECLINED;
    }

    plcf = ngx_http_get_module_loc_conf(r, ngx_http_app_permission_module);

    if (plcf->policy == PERM_POLICY_OFF) {
        return NGX_DECLINED;
    }

    check = ngx_http_get_module_ctx(r, ngx_http_app_permission_module);

    if (check == NULL) {
        return perm_handler_begin(r, plcf);
    }

    switch (check->step) {

    case PERM_CHECK_WAITING:
        return NGX_AGAIN;

    case PERM_CHECK_ANSWERED:
        return perm_handler_resume(r, plcf, check);

    case PERM_CHECK_IMPATIENT:
        return perm_handler_lookup(r, plcf, check);

    default:
        return NGX_DECLINED;
    }
}


static ngx_int_t
perm_handler_begin(ngx_http_request_t *r, perm_loc_conf_t *plcf)
{
    perm_call_t   *call;
    perm_check_t  *check;

    if (perm_check_get(r)) {
        perm_response_forget(r);
    }

    check = perm_check_create(r);
    if (check == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    check->started = perm_account_start();

    if (perm_policy_read(r, plcf, check) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (check->policy == PERM_POLICY_OFF) {
        check->step = PERM_CHECK_DECIDED;
        return NGX_DECLINED;
    }

    call = &check->call;

    /*
     * Names that the cache holds byte for byte are valid, which is not worth
     * finding out for every hit.
     */

    if (check->policy == PERM_POLICY_REQUIRED
        && call->gateway.len <= PERM_GATEWAY_MAX
        && call->resource.len <= PERM_RESOURCE_MAX
        && call->app.len <= PERM_APP_MAX)
    {
        return perm_handler_lookup(r, plcf, check);
    }

    (void) perm_decide_early(check->policy, call->gateway, call->resource,
                             call->app, &check->decision);

    return perm_handler_decided(r, plcf, check);
}


static ngx_int_t
perm_handler_lookup(ngx_http_request_t *r, perm_loc_conf_t *plcf,
    perm_check_t *check)
{
    ngx_int_t            rc;
    ngx_uint_t           live, known;
    perm_call_t         *call;
    perm_zone_t         *zone;
    perm_main_conf_t    *pmcf;
    perm_cache_entry_t   entry;

    pmcf = ngx_http_get_module_main_conf(r, ngx_http_app_permission_module);
    zone = pmcf->zone.zone;
    call = &check->call;

    check->hash = perm_call_hash(call, zone->seed);

    live = 0;
    known = 0;
    rc = perm_cache_lookup(zone->cache, call, check->hash, ngx_current_msec,
                           &entry);

    if (rc == NGX_OK) {
        check->decision = perm_decide(entry.grants, ngx_time());

        if (perm_handler_fresh(plcf, check, &entry)) {
            return perm_handler_hit(r, plcf, check, &entry);
        }

        live = (check->decision.outcome == PERM_ALLOW);

        known = perm_handler_known(r, plcf, check, &entry);

        if (known && perm_fetch_late(pmcf->fetch)) {
            (void) perm_fetch(pmcf->fetch, call, check->hash, live, NULL,
                              NULL, NULL);
            return perm_handler_stale(r, plcf, check, &entry);
        }

    } else if (perm_decide_early(check->policy, call->gateway, call->resource,
                                 call->app, &check->decision))
    {
        return perm_handler_decided(r, plcf, check);
    }

    if (check->step == PERM_CHECK_NEW) {
        check->started = perm_account_clock();
    }

    rc = perm_fetch(pmcf->fetch, call, check->hash, live,
                    perm_suspend_answered, r, &check->waiter);

    if (rc == NGX_AGAIN) {
        return perm_suspend(r, check, known);
    }

    return perm_handler_impossible(r, plcf, check);
}


static int64_t
perm_handler_valid(perm_loc_conf_t *plcf, perm_check_t *check)
{
    return (check->decision.outcome == PERM_ALLOW) ? plcf->valid
                                                   : plcf->valid_denied;
}


static ngx_uint_t
perm_handler_fresh(perm_loc_conf_t *plcf, perm_check_t *check,
    perm_cache_entry_t *entry)
{
    int64_t  age;

    age = (int64_t) ngx_current_msec - entry->fetched;

    return entry->trusted && age < perm_handler_valid(plcf, check);
}


static ngx_int_t
perm_handler_hit(ngx_http_request_t *r, perm_loc_conf_t *plcf,
    perm_check_t *check, perm_cache_entry_t *entry)
{
    int64_t            age;
    perm_main_conf_t  *pmcf;

    pmcf = ngx_http_get_module_main_conf(r, ngx_http_app_permission_module);

    check->cache = PERM_CACHE_HIT;
    check->fetched = entry->fetched;

    if (check->decision.outcome == PERM_ALLOW) {
        age = (int64_t) ngx_current_msec - entry->fetched;

        if (age > (int64_t) (plcf->valid - plcf->valid / 4)
            && perm_cache_claim(pmcf->zone.zone->cache, entry,
                                ngx_current_msec, PERM_REFRESH_RETRY))
        {
            (void) ngx_atomic_fetch_add(&pmcf->stats->refreshes, 1);
            (void) perm_fetch(pmcf->fetch, &check->call, check->hash, 1,
                              NULL, NULL, NULL);
        }

        if (plcf->record && !perm_cache_accessed(entry, ngx_time())) {
            perm_handler_record(pmcf, check, entry);
        }
    }

    return perm_handler_decided(r, plcf, check);
}


/* may it decide where there is nobody to ask? */

static ngx_uint_t
perm_handler_fit(ngx_http_request_t *r, perm_loc_conf_t *plcf,
    perm_check_t *check, perm_cache_entry_t *entry)
{
    int64_t            age;
    perm_main_conf_t  *pmcf;

    pmcf = ngx_http_get_module_main_conf(r, ngx_http_app_permission_module);

    if (!plcf->stale
        || !perm_zone_unchanged(pmcf->zone.zone, &check->call, entry))
    {
        return 0;
    }

    age = (int64_t) ngx_current_msec - entry->fetched;

    return age < perm_handler_valid(plcf, check) + (int64_t) plcf->stale;
}


/*
 * May it decide where the answer is late?  Where changes are pushed, only its
 * time is over.  Not where nothing is to be cached.
 */

static ngx_uint_t
perm_handler_known(ngx_http_request_t *r, perm_loc_conf_t *plcf,
    perm_check_t *check, perm_cache_entry_t *entry)
{
    perm_main_conf_t  *pmcf;

    pmcf = ngx_http_get_module_main_conf(r, ngx_http_app_permission_module);

    return entry->trusted
           && pmcf->zone.zone->health.tracking
           && perm_handler_valid(plcf, check) > 0
           && perm_handler_fit(r, plcf, check, entry);
}


static ngx_int_t
perm_handler_stale(ngx_http_request_t *r, perm_loc_conf_t *plcf,
    perm_check_t *check, perm_cache_entry_t *entry)
{
    check->cache = PERM_CACHE_STALE;
    check->fetched = entry->fetched;

    return perm_handler_decided(r, plcf, check);
}


static ngx_int_t
perm_handler_resume(ngx_http_request_t *r, perm_loc_conf_t *plcf,
    perm_check_t *check)
{
    if (check->result != PERM_FETCHED) {
        return perm_handler_impossible(r, plcf, check);
    }

    return perm_handler_decided(r, plcf, check);
}


/*
 * No answer to be had: what is known goes on for a while.  Looked up anew,
 * since meanwhile the key may have been reported as changed.
 */

static ngx_int_t
perm_handler_impossible(ngx_http_request_t *r, perm_loc_conf_t *plcf,
    perm_check_t *check)
{
    perm_main_conf_t    *pmcf;
    perm_cache_entry_t   entry;

    pmcf = ngx_http_get_module_main_conf(r, ngx_http_app_permission_module);

    if (perm_cache_lookup(pmcf->zone.zone->cache, &check->call, check->hash,
                          ngx_current_msec, &entry)
        == NGX_OK)
    {
        check->decision = perm_decide(entry.grants, ngx_time());

        if (perm_handler_fit(r, plcf, check, &entry)) {
            return perm_handler_stale(r, plcf, check, &entry);
        }
    }

    check->cache = PERM_CACHE_MISS;
    check->decision = perm_decide_unavailable(plcf->on_error_allow);

    return perm_handler_decided(r, plcf, check);
}


static ngx_int_t
perm_handler_decided(ngx_http_request_t *r, perm_loc_conf_t *plcf,
    perm_check_t *check)
{
    check->step = PERM_CHECK_DECIDED;

    perm_account_count(r, plcf, check);

    if (perm_account_noted(check)) {
        perm_account_note(r, plcf, check);
    }

    if (check->decision.outcome == PERM_ALLOW) {
        return perm_handler_allow(r, plcf, check);
    }

    if (plcf->dry_run) {
        return NGX_DECLINED;
    }

    return perm_response_send(r, plcf, check);
}


static ngx_int_t
perm_handler_allow(ngx_http_request_t *r, perm_loc_conf_t *plcf,
    perm_check_t *check)
{
    int64_t            expires;
    perm_main_conf_t  *pmcf;

    expires = check->decision.expires;

    if (expires < 0) {
        /* no grant allowed it: "open", or "on_error allow" */
        return NGX_DECLINED;
    }

    if (plcf->record && check->cache != PERM_CACHE_HIT) {
        pmcf = ngx_http_get_module_main_conf(r,
                                             ngx_http_app_permission_module);
        perm_handler_record(pmcf, check, NULL);
    }

    if (plcf->expires_header && expires < PERM_GRANT_PERMANENT
        && perm_response_expires_in(r, expires - ngx_time()) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return NGX_DECLINED;
}


static void
perm_handler_record(perm_main_conf_t *pmcf, perm_check_t *check,
    perm_cache_entry_t *entry)
{
    (void) perm_recorder_record(pmcf->zone.zone->recorder, &check->call,
                                check->hash, ngx_time());

    if (entry != NULL) {
        perm_cache_note_access(entry, ngx_time());
    }
}
