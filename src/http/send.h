
/*
 * Headers and bodies of our own: of denials and of the content handlers.
 */


#ifndef _PERM_HTTP_SEND_H_INCLUDED_
#define _PERM_HTTP_SEND_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "http/writer.h"


/*
 * Adds a header of the response.  The name and the text of the value must last
 * as long as the request.  NGX_OK or NGX_ERROR.
 */
ngx_int_t perm_send_header(ngx_http_request_t *r, char *name,
    ngx_str_t *value);

/*
 * Sends status, headers and, unless the request was HEAD, what was written.
 * Returns what a content handler returns.
 */
ngx_int_t perm_send_body(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *type, perm_writer_t *w);

/* the same, with headers that keep it out of caches and of sniffing */

ngx_int_t perm_send_content(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *type, perm_writer_t *w);

/* the content {"error":"..."} */

ngx_int_t perm_send_error(ngx_http_request_t *r, ngx_uint_t status,
    const char *text);

/*
 * An argument of the request, unescaped.  Absent: len 0, data NULL.  NGX_OK or
 * NGX_ERROR.
 */
ngx_int_t perm_send_argument(ngx_http_request_t *r, char *name,
    perm_str_t *value);


#endif /* _PERM_HTTP_SEND_H_INCLUDED_ */
