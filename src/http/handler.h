
/*
 * The request's way through the check, the only place that suspends one.
 */


#ifndef _PERM_HTTP_HANDLER_H_INCLUDED_
#define _PERM_HTTP_HANDLER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/*
 * A handler of the PRECONTENT phase: after every kind of authentication,
 * whatever "satisfy" says and in whatever order modules were loaded, and, as
 * handlers of a phase run last registered first, before mirror and try_files.
 */
ngx_int_t perm_handler(ngx_http_request_t *r);


#endif /* _PERM_HTTP_HANDLER_H_INCLUDED_ */
