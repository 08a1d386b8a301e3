
#include "http/suspend.h"


static perm_suspend_t *perm_suspend_create(perm_ctx_t *ctx);
static void perm_suspend_answered(void *data, perm_grants_reply_t *reply);
static void perm_suspend_slow(ngx_event_t *ev);
static void perm_suspend_resume(perm_ctx_t *ctx, perm_suspend_state_t state);
static void perm_suspend_cancel(void *data);


ngx_int_t
perm_suspend_fetch(perm_ctx_t *ctx, ngx_uint_t flags, ngx_uint_t slow)
{
    ngx_int_t        rc;
    perm_suspend_t  *suspend;

    suspend = perm_suspend_create(ctx);

    if (suspend == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = perm_fetch(ctx->pmcf->worker->fetch, &ctx->tuple, ctx->hash, flags,
                    &suspend->waiter);
    if (rc != NGX_OK) {
        return rc;
    }

    perm_ctx_debug(ctx, "suspended");

    if (slow) {
        ngx_add_timer(&suspend->slow, PERM_FETCH_SLOW);
    }

    rc = perm_suspend_wait(ctx);

    if (rc == NGX_HTTP_INTERNAL_SERVER_ERROR) {
        perm_suspend_cancel(suspend);
    }

    return rc;
}


/* one for each context: after a slow answer the request may wait again */

static perm_suspend_t *
perm_suspend_create(perm_ctx_t *ctx)
{
    perm_suspend_t      *suspend;
    ngx_http_cleanup_t  *cln;
    ngx_http_request_t  *r;

    r = ctx->request;

    if (ctx->suspend == NULL) {

        suspend = ngx_pcalloc(r->pool, sizeof(perm_suspend_t));
        cln = ngx_http_cleanup_add(r, 0);

        if (suspend == NULL || cln == NULL) {
            return NULL;
        }

        suspend->waiter.handler = perm_suspend_answered;
        suspend->waiter.data = ctx;

        suspend->slow.handler = perm_suspend_slow;
        suspend->slow.data = ctx;
        suspend->slow.log = r->connection->log;

        cln->handler = perm_suspend_cancel;
        cln->data = suspend;

        ctx->suspend = suspend;
    }

    ctx->suspend->state = PERM_SUSPEND_WAITING;
    ctx->suspend->since = ngx_current_msec;

    return ctx->suspend;
}


/*
 * In the manner of limit_req.  A content handler needs a reference of its own,
 * since nginx takes one away for the NGX_DONE.
 */

ngx_int_t
perm_suspend_wait(perm_ctx_t *ctx)
{
    ngx_event_t         *rev;
    ngx_http_request_t  *r;

    r = ctx->request;

    if (!r->discard_body) {
        /* to notice a client that leaves */

        rev = r->connection->read;

        if (rev->ready) {
            ngx_post_event(rev, &ngx_posted_events);

        } else if (ngx_handle_read_event(rev, 0) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        r->read_event_handler = ngx_http_test_reading;
    }

    r->write_event_handler = ngx_http_request_empty_handler;

    if (!ctx->content) {
        return NGX_AGAIN;
    }

    r->main->count++;

    return NGX_DONE;
}


static void
perm_suspend_answered(void *data, perm_grants_reply_t *reply)
{
    perm_ctx_t *ctx = data;

    ctx->suspend->reply = *reply;

    perm_ctx_debug(ctx, "resumed");

    perm_suspend_resume(ctx, PERM_SUSPEND_ANSWERED);
}


static void
perm_suspend_slow(ngx_event_t *ev)
{
    perm_ctx_t *ctx = ev->data;

    perm_ctx_debug(ctx, "slow");

    perm_suspend_resume(ctx, PERM_SUSPEND_SLOW);
}


static void
perm_suspend_resume(perm_ctx_t *ctx, perm_suspend_state_t state)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    perm_suspend_cancel(ctx->suspend);

    r = ctx->request;
    c = r->connection;

    if (ngx_http_get_module_ctx(r, ngx_http_app_permission_module) != ctx) {
        /* the client has left, and "post_action" took the request over */
        return;
    }

    ngx_http_set_log_request(c->log, r);

    ctx->suspend->state = state;

    if (r->read_event_handler == ngx_http_test_reading) {
        r->read_event_handler = ngx_http_block_reading;
    }

    r->write_event_handler = ngx_http_core_run_phases;

    ngx_http_core_run_phases(r);
    ngx_http_run_posted_requests(c);
}


/* neither the answer nor the timer comes; also a request's cleanup handler */

static void
perm_suspend_cancel(void *data)
{
    perm_suspend_t *suspend = data;

    perm_fetch_cancel(&suspend->waiter);

    if (suspend->slow.timer_set) {
        ngx_del_timer(&suspend->slow);
    }
}
