
/*
 * Requests as the handler of the PRECONTENT phase sees them, and what of nginx
 * and of the module's HTTP floor is around it.
 */


#include "sim.h"

#include "http/handler.h"
#include "http/metrics.h"
#include "http/policy.h"
#include "http/response.h"


#define SIM_CALLS  64


static sim_call_t       sim_calls[SIM_CALLS];
static perm_loc_conf_t  sim_location;

static char          sim_names[SIM_TUPLES][3][16];
static perm_tuple_t  sim_tuples[SIM_TUPLES];


static void sim_call_run(sim_call_t *call);
static void sim_call_end(sim_call_t *call, ngx_uint_t killed);


/* ---- the HTTP floor ------------------------------------------------------ */

perm_ctx_t *
perm_ctx_create(ngx_http_request_t *r)
{
    perm_ctx_t  *ctx;
    sim_call_t  *call = (sim_call_t *) r;

    ctx = ngx_pcalloc(r->pool, sizeof(perm_ctx_t));

    ctx->request = r;
    ctx->pmcf = &call->worker->main;
    ctx->plcf = &sim_location;

    r->ctx[0] = ctx;

    return ctx;
}


perm_ctx_t *
perm_ctx_publish(perm_ctx_t *ctx)
{
    return NULL;
}


ngx_int_t
perm_policy_read(perm_ctx_t *ctx)
{
    ctx->policy = PERM_POLICY_REQUIRED;
    ctx->tuple = *sim_tuple(((sim_call_t *) ctx->request)->tuple);

    return NGX_OK;
}


uint64_t
perm_metrics_start(void)
{
    return 0;
}


void
perm_metrics_count(perm_ctx_t *ctx)
{
    sim_judge_decided((sim_call_t *) ctx->request, ctx);
}


ngx_int_t
perm_response_send(perm_ctx_t *ctx)
{
    return NGX_DONE;
}


void
perm_response_forget(ngx_http_request_t *r)
{
}


ngx_int_t
perm_response_decision(perm_ctx_t *ctx)
{
    return NGX_OK;
}


ngx_int_t
perm_response_expires_in(ngx_http_request_t *r, int64_t seconds)
{
    return NGX_OK;
}


/* ---- nginx --------------------------------------------------------------- */

ngx_http_cleanup_t *
ngx_http_cleanup_add(ngx_http_request_t *r, size_t size)
{
    ngx_http_cleanup_t  *cln;

    cln = ngx_pcalloc(r->pool, sizeof(ngx_http_cleanup_t));
    cln->next = r->cleanup;
    r->cleanup = cln;

    return cln;
}


void
ngx_http_core_run_phases(ngx_http_request_t *r)
{
    sim_call_run((sim_call_t *) r);
}


void
ngx_http_run_posted_requests(ngx_connection_t *c)
{
}


void
ngx_http_test_reading(ngx_http_request_t *r)
{
}


void
ngx_http_block_reading(ngx_http_request_t *r)
{
}


void
ngx_http_request_empty_handler(ngx_http_request_t *r)
{
}


/* ---- calls --------------------------------------------------------------- */

perm_tuple_t *
sim_tuple(ngx_uint_t n)
{
    ngx_uint_t     key;
    perm_tuple_t  *tuple;

    tuple = &sim_tuples[n];
    key = sim_tuple_key(n);

    if (tuple->app.len == 0) {
        tuple->gateway.data = sim_names[n][0];
        tuple->gateway.len = sprintf(sim_names[n][0], "g%u",
                                     (unsigned) (key / SIM_APPS));
        tuple->resource.data = sim_names[n][1];
        tuple->resource.len = sprintf(sim_names[n][1], "r%u",
                                      (unsigned) sim_tuple_field(n));
        tuple->app.data = sim_names[n][2];
        tuple->app.len = sprintf(sim_names[n][2], "a%u",
                                 (unsigned) (key % SIM_APPS));
    }

    return tuple;
}


void
sim_call(ngx_uint_t tuple)
{
    ngx_uint_t   i;
    sim_call_t  *call;

    for (i = 0; i < SIM_CALLS && sim_calls[i].worker; i++) { /* void */ }

    if (i == SIM_CALLS) {
        return;
    }

    sim_location.policy = PERM_POLICY_REQUIRED;
    sim_location.record = 1;
    sim_location.valid = sim_conf.valid;
    sim_location.refresh = sim_conf.valid * 3 / 4;
    sim_location.valid_denied = sim_conf.valid_denied;
    sim_location.stale = sim_conf.stale;

    call = &sim_calls[i];
    memset(call, 0, sizeof(sim_call_t));

    call->worker = sim_worker;
    call->process = sim_worker->process;
    call->tuple = tuple;
    call->began = sim_now;

    call->log = *ngx_cycle->log;
    call->log.data = &call->log_ctx;
    call->c.log = &call->log;
    call->c.read = &call->read;

    call->loc_conf[0] = &sim_location;

    call->r.main = &call->r;
    call->r.connection = &call->c;
    call->r.pool = ngx_create_pool(2048, ngx_cycle->log);
    call->r.ctx = call->ctx;
    call->r.loc_conf = call->loc_conf;
    call->r.count = 1;

    sim_judge_begun(call);
    sim_call_run(call);
}


static void
sim_call_run(sim_call_t *call)
{
    (void) perm_handler(&call->r);

    if (call->done) {
        sim_call_end(call, 0);
    }
}


static void
sim_call_end(sim_call_t *call, ngx_uint_t killed)
{
    ngx_http_cleanup_t  *cln;

    if (!killed) {
        for (cln = call->r.cleanup; cln; cln = cln->next) {
            if (cln->handler) {
                cln->handler(cln->data);
            }
        }
    }

    ngx_destroy_pool(call->r.pool);
    call->worker = NULL;
}


void
sim_call_cancel(void)
{
    ngx_uint_t  i;

    for (i = 0; i < SIM_CALLS; i++) {
        if (sim_calls[i].worker == sim_worker && sim_chance(300)) {
            sim_call_end(&sim_calls[i], 0);
        }
    }
}


void
sim_calls_killed(sim_worker_t *worker)
{
    ngx_uint_t  i;

    for (i = 0; i < SIM_CALLS; i++) {
        if (sim_calls[i].worker == worker) {
            sim_call_end(&sim_calls[i], 1);
        }
    }
}
