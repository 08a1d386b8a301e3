
#include "http/policy.h"


static ngx_int_t perm_policy_text(ngx_http_request_t *r, perm_value_t *value,
    perm_str_t *text);


ngx_int_t
perm_policy_read(ngx_http_request_t *r, perm_loc_conf_t *plcf,
    perm_check_t *check)
{
    perm_str_t  text;

    check->policy = plcf->policy;

    if (check->policy == PERM_POLICY_INVALID) {

        if (perm_policy_text(r, &plcf->policy_value, &text) != NGX_OK) {
            return NGX_ERROR;
        }

        check->policy = perm_policy_parse(text);
    }

    if (check->policy == PERM_POLICY_OFF) {
        return NGX_OK;
    }

    if (perm_policy_text(r, &plcf->gateway, &check->call.gateway) != NGX_OK
        || perm_policy_text(r, &plcf->resource, &check->call.resource)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (check->policy == PERM_POLICY_OPEN) {
        /* whoever calls: to find out may have its price */
        return NGX_OK;
    }

    return perm_policy_text(r, &plcf->app, &check->call.app);
}


static ngx_int_t
perm_policy_text(ngx_http_request_t *r, perm_value_t *value, perm_str_t *text)
{
    ngx_str_t  s;

    if (perm_value_get(r, value, &s) != NGX_OK) {
        return NGX_ERROR;
    }

    text->len = s.len;
    text->data = (char *) s.data;

    return NGX_OK;
}
