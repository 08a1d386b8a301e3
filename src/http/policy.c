
#include "http/policy.h"


/* what $1 and the like mean to the location */

typedef struct {
    ngx_uint_t   n;            /* as nginx has it */
    u_char      *data;
    size_t       size;         /* bytes of those that are there */
    int          captures[1];
} perm_captures_t;


static ngx_inline ngx_int_t perm_policy_get(ngx_http_request_t *r,
    perm_complex_value_t *value, perm_captures_t *saved, perm_str_t *text);
static perm_policy_t perm_policy_anew(ngx_http_request_t *r,
    perm_loc_conf_t *plcf, perm_policy_t policy, perm_captures_t *saved);
static ngx_inline ngx_int_t perm_policy_save_captures(ngx_http_request_t *r,
    perm_captures_t **saved);
static ngx_inline void perm_policy_restore_captures(ngx_http_request_t *r,
    perm_captures_t *saved);


ngx_int_t
perm_policy_read(ngx_http_request_t *r, perm_loc_conf_t *plcf,
    perm_ctx_t *ctx)
{
    perm_str_t        text;
    perm_captures_t  *saved;

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
            ctx->policy = perm_policy_anew(r, plcf, ctx->policy, saved);
        }
    }

    if (ctx->policy == PERM_POLICY_OFF) {
        return NGX_OK;
    }

    if (perm_policy_get(r, &plcf->gateway, saved, &ctx->tuple.gateway)
        != NGX_OK
        || perm_policy_get(r, &plcf->resource, saved, &ctx->tuple.resource)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ctx->policy == PERM_POLICY_OPEN) {
        /* whoever calls: to find out may have its price */
        ctx->tuple.app.len = 0;
        ctx->tuple.app.data = NULL;
        return NGX_OK;
    }

    return perm_policy_get(r, &plcf->app, saved, &ctx->tuple.app);
}


/*
 * A request that has moved on to another location asks for a grant, or fails,
 * where its map says so now, also when that is not "volatile".  Nothing else
 * that it says counts: the variable may have been set since.
 */

static perm_policy_t
perm_policy_anew(ngx_http_request_t *r, perm_loc_conf_t *plcf,
    perm_policy_t policy, perm_captures_t *saved)
{
    ngx_int_t      rc;
    perm_str_t     text;
    perm_policy_t  now;

    rc = perm_complex_value_anew(r, &plcf->policy_value, &text);

    if (rc == NGX_DECLINED) {
        return policy;
    }

    now = (rc == NGX_OK) ? perm_decision_policy(text) : PERM_POLICY_INVALID;

    perm_policy_restore_captures(r, saved);

    return (now == PERM_POLICY_OPEN || now == PERM_POLICY_OFF) ? policy : now;
}


/*
 * A map with a regular expression puts its own captures in place of those of
 * the location: no value is to depend on which ones were read before it, nor
 * is what comes after the check.
 */

static ngx_inline ngx_int_t
perm_policy_get(ngx_http_request_t *r, perm_complex_value_t *value,
    perm_captures_t *saved, perm_str_t *text)
{
    if (perm_complex_value_get(r, value, text) != NGX_OK) {
        return NGX_ERROR;
    }

    perm_policy_restore_captures(r, saved);

    return NGX_OK;
}


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

    /* an expression without captures counts one, and may have no room for it */

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
