
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


/* for perm_variables_get() */

enum {
    PERM_VARIABLE_DECISION = 0,
    PERM_VARIABLE_REASON,
    PERM_VARIABLE_CACHE,
    PERM_VARIABLE_EXPIRES,
    PERM_VARIABLE_EXPIRES_IN
};


static ngx_http_variable_t  perm_variables[] = {

    { ngx_string("app_permission_decision"), NULL, perm_variables_get,
      PERM_VARIABLE_DECISION, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("app_permission_reason"), NULL, perm_variables_get,
      PERM_VARIABLE_REASON, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("app_permission_cache"), NULL, perm_variables_get,
      PERM_VARIABLE_CACHE, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("app_permission_expires"), NULL, perm_variables_get,
      PERM_VARIABLE_EXPIRES, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("app_permission_expires_in"), NULL, perm_variables_get,
      PERM_VARIABLE_EXPIRES_IN, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("app_permission_bkapi_app_code"), NULL,
      perm_variables_bkapi_app_code, 0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_null_string, NULL, NULL, 0, 0, 0 }
};


static perm_str_t  perm_variables_cache[PERM_CACHE_STATUSES] = {
    perm_string(""),
    perm_string("HIT"),
    perm_string("MISS"),
    perm_string("STALE")
};


ngx_int_t
perm_variables_add(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var, *v;

    for (v = perm_variables; v->name.len; v++) {
        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    return NGX_OK;
}


/* empty where the policy is "off", and before there is a decision */

static ngx_int_t
perm_variables_get(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    int64_t      expires;
    perm_str_t   text;
    perm_ctx_t  *ctx;

    ctx = perm_ctx_get(r);

    if (ctx == NULL || !ctx->decided || ctx->policy == PERM_POLICY_OFF) {
        perm_variables_set(v, "", 0);
        return NGX_OK;
    }

    expires = ctx->decision.expires;

    switch (data) {

    case PERM_VARIABLE_DECISION:
        text = perm_decision_outcome_name(ctx->decision.outcome);
        break;

    case PERM_VARIABLE_REASON:
        text = perm_decision_reason_name(ctx->decision.reason);
        break;

    case PERM_VARIABLE_CACHE:
        text = perm_variables_cache[ctx->cache];
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
