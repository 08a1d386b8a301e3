
#include "http/policy.h"


typedef ngx_int_t (*perm_policy_get_pt)(ngx_http_request_t *r,
    perm_complex_value_t *value, perm_str_t *text);


static perm_policy_t perm_policy_recompute(perm_ctx_t *ctx);
static ngx_inline ngx_int_t perm_policy_get(ngx_http_request_t *r,
    perm_complex_value_t *value, perm_str_t *text);
static ngx_inline ngx_int_t perm_policy_call(perm_policy_get_pt get,
    ngx_http_request_t *r, perm_complex_value_t *value, perm_str_t *text);


ngx_int_t
perm_policy_read(perm_ctx_t *ctx)
{
    perm_str_t           text;
    perm_tuple_t        *tuple;
    perm_loc_conf_t     *plcf;
    ngx_http_request_t  *r;

    r = ctx->request;
    plcf = ctx->plcf;
    tuple = &ctx->tuple;

    ctx->policy = plcf->policy;

    if (ctx->policy == PERM_POLICY_INVALID) {

        if (perm_policy_get(r, &plcf->policy_value, &text) != NGX_OK) {
            return NGX_ERROR;
        }

        ctx->policy = perm_decision_policy(text);

        if (r->internal
            && (ctx->policy == PERM_POLICY_OPEN
                || ctx->policy == PERM_POLICY_OFF))
        {
            ctx->policy = perm_policy_recompute(ctx);
        }

        ngx_log_debug1(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                       "app_permission: policy %d", ctx->policy);
    }

    if (ctx->policy == PERM_POLICY_OFF) {
        return NGX_OK;
    }

    if (perm_policy_get(r, &plcf->gateway, &tuple->gateway) != NGX_OK
        || perm_policy_get(r, &plcf->resource, &tuple->resource) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ctx->policy == PERM_POLICY_OPEN && plcf->self == NULL) {
        /* nobody needs the app, and some variables are dear */
        tuple->app.len = 0;
        tuple->app.data = NULL;
        return NGX_OK;
    }

    return perm_policy_get(r, &plcf->app, &tuple->app);
}


/*
 * For a request that an internal redirect has led here.  nginx still has the
 * policy that the map gave for the location before.  When the map gives
 * "required" or nothing valid for this location, that counts.  When it gives
 * "open" or "off", the kept policy stays: "set" or "auth_request_set" may have
 * assigned the variable since.
 */

static perm_policy_t
perm_policy_recompute(perm_ctx_t *ctx)
{
    ngx_int_t      rc;
    perm_str_t     text;
    perm_policy_t  policy;

    rc = perm_policy_call(perm_complex_value_recompute, ctx->request,
                          &ctx->plcf->policy_value, &text);

    if (rc == NGX_DECLINED) {
        return ctx->policy;
    }

    policy = (rc == NGX_OK) ? perm_decision_policy(text) : PERM_POLICY_INVALID;

    return (policy == PERM_POLICY_OPEN || policy == PERM_POLICY_OFF)
           ? ctx->policy : policy;
}


static ngx_inline ngx_int_t
perm_policy_get(ngx_http_request_t *r, perm_complex_value_t *value,
    perm_str_t *text)
{
    if (value->fixed) {
        *text = value->text;
        return NGX_OK;
    }

    return perm_policy_call(perm_complex_value_get, r, value, text);
}


/*
 * A map with a regular expression sets captures ($1 and the like).  They go to
 * an array of their own, which begins as a copy: the text may have captures of
 * the location.  Then those are put back, for the next value and the rest of
 * the request.
 */

static ngx_inline ngx_int_t
perm_policy_call(perm_policy_get_pt get, ngx_http_request_t *r,
    perm_complex_value_t *value, perm_str_t *text)
{
    ngx_int_t                   rc;
#if (NGX_PCRE)
    int                        *captures;
    u_char                     *data;
    ngx_uint_t                  n, shared;
    ngx_http_core_main_conf_t  *cmcf;

    n = r->ncaptures;
    captures = r->captures;
    data = r->captures_data;
    shared = r->realloc_captures;

    /*
     * "realloc_captures" alone loses $1 where no expression matches: before
     * 1.31.3 nginx reads a new array then that nothing was written to.
     */

    r->realloc_captures = 1;

    if (n && captures) {
        cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);

        r->captures = ngx_palloc(r->pool, cmcf->ncaptures * sizeof(int));
        if (r->captures == NULL) {
            r->captures = captures;
            return NGX_ERROR;
        }

        ngx_memcpy(r->captures, captures,
                   ngx_min(n, cmcf->ncaptures) * sizeof(int));
        r->realloc_captures = 0;
    }
#endif

    rc = get(r, value, text);

#if (NGX_PCRE)
    r->ncaptures = n;
    r->captures = captures;
    r->captures_data = data;
    r->realloc_captures = shared;
#endif

    return rc;
}
