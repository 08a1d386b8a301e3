
/*
 * The app code that a caller states in its X-Bkapi-Authorization header.
 * Nothing has verified it.
 */


#ifndef _PERM_HTTP_BKAPI_H_INCLUDED_
#define _PERM_HTTP_BKAPI_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/*
 * "bk_app_code" out of the header's JSON object: empty when there is no such
 * header or member, several of them, or no JSON.  What is not a valid name is
 * escaped: it stays invalid and can be put into a header.  Returns NGX_OK, or
 * NGX_ERROR when memory is out.
 */
ngx_int_t perm_bkapi_app_code(ngx_http_request_t *r, ngx_str_t *app);


#endif /* _PERM_HTTP_BKAPI_H_INCLUDED_ */
