
/*
 * The names under which the status answers.  A page of a stranger can have its
 * own name resolve to this address, and read the status in the browser of
 * somebody who may (DNS rebinding): the request then names that host.
 */


#ifndef _PERM_STATUS_HOST_H_INCLUDED_
#define _PERM_STATUS_HOST_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/*
 * 1: the request names "localhost", an address, or one of "hosts" (ngx_str_t),
 * which may begin with a wildcard.  A request without a host is of no browser:
 * it needs the name "", which a server without a name has.
 */
ngx_uint_t perm_host_allowed(ngx_http_request_t *r, ngx_array_t *hosts);

/* 1: a host name as a request may have it, without a port */

ngx_uint_t perm_host_valid(ngx_str_t *name);


#endif /* _PERM_STATUS_HOST_H_INCLUDED_ */
