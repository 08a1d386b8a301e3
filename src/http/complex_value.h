
/*
 * A directive's text with variables, evaluated for a request.
 */


#ifndef _PERM_HTTP_COMPLEX_VALUE_H_INCLUDED_
#define _PERM_HTTP_COMPLEX_VALUE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "core/name.h"


typedef struct {
    ngx_http_complex_value_t  *complex;   /* NULL: not set; NGX_CONF_UNSET_PTR:
                                             not set here yet */
    ngx_int_t                  index;     /* it is this variable and nothing
                                             else, or NGX_ERROR */
    ngx_uint_t                 fixed;     /* it is the same for every request:
                                             constant, or not set */
    perm_str_t                 text;      /* of a fixed one */
} perm_complex_value_t;


void perm_complex_value_create(perm_complex_value_t *value);
void perm_complex_value_merge(perm_complex_value_t *value,
    perm_complex_value_t *parent);

/* a handler for ngx_command_t: "offset" is that of the perm_complex_value_t */

char *perm_complex_value_set(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

ngx_uint_t perm_complex_value_is_set(perm_complex_value_t *value);
ngx_uint_t perm_complex_value_is_constant(perm_complex_value_t *value);


/* of one that is not fixed */

ngx_int_t perm_complex_value_evaluate(ngx_http_request_t *r,
    perm_complex_value_t *value, perm_str_t *text);


/*
 * A map keeps what it found for as long as the request lives, unless it is
 * "volatile".  What would it find now?  NGX_DECLINED: it is no lone map, or is
 * asked each time; NGX_ERROR: it fails.
 */

ngx_int_t perm_complex_value_anew(ngx_http_request_t *r,
    perm_complex_value_t *value, perm_str_t *text);


/*
 * The text for this request.  A value that is not set is empty.  Returns
 * NGX_OK, or NGX_ERROR when memory is out.
 */

static ngx_inline ngx_int_t
perm_complex_value_get(ngx_http_request_t *r, perm_complex_value_t *value,
    perm_str_t *text)
{
    if (value->fixed) {
        *text = value->text;
        return NGX_OK;
    }

    return perm_complex_value_evaluate(r, value, text);
}


#endif /* _PERM_HTTP_COMPLEX_VALUE_H_INCLUDED_ */
