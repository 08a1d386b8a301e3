
/*
 * What the content handlers of the status have in common.
 */


#ifndef _PERM_HTTP_SEND_H_INCLUDED_
#define _PERM_HTTP_SEND_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "http/writer.h"


/* adds a header; the text of the value must last.  NGX_OK or NGX_ERROR */

ngx_int_t perm_send_header(ngx_http_request_t *r, char *name,
    ngx_str_t *value);

/* sends headers and, unless it was HEAD, what was written */

ngx_int_t perm_send_content(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *type, perm_writer_t *w);

/* {"error":"..."} */

ngx_int_t perm_send_error(ngx_http_request_t *r, ngx_uint_t status,
    const char *text);

/* an argument, unescaped; absent: len 0, data NULL.  NGX_OK or NGX_ERROR */

ngx_int_t perm_send_argument(ngx_http_request_t *r, char *name,
    perm_str_t *value);


#endif /* _PERM_HTTP_SEND_H_INCLUDED_ */
