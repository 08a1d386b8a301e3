
/*
 * Request and location -> policy, gateway, resource and app.
 */


#ifndef _PERM_HTTP_POLICY_H_INCLUDED_
#define _PERM_HTTP_POLICY_H_INCLUDED_


#include "http/ctx.h"


/*
 * What this location asks of the request: fills check->policy and, unless
 * the policy is "off", check->call.  Nothing is validated yet.  Returns
 * NGX_OK, or NGX_ERROR when memory is out.
 */
ngx_int_t perm_policy_read(ngx_http_request_t *r, perm_loc_conf_t *plcf,
    perm_ctx_t *ctx);


#endif /* _PERM_HTTP_POLICY_H_INCLUDED_ */
