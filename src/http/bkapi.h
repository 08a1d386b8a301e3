
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
 * Sets *app to the string "bk_app_code" of the header's JSON object.  It is
 * empty when the header is absent or is there twice, when the object has no
 * such string, or when perm_json_parse_strict() refuses the text.  Bytes that
 * no name has are escaped: the name stays invalid and is harmless in a header.
 * Returns NGX_OK, or NGX_ERROR when memory is out.
 */
ngx_int_t perm_bkapi_app_code(ngx_http_request_t *r, ngx_str_t *app);


#endif /* _PERM_HTTP_BKAPI_H_INCLUDED_ */
