
#include "http/policy.h"


ngx_int_t
perm_policy_read(ngx_http_request_t *r, perm_loc_conf_t *plcf,
    perm_check_t *check)
{
    perm_str_t  text;

    check->policy = plcf->policy;

    if (check->policy == PERM_POLICY_INVALID) {

        if (perm_value_get(r, &plcf->policy_value, &text) != NGX_OK) {
            return NGX_ERROR;
        }

        check->policy = perm_policy_parse(text);
    }

    if (check->policy == PERM_POLICY_OFF) {
        return NGX_OK;
    }

    if (perm_value_get(r, &plcf->gateway, &check->call.gateway) != NGX_OK
        || perm_value_get(r, &plcf->resource, &check->call.resource)
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

    return perm_value_get(r, &plcf->app, &check->call.app);
}
