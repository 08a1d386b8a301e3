
/*
 * A request's way: policy, cache, lookup in Redis, decision, response.
 */


#ifndef _PERM_HTTP_HANDLER_H_INCLUDED_
#define _PERM_HTTP_HANDLER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/*
 * A handler of the PRECONTENT phase.  That phase comes after every kind of
 * authentication, whatever "satisfy" says and in whatever order modules were
 * loaded.  The handler that is registered last runs first there, so that this
 * one runs before those of mirror and try_files.
 */
ngx_int_t perm_handler(ngx_http_request_t *r);


#endif /* _PERM_HTTP_HANDLER_H_INCLUDED_ */
