
#include "http/policy.h"


/* the captures of the location's regular expression: $1 and the like */

typedef struct {
    ngx_uint_t   n;            /* r->ncaptures */
    u_char      *data;         /* r->captures_data */
    size_t       size;         /* bytes of captures[] */
    int          captures[1];
} perm_captures_t;


static perm_policy_t perm_policy_recompute(perm_ctx_t *ctx,
    perm_captures_t *saved);
static ngx_inline ngx_int_t perm_policy_get(ngx_http_request_t *r,
    perm_complex_value_t *value, perm_captures_t *saved, perm_str_t *text);
static ngx_inline ngx_int_t perm_policy_save_captures(ngx_http_request_t *r,
    perm_captures_t **saved);
static ngx_inline void perm_policy_restore_captures(ngx_http_request_t *r,
    perm_captures_t *saved);


ngx_int_t
perm_policy_read(perm_ctx_t *ctx)
{
    perm_str_t           text;
    perm_tuple_t        *tuple;
    perm_captures_t     *saved;
    perm_loc_conf_t     *plcf;
    ngx_http_request_t  *r;

    r = ctx->request;
    plcf = ctx->plcf;
    tuple = &ctx->tuple;

    if (perm_policy_save_captures(r, &saved) != NGX_OK) {
        return NGX_ERROR;
    }

    ctx->policy = plcf->policy;

    if (ctx->policy == PERM_POLICY_INVALID) {

        if (perm_policy_get(r, &plcf->policy_value, saved, &text) != NGX_OK) {
            return NGX_ERROR;
        }

        ctx->policy = perm_decision_policy(text);

        if (r->internal
            && (ctx->policy == PERM_POLICY_OPEN
                || ctx->policy == PERM_POLICY_OFF))
        {
            ctx->policy = perm_policy_recompute(ctx, saved);
        }
    }

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "app_permission: policy %d", ctx->policy);

    if (ctx->policy == PERM_POLICY_OFF) {
        return NGX_OK;
    }

    if (perm_policy_get(r, &plcf->gateway, saved, &tuple->gateway) != NGX_OK
        || perm_policy_get(r, &plcf->resource, saved, &tuple->resource)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ctx->policy == PERM_POLICY_OPEN) {
        /* nobody needs the app, and some variables are dear */
        tuple->app.len = 0;
        tuple->app.data = NULL;
        return NGX_OK;
    }

    return perm_policy_get(r, &plcf->app, saved, &tuple->app);
}


/*
 * For a request that an internal redirect has led here.  nginx still has the
 * policy that the map gave for the location before.  When the map gives
 * "required" or nothing valid for this location, that counts.  When it gives
 * "open" or "off", the kept policy stays: "set" or "auth_request_set" may have
 * assigned the variable since.
 */

static perm_policy_t
perm_policy_recompute(perm_ctx_t *ctx, perm_captures_t *saved)
{
    ngx_int_t      rc;
    perm_str_t     text;
    perm_policy_t  policy;

    rc = perm_complex_value_recompute(ctx->request, &ctx->plcf->policy_value,
                                      &text);

    perm_policy_restore_captures(ctx->request, saved);

    if (rc == NGX_DECLINED) {
        return ctx->policy;
    }

    policy = (rc == NGX_OK) ? perm_decision_policy(text) : PERM_POLICY_INVALID;

    return (policy == PERM_POLICY_OPEN || policy == PERM_POLICY_OFF)
           ? ctx->policy : policy;
}


/*
 * A map with a regular expression replaces the captures of the location.  They
 * are put back, so that the next value and the rest of the request see those
 * of the location.
 */

static ngx_inline ngx_int_t
perm_policy_get(ngx_http_request_t *r, perm_complex_value_t *value,
    perm_captures_t *saved, perm_str_t *text)
{
    if (value->fixed) {
        *text = value->text;
        return NGX_OK;
    }

    if (perm_complex_value_get(r, value, text) != NGX_OK) {
        return NGX_ERROR;
    }

    perm_policy_restore_captures(r, saved);

    return NGX_OK;
}


/* *saved is NULL where there is nothing to save */

static ngx_inline ngx_int_t
perm_policy_save_captures(ngx_http_request_t *r, perm_captures_t **saved)
{
#if (NGX_PCRE)
    size_t                      size;
    ngx_http_core_main_conf_t  *cmcf;
#endif

    *saved = NULL;

#if (NGX_PCRE)

    if (r->ncaptures == 0) {
        return NGX_OK;
    }

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);

    /* a regular expression without captures counts one, and nginx may have no
       array then */

    size = r->captures ? ngx_min(r->ncaptures, cmcf->ncaptures) * sizeof(int)
                       : 0;

    *saved = ngx_palloc(r->pool, sizeof(perm_captures_t) + size);
    if (*saved == NULL) {
        return NGX_ERROR;
    }

    (*saved)->n = r->ncaptures;
    (*saved)->data = r->captures_data;
    (*saved)->size = size;

    if (size) {
        ngx_memcpy((*saved)->captures, r->captures, size);
    }

#endif

    return NGX_OK;
}


static ngx_inline void
perm_policy_restore_captures(ngx_http_request_t *r, perm_captures_t *saved)
{
#if (NGX_PCRE)

    if (saved == NULL) {
        r->ncaptures = 0;
        return;
    }

    r->ncaptures = saved->n;
    r->captures_data = saved->data;

    if (saved->size) {
        ngx_memcpy(r->captures, saved->captures, saved->size);
    }

#endif
}
