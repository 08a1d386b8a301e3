
#include "http/ctx.h"


static ngx_int_t perm_ctx_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);


/* the blank keeps scripts from finding it; "if" can spell it, and finds
   nothing */

static ngx_str_t  perm_ctx_name = ngx_string("app_permission ctx");


ngx_int_t
perm_ctx_add_variable(ngx_conf_t *cf)
{
    perm_main_conf_t     *pmcf;
    ngx_http_variable_t  *var;

    var = ngx_http_add_variable(cf, &perm_ctx_name, NGX_HTTP_VAR_NOHASH);
    if (var == NULL) {
        return NGX_ERROR;
    }

    var->get_handler = perm_ctx_variable;

    pmcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_app_permission_module);

    pmcf->ctx_index = ngx_http_get_variable_index(cf, &perm_ctx_name);

    return (pmcf->ctx_index == NGX_ERROR) ? NGX_ERROR : NGX_OK;
}


/* nginx wants a handler of every variable */

static ngx_int_t
perm_ctx_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    v->not_found = 1;

    return NGX_OK;
}


perm_str_t
perm_ctx_cache_name(perm_cache_status_t status)
{
    static const perm_str_t  names[PERM_CACHE_STATUSES] = {
        perm_string(""),
        perm_string("HIT"),
        perm_string("MISS"),
        perm_string("STALE")
    };

    return names[status];
}


perm_ctx_t *
perm_ctx_create(ngx_http_request_t *r)
{
    perm_ctx_t  *ctx;

    ctx = ngx_palloc(r->pool, sizeof(perm_ctx_t));
    if (ctx == NULL) {
        return NULL;
    }

    ngx_memzero(ctx, offsetof(perm_ctx_t, hash));

    ctx->request = r;
    ctx->pmcf = ngx_http_get_module_main_conf(r,
                                              ngx_http_app_permission_module);
    ctx->plcf = ngx_http_get_module_loc_conf(r,
                                             ngx_http_app_permission_module);

    ngx_http_set_ctx(r, ctx, ngx_http_app_permission_module);

    return ctx;
}


perm_ctx_t *
perm_ctx_publish(perm_ctx_t *ctx)
{
    perm_ctx_t                 *former;
    ngx_http_request_t         *r;
    ngx_http_variable_value_t  *v;

    r = ctx->request;
    v = &r->variables[ctx->pmcf->ctx_index];
    former = v->valid ? (perm_ctx_t *) v->data : NULL;

    v->data = (u_char *) ctx;
    v->valid = 1;

    if (r != r->main) {
        /* Lua gives its subrequests variables of their own */
        r->main->variables[ctx->pmcf->ctx_index] = *v;
    }

    return former;
}


perm_ctx_t *
perm_ctx_get(ngx_http_request_t *r)
{
    perm_main_conf_t           *pmcf;
    ngx_http_variable_value_t  *v;

    pmcf = ngx_http_get_module_main_conf(r, ngx_http_app_permission_module);
    v = &r->variables[pmcf->ctx_index];

    return v->valid ? (perm_ctx_t *) v->data : NULL;
}
