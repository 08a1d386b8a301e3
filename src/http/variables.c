
#include "http/variables.h"

#include "http/bkapi.h"
#include "http/ctx.h"


static perm_ctx_t *perm_variable_check(ngx_http_request_t *r);
static ngx_int_t perm_variable_word(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t perm_variable_expires(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t perm_variable_bkapi_app_code(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static void perm_variable_set(ngx_http_variable_value_t *v, void *data,
    size_t len);


/* which word of the check perm_variable_word() gives */

enum {
    PERM_VARIABLE_DECISION = 0,
    PERM_VARIABLE_REASON,
    PERM_VARIABLE_CACHE
};


static ngx_http_variable_t  perm_variables[] = {

    { ngx_string("app_permission_decision"), NULL,
      perm_variable_word, PERM_VARIABLE_DECISION, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("app_permission_reason"), NULL,
      perm_variable_word, PERM_VARIABLE_REASON, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("app_permission_cache"), NULL,
      perm_variable_word, PERM_VARIABLE_CACHE, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("app_permission_expires"), NULL,
      perm_variable_expires, 0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("app_permission_expires_in"), NULL,
      perm_variable_expires, 1, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("app_permission_bkapi_app_code"), NULL,
      perm_variable_bkapi_app_code, 0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_null_string, NULL, NULL, 0, 0, 0 }
};


static perm_str_t  perm_cache_names[PERM_CACHE_STATUSES] = {
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


/* NULL where nothing was decided: no check, or not yet */

static perm_ctx_t *
perm_variable_check(ngx_http_request_t *r)
{
    perm_ctx_t  *ctx;

    ctx = perm_ctx_get(r);

    if (ctx == NULL
        || ctx->step != PERM_CTX_DECIDED
        || ctx->policy == PERM_POLICY_OFF)
    {
        return NULL;
    }

    return ctx;
}


static ngx_int_t
perm_variable_word(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    perm_str_t   word;
    perm_ctx_t  *ctx;

    ctx = perm_variable_check(r);

    if (ctx == NULL) {
        perm_variable_set(v, "", 0);
        return NGX_OK;
    }

    switch (data) {

    case PERM_VARIABLE_DECISION:
        word = perm_decision_outcome_name(ctx->decision.outcome);
        break;

    case PERM_VARIABLE_REASON:
        word = perm_decision_reason_name(ctx->decision.reason);
        break;

    default: /* PERM_VARIABLE_CACHE */
        word = perm_cache_names[ctx->cache];
        break;
    }

    perm_variable_set(v, (void *) word.data, word.len);

    return NGX_OK;
}


/* data: 0 for unix seconds, 1 for seconds from now */

static ngx_int_t
perm_variable_expires(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    u_char      *p;
    int64_t      seconds;
    perm_ctx_t  *ctx;

    ctx = perm_variable_check(r);

    if (ctx == NULL || ctx->decision.expires < 0) {
        perm_variable_set(v, "", 0);
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, NGX_INT64_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    seconds = ctx->decision.expires;

    if (data) {
        /* a response may take longer than what was left of the grant */
        seconds = ngx_max(seconds - ngx_time(), 0);
    }

    perm_variable_set(v, p, ngx_sprintf(p, "%L", seconds) - p);

    return NGX_OK;
}


static ngx_int_t
perm_variable_bkapi_app_code(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t         app;
    perm_ctx_t       *ctx;
    perm_loc_conf_t  *plcf;

    /* a subrequest of a checked request may ask for it, too */

    plcf = ngx_http_get_module_loc_conf(r->main,
                                        ngx_http_app_permission_module);
    ctx = perm_ctx_get(r);

    if (plcf->policy == PERM_POLICY_OFF
        || (ctx && ctx->step == PERM_CTX_DECIDED
            && ctx->policy == PERM_POLICY_OFF))
    {
        perm_variable_set(v, "", 0);
        return NGX_OK;
    }

    if (perm_bkapi_app_code(r, &app) != NGX_OK) {
        return NGX_ERROR;
    }

    perm_variable_set(v, app.data, app.len);

    return NGX_OK;
}


static void
perm_variable_set(ngx_http_variable_value_t *v, void *data, size_t len)
{
    v->data = data;
    v->len = len;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;
}
