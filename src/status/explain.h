
/*
 * Why a call is decided as it is: what this instance has in its cache of it,
 * what Redis says now, and where these differ.
 */


#ifndef _PERM_STATUS_EXPLAIN_H_INCLUDED_
#define _PERM_STATUS_EXPLAIN_H_INCLUDED_


#include "http/conf.h"


/*
 * A content handler's work, asynchronous: answers JSON for the arguments
 * gateway, resource and app, 400 when one of them is no valid name.
 */
ngx_int_t perm_explain(ngx_http_request_t *r);


#endif /* _PERM_STATUS_EXPLAIN_H_INCLUDED_ */
