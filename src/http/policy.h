
/*
 * Request and location -> policy, gateway, resource and app.
 */


#ifndef _PERM_HTTP_POLICY_H_INCLUDED_
#define _PERM_HTTP_POLICY_H_INCLUDED_


#include "http/ctx.h"


/*
 * Fills ctx->policy and, unless the policy is "off", ctx->tuple.  Nothing is
 * validated yet.  Returns NGX_OK, or NGX_ERROR when memory is out.
 */
ngx_int_t perm_policy_read(perm_ctx_t *ctx);


#endif /* _PERM_HTTP_POLICY_H_INCLUDED_ */
