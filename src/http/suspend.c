
#include "http/suspend.h"


static ngx_int_t perm_suspend_patience(ngx_http_request_t *r,
    perm_ctx_t *ctx);
static void perm_suspend_impatient(ngx_event_t *ev);
static void perm_suspend_continue(ngx_http_request_t *r,
    perm_ctx_t *ctx, perm_ctx_step_t step);
static void perm_suspend_abandoned(void *data);


/* in the manner of limit_req */

ngx_int_t
perm_suspend(ngx_http_request_t *r, perm_ctx_t *ctx,
    ngx_uint_t known)
{
    ngx_http_cleanup_t  *cln;

    ctx->step = PERM_CTX_WAITING;

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        perm_suspend_abandoned(ctx);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln->handler = perm_suspend_abandoned;
    cln->data = ctx;

    if (known && perm_suspend_patience(r, ctx) != NGX_OK) {
        perm_suspend_abandoned(ctx);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (r->connection->read->ready) {
        ngx_post_event(r->connection->read, &ngx_posted_events);

    } else if (ngx_handle_read_event(r->connection->read, 0) != NGX_OK) {
        /* "error_page" may have the request begin anew */
        perm_suspend_abandoned(ctx);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    return NGX_AGAIN;
}


static ngx_int_t
perm_suspend_patience(ngx_http_request_t *r, perm_ctx_t *ctx)
{
    ngx_event_t  *slow;

    slow = ctx->slow;

    if (slow == NULL) {
        slow = ngx_pcalloc(r->pool, sizeof(ngx_event_t));
        if (slow == NULL) {
            return NGX_ERROR;
        }

        slow->handler = perm_suspend_impatient;
        slow->data = r;
        slow->log = r->connection->log;

        ctx->slow = slow;
    }

    ngx_add_timer(slow, PERM_FETCH_LATE);

    return NGX_OK;
}


void
perm_suspend_answered(void *data, perm_fetch_reply_t *reply)
{
    ngx_http_request_t *r = data;

    perm_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_app_permission_module);

    ctx->waiter = NULL;
    ctx->result = reply->result;

    if (reply->result == PERM_FETCHED) {
        ctx->cache = PERM_CACHE_MISS;
        ctx->decision = perm_decision_make(reply->grants, ngx_time());
    }

    perm_suspend_abandoned(ctx);
    perm_suspend_continue(r, ctx, PERM_CTX_ANSWERED);
}


static void
perm_suspend_impatient(ngx_event_t *ev)
{
    ngx_http_request_t *r = ev->data;

    perm_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_app_permission_module);

    perm_suspend_abandoned(ctx);
    perm_suspend_continue(r, ctx, PERM_CTX_IMPATIENT);
}


static void
perm_suspend_continue(ngx_http_request_t *r, perm_ctx_t *ctx,
    perm_ctx_step_t step)
{
    ngx_connection_t  *c;

    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    ctx->step = step;

    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = ngx_http_core_run_phases;

    ngx_http_core_run_phases(r);
    ngx_http_run_posted_requests(c);
}


static void
perm_suspend_abandoned(void *data)
{
    perm_ctx_t *ctx = data;

    if (ctx->waiter) {
        perm_fetch_cancel(ctx->waiter);
        ctx->waiter = NULL;
    }

    if (ctx->slow && ctx->slow->timer_set) {
        ngx_del_timer(ctx->slow);
    }
}
