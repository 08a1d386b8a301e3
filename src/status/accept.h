
/*
 * Accept negotiation: does a browser ask, or a program?
 */


#ifndef _PERM_STATUS_ACCEPT_H_INCLUDED_
#define _PERM_STATUS_ACCEPT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/*
 * 1 when the Accept header names text/html with a higher quality than
 * application/json and text/plain.  Wildcards do not count.
 */
ngx_uint_t perm_accept_html(ngx_http_request_t *r);


#endif /* _PERM_STATUS_ACCEPT_H_INCLUDED_ */
