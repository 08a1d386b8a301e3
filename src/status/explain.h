
/*
 * Why an app is allowed or denied: what this instance has cached, what Redis
 * says now, and where these differ.
 */


#ifndef _PERM_STATUS_EXPLAIN_H_INCLUDED_
#define _PERM_STATUS_EXPLAIN_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/*
 * The content of the URI ".../explain", asynchronous: JSON for the arguments
 * gateway, resource and app, or 400 when one of them is no valid name.  Returns
 * what a content handler returns, and is called again with the answer of Redis.
 */
ngx_int_t perm_explain(ngx_http_request_t *r);


#endif /* _PERM_STATUS_EXPLAIN_H_INCLUDED_ */
