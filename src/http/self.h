
/*
 * What the calling app has in the location's gateway, and what it asks for:
 * "app_permission_self".
 */


#ifndef _PERM_HTTP_SELF_H_INCLUDED_
#define _PERM_HTTP_SELF_H_INCLUDED_


#include "http/ctx.h"


/*
 * The content handler: GET and HEAD answer grants and requests as JSON, POST
 * adds requests where plcf->self_apply is set.
 */
ngx_int_t perm_http_self_handler(ngx_http_request_t *r);


#endif /* _PERM_HTTP_SELF_H_INCLUDED_ */
