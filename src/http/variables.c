
#include "http/variables.h"

#include "http/bkapi.h"
#include "http/ctx.h"


static ngx_int_t perm_variables_get(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static perm_str_t perm_variables_number(ngx_http_request_t *r,
    int64_t number);
static ngx_int_t perm_variables_bkapi_app_code(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static void perm_variables_set(ngx_http_variable_value_t *v,
    const void *data, size_t len);


/* the data of a variable is its place here */

enum {
    PERM_VARIABLE_DECISION = 0,
    PERM_VARIABLE_REASON,
    PERM_VARIABLE_CACHE,
    PERM_VARIABLE_EXPIRES,
    PERM_VARIABLE_EXPIRES_IN,
    PERM_VARIABLE_BKAPI_APP_CODE,
    PERM_VARIABLES
};


static ngx_str_t  perm_variables[PERM_VARIABLES] = {
    ngx_string("app_permission_decision"),
    ngx_string("app_permission_reason"),
    ngx_string("app_permission_cache"),
    ngx_string("app_permission_expires"),
    ngx_string("app_permission_expires_in"),
    ngx_string("app_permission_bkapi_app_code")
};


ngx_int_t
perm_variables_add(ngx_conf_t *cf)
{
    ngx_uint_t            i;
    ngx_http_variable_t  *var;

    for (i = 0; i < PERM_VARIABLES; i++) {
        var = ngx_http_add_variable(cf, &perm_variables[i],
                                    NGX_HTTP_VAR_NOCACHEABLE);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = (i == PERM_VARIABLE_BKAPI_APP_CODE)
                           ? perm_variables_bkapi_app_code
                           : perm_variables_get;
        var->data = i;
    }

    return NGX_OK;
}


/*
 * Empty where the policy is "off".  Not found before there is a decision: Lua
 * code that caches variables must not keep an empty one.
 */

static ngx_int_t
perm_variables_get(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    int64_t           expires;
    perm_str_t        text;
    perm_ctx_t       *ctx;
    perm_loc_conf_t  *plcf;

    ctx = perm_ctx_get(r);

    if (ctx == NULL || !ctx->decided) {
        plcf = ngx_http_get_module_loc_conf(r, ngx_http_app_permission_module);

        perm_variables_set(v, "", 0);
        v->valid = (plcf->policy == PERM_POLICY_OFF);
        v->not_found = !v->valid;

        return NGX_OK;
    }

    if (ctx->policy == PERM_POLICY_OFF) {
        perm_variables_set(v, "", 0);
        return NGX_OK;
    }

    expires = ctx->decision.expires;

    switch (data) {

    case PERM_VARIABLE_DECISION:
        text = perm_str(perm_decision_outcome_name(ctx->decision.outcome));
        break;

    case PERM_VARIABLE_REASON:
        text = perm_str(perm_decision_reason_name(ctx->decision.reason));
        break;

    case PERM_VARIABLE_CACHE:
        text = perm_ctx_cache_name(ctx->cache);
        break;

    case PERM_VARIABLE_EXPIRES:
        text = perm_variables_number(r, expires);
        break;

    default: /* PERM_VARIABLE_EXPIRES_IN */

        /* a response may take longer than what was left of the grant */

        text = perm_variables_number(r, expires < 0 ? expires
                                        : ngx_max(expires - ngx_time(), 0));
    }

    if (text.data == NULL) {
        return NGX_ERROR;
    }

    perm_variables_set(v, text.data, text.len);

    return NGX_OK;
}


/* a negative one is empty; NULL data: memory is out */

static perm_str_t
perm_variables_number(ngx_http_request_t *r, int64_t number)
{
    u_char      *p;
    perm_str_t   text = perm_string("");

    if (number < 0) {
        return text;
    }

    p = ngx_pnalloc(r->pool, NGX_INT64_LEN);

    text.data = (char *) p;
    text.len = p ? (size_t) (ngx_sprintf(p, "%L", number) - p) : 0;

    return text;
}


static ngx_int_t
perm_variables_bkapi_app_code(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t         app;
    perm_ctx_t       *ctx;
    perm_loc_conf_t  *plcf;

    /* a subrequest may ask for it on behalf of the main request */

    plcf = ngx_http_get_module_loc_conf(r->main,
                                        ngx_http_app_permission_module);
    ctx = perm_ctx_get(r);

    if (plcf->policy == PERM_POLICY_OFF
        || (ctx && ctx->decided && ctx->policy == PERM_POLICY_OFF))
    {
        perm_variables_set(v, "", 0);
        return NGX_OK;
    }

    if (perm_bkapi_app_code(r, &app) != NGX_OK) {
        return NGX_ERROR;
    }

    perm_variables_set(v, app.data, app.len);

    return NGX_OK;
}


static void
perm_variables_set(ngx_http_variable_value_t *v, const void *data, size_t len)
{
    v->data = (u_char *) data;
    v->len = len;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;
}
