
#include "http/handler.h"

#include "http/account.h"
#include "http/check.h"
#include "http/policy.h"
#include "http/response.h"


#define PERM_REFRESH_RETRY  5000    /* ms until another may try a refresh */


static ngx_int_t perm_handler_begin(ngx_http_request_t *r,
    perm_loc_conf_t *plcf);
static ngx_int_t perm_handler_lookup(ngx_http_request_t *r,
    perm_loc_conf_t *plcf, perm_check_t *check);
static ngx_uint_t perm_handler_fresh(perm_loc_conf_t *plcf,
    perm_check_t *check, perm_cache_entry_t *entry);
static ngx_int_t perm_handler_hit(ngx_http_request_t *r,
    perm_loc_conf_t *plcf, perm_check_t *check, perm_cache_entry_t *entry);
static ngx_int_t perm_handler_suspend(ngx_http_request_t *r,
    perm_check_t *check);
static void perm_handler_answered(void *data, perm_fetch_result_t result,
    perm_grants_t *grants);
static void perm_handler_abandoned(void *data);
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

    default:
        return NGX_DECLINED;
    }
}


static ngx_int_t
perm_handler_begin(ngx_http_request_t *r, perm_loc_conf_t *plcf)
{
    perm_call_t   *call;
    perm_check_t  *check;

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
    ngx_uint_t           live;
    perm_call_t         *call;
    perm_zone_t         *zone;
    perm_main_conf_t    *pmcf;
    perm_cache_entry_t   entry;

    pmcf = ngx_http_get_module_main_conf(r, ngx_http_app_permission_module);
    zone = pmcf->zone.zone;
    call = &check->call;

    check->hash = perm_call_hash(call, zone->seed);

    live = 0;
    rc = perm_cache_lookup(zone->cache, call, check->hash, ngx_current_msec,
                           &entry);

    if (rc == NGX_OK) {
        check->decision = perm_decide(entry.grants, ngx_time());

        if (perm_handler_fresh(plcf, check, &entry)) {
            return perm_handler_hit(r, plcf, check, &entry);
        }

        live = (check->decision.outcome == PERM_ALLOW);

    } else if (perm_decide_early(check->policy, call->gateway, call->resource,
                                 call->app, &check->decision))
    {
        return perm_handler_decided(r, plcf, check);
    }

    check->started = perm_account_clock();

    rc = perm_fetch(pmcf->fetch, call, check->hash, live,
                    perm_handler_answered, r, &check->waiter);

    if (rc == NGX_AGAIN) {
        return perm_handler_suspend(r, check);
    }

    return perm_handler_impossible(r, plcf, check);
}


static ngx_uint_t
perm_handler_fresh(perm_loc_conf_t *plcf, perm_check_t *check,
    perm_cache_entry_t *entry)
{
    int64_t  age, valid;

    age = (int64_t) ngx_current_msec - entry->fetched;
    valid = (check->decision.outcome == PERM_ALLOW) ? plcf->valid
                                                    : plcf->valid_denied;

    return entry->trusted && age < valid;
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


/*
 * In the manner of limit_req: no reference is taken, the request stays in
 * this phase and enters it again when the answer is there.
 */

static ngx_int_t
perm_handler_suspend(ngx_http_request_t *r, perm_check_t *check)
{
    ngx_http_cleanup_t  *cln;

    check->step = PERM_CHECK_WAITING;

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        perm_fetch_cancel(check->waiter);
        check->waiter = NULL;
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln->handler = perm_handler_abandoned;
    cln->data = check;

    if (r->connection->read->ready) {
        ngx_post_event(r->connection->read, &ngx_posted_events);

    } else if (ngx_handle_read_event(r->connection->read, 0) != NGX_OK) {
        /* "error_page" may have the request begin anew */
        perm_handler_abandoned(check);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    return NGX_AGAIN;
}


static void
perm_handler_answered(void *data, perm_fetch_result_t result,
    perm_grants_t *grants)
{
    ngx_http_request_t *r = data;

    perm_check_t      *check;
    ngx_connection_t  *c;

    c = r->connection;
    check = ngx_http_get_module_ctx(r, ngx_http_app_permission_module);

    ngx_http_set_log_request(c->log, r);

    check->waiter = NULL;
    check->step = PERM_CHECK_ANSWERED;
    check->result = result;

    if (result == PERM_FETCHED) {
        check->cache = PERM_CACHE_MISS;
        check->decision = perm_decide(*grants, ngx_time());
    }

    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = ngx_http_core_run_phases;

    ngx_http_core_run_phases(r);
    ngx_http_run_posted_requests(c);
}


static void
perm_handler_abandoned(void *data)
{
    perm_check_t *check = data;

    if (check->waiter) {
        perm_fetch_cancel(check->waiter);
        check->waiter = NULL;
    }
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
    int64_t              age, valid;
    perm_main_conf_t    *pmcf;
    perm_cache_entry_t   entry;

    pmcf = ngx_http_get_module_main_conf(r, ngx_http_app_permission_module);

    if (plcf->stale
        && perm_cache_lookup(pmcf->zone.zone->cache, &check->call,
                             check->hash, ngx_current_msec, &entry)
           == NGX_OK
        && entry.unchanged)
    {
        age = (int64_t) ngx_current_msec - entry.fetched;
        check->decision = perm_decide(entry.grants, ngx_time());

        valid = (check->decision.outcome == PERM_ALLOW) ? plcf->valid
                                                        : plcf->valid_denied;

        if (age < valid + (int64_t) plcf->stale) {
            check->cache = PERM_CACHE_STALE;
            check->fetched = entry.fetched;
            return perm_handler_decided(r, plcf, check);
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
