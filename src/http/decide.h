
/*
 * The decision as the content of a location: "app_permission_decide".  It is
 * for gateways that ask by a request of their own, or by a subrequest.
 */


#ifndef _PERM_HTTP_DECIDE_H_INCLUDED_
#define _PERM_HTTP_DECIDE_H_INCLUDED_


#include "http/ctx.h"


/*
 * The content handler.  Answers 200 without a body where the check would let
 * the request go on, and what "app_permission_error" says where it would not.
 */
ngx_int_t perm_decide_handler(ngx_http_request_t *r);


#endif /* _PERM_HTTP_DECIDE_H_INCLUDED_ */
