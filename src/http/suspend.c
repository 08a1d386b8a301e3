
#include "http/suspend.h"


static ngx_int_t perm_suspend_patience(ngx_http_request_t *r,
    perm_check_t *check);
static void perm_suspend_impatient(ngx_event_t *ev);
static void perm_suspend_continue(ngx_http_request_t *r,
    perm_check_t *check, perm_check_step_t step);
static void perm_suspend_abandoned(void *data);


/* in the manner of limit_req */

ngx_int_t
perm_suspend(ngx_http_request_t *r, perm_check_t *check,
    ngx_uint_t known)
{
    ngx_http_cleanup_t  *cln;

    check->step = PERM_CHECK_WAITING;

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        perm_suspend_abandoned(check);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln->handler = perm_suspend_abandoned;
    cln->data = check;

    if (known && perm_suspend_patience(r, check) != NGX_OK) {
        perm_suspend_abandoned(check);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (r->connection->read->ready) {
        ngx_post_event(r->connection->read, &ngx_posted_events);

    } else if (ngx_handle_read_event(r->connection->read, 0) != NGX_OK) {
        /* "error_page" may have the request begin anew */
        perm_suspend_abandoned(check);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    return NGX_AGAIN;
}


static ngx_int_t
perm_suspend_patience(ngx_http_request_t *r, perm_check_t *check)
{
    ngx_event_t  *patience;

    patience = check->patience;

    if (patience == NULL) {
        patience = ngx_pcalloc(r->pool, sizeof(ngx_event_t));
        if (patience == NULL) {
            return NGX_ERROR;
        }

        patience->handler = perm_suspend_impatient;
        patience->data = r;
        patience->log = r->connection->log;

        check->patience = patience;
    }

    ngx_add_timer(patience, PERM_FETCH_LATE);

    return NGX_OK;
}


void
perm_suspend_answered(void *data, perm_fetch_result_t result,
    perm_grants_t *grants)
{
    ngx_http_request_t *r = data;

    perm_check_t  *check;

    check = ngx_http_get_module_ctx(r, ngx_http_app_permission_module);

    check->waiter = NULL;
    check->result = result;

    if (result == PERM_FETCHED) {
        check->cache = PERM_CACHE_MISS;
        check->decision = perm_decide(*grants, ngx_time());
    }

    perm_suspend_abandoned(check);
    perm_suspend_continue(r, check, PERM_CHECK_ANSWERED);
}


static void
perm_suspend_impatient(ngx_event_t *ev)
{
    ngx_http_request_t *r = ev->data;

    perm_check_t  *check;

    check = ngx_http_get_module_ctx(r, ngx_http_app_permission_module);

    perm_suspend_abandoned(check);
    perm_suspend_continue(r, check, PERM_CHECK_IMPATIENT);
}


static void
perm_suspend_continue(ngx_http_request_t *r, perm_check_t *check,
    perm_check_step_t step)
{
    ngx_connection_t  *c;

    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    check->step = step;

    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = ngx_http_core_run_phases;

    ngx_http_core_run_phases(r);
    ngx_http_run_posted_requests(c);
}


static void
perm_suspend_abandoned(void *data)
{
    perm_check_t *check = data;

    if (check->waiter) {
        perm_fetch_cancel(check->waiter);
        check->waiter = NULL;
    }

    if (check->patience && check->patience->timer_set) {
        ngx_del_timer(check->patience);
    }
}
