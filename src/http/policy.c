
#include "http/policy.h"


/* what $1 and the like mean to the location */

typedef struct {
    ngx_uint_t   n;            /* as nginx has it */
    size_t       size;         /* bytes that are there */
    int         *captures;
    u_char      *data;
} perm_captures_t;


static ngx_int_t perm_policy_get(ngx_http_request_t *r, perm_value_t *value,
    perm_captures_t *saved, perm_str_t *text);
static ngx_int_t perm_policy_save_captures(ngx_http_request_t *r,
    perm_captures_t *saved);
static void perm_policy_restore_captures(ngx_http_request_t *r,
    perm_captures_t *saved);


ngx_int_t
perm_policy_read(ngx_http_request_t *r, perm_loc_conf_t *plcf,
    perm_check_t *check)
{
    perm_str_t       text;
    perm_captures_t  saved;

    if (perm_policy_save_captures(r, &saved) != NGX_OK) {
        return NGX_ERROR;
    }

    check->policy = plcf->policy;

    if (check->policy == PERM_POLICY_INVALID) {

        if (perm_policy_get(r, &plcf->policy_value, &saved, &text)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        check->policy = perm_policy_parse(text);
    }

    if (check->policy == PERM_POLICY_OFF) {
        return NGX_OK;
    }

    if (perm_policy_get(r, &plcf->gateway, &saved, &check->call.gateway)
        != NGX_OK
        || perm_policy_get(r, &plcf->resource, &saved, &check->call.resource)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (check->policy == PERM_POLICY_OPEN) {
        /* whoever calls: to find out may have its price */
        check->call.app.len = 0;
        check->call.app.data = NULL;
        return NGX_OK;
    }

    return perm_policy_get(r, &plcf->app, &saved, &check->call.app);
}


/*
 * A map with a regular expression puts its own captures in place of those of
 * the location: no value is to depend on which ones were read before it, nor
 * is what comes after the check.
 */

static ngx_int_t
perm_policy_get(ngx_http_request_t *r, perm_value_t *value,
    perm_captures_t *saved, perm_str_t *text)
{
    if (perm_value_get(r, value, text) != NGX_OK) {
        return NGX_ERROR;
    }

    if (!value->fixed) {
        perm_policy_restore_captures(r, saved);
    }

    return NGX_OK;
}


static ngx_int_t
perm_policy_save_captures(ngx_http_request_t *r, perm_captures_t *saved)
{
#if (NGX_PCRE)

    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);

    saved->n = r->ncaptures;
    saved->size = 0;
    saved->data = r->captures_data;

    /* an expression without captures counts one, and has no room for it */

    if (saved->n == 0 || r->captures == NULL) {
        return NGX_OK;
    }

    saved->size = ngx_min(saved->n, cmcf->ncaptures) * sizeof(int);

    saved->captures = ngx_palloc(r->pool, saved->size);
    if (saved->captures == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(saved->captures, r->captures, saved->size);

#endif

    return NGX_OK;
}


static void
perm_policy_restore_captures(ngx_http_request_t *r, perm_captures_t *saved)
{
#if (NGX_PCRE)

    r->ncaptures = saved->n;
    r->captures_data = saved->data;

    if (saved->size) {
        ngx_memcpy(r->captures, saved->captures, saved->size);
    }

#endif
}
