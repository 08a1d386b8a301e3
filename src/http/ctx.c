
#include "http/ctx.h"


static ngx_http_variable_value_t *perm_ctx_place(ngx_http_request_t *r);
static ngx_int_t perm_ctx_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);


/* no script finds it; "if" can spell it, and sees an empty value */

static ngx_str_t  perm_ctx_name = ngx_string("app_permission check");


ngx_int_t
perm_ctx_add(ngx_conf_t *cf)
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


perm_ctx_t *
perm_ctx_create(ngx_http_request_t *r)
{
    perm_ctx_t                 *ctx;
    ngx_http_variable_value_t  *v;

    v = perm_ctx_place(r);

    if (!v->valid) {
        v->data = ngx_palloc(r->pool, sizeof(perm_ctx_t));
        if (v->data == NULL) {
            return NULL;
        }

        v->valid = 1;
    }

    ctx = (perm_ctx_t *) v->data;

    ngx_memzero(ctx, offsetof(perm_ctx_t, tuple));
    ngx_http_set_ctx(r, ctx, ngx_http_app_permission_module);

    return ctx;
}


perm_ctx_t *
perm_ctx_get(ngx_http_request_t *r)
{
    ngx_http_variable_value_t  *v;

    v = perm_ctx_place(r);

    return v->valid ? (perm_ctx_t *) v->data : NULL;
}


/* subrequests have the variables of the main request */

static ngx_http_variable_value_t *
perm_ctx_place(ngx_http_request_t *r)
{
    perm_main_conf_t  *pmcf;

    pmcf = ngx_http_get_module_main_conf(r, ngx_http_app_permission_module);

    return &r->variables[pmcf->ctx_index];
}


/* nginx asks for a handler; nobody asks for the value */

static ngx_int_t
perm_ctx_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    v->not_found = 1;

    return NGX_OK;
}
