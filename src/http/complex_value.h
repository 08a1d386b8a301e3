
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
    ngx_http_complex_value_t  *complex;   /* NULL: not set */
    ngx_int_t                  index;     /* of the variable that is the whole
                                             text, or NGX_ERROR */
    ngx_uint_t                 fixed;     /* the same for every request: not
                                             set, or without variables */
    perm_str_t                 text;      /* of a fixed one */
} perm_complex_value_t;


/* makes it "not set"; the memory is zeroed already */

void perm_complex_value_create(perm_complex_value_t *value);

/* one that is not set becomes that of the outer level */

void perm_complex_value_merge(perm_complex_value_t *value,
    perm_complex_value_t *parent);

/* a handler for ngx_command_t: "offset" is that of the perm_complex_value_t */

char *perm_complex_value_set(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);


/*
 * The text for this request, where it is not fixed.  Returns NGX_OK, or
 * NGX_ERROR when memory is out.
 */
ngx_int_t perm_complex_value_get(ngx_http_request_t *r,
    perm_complex_value_t *value, perm_str_t *text);


/*
 * nginx keeps the value of a map as long as the request lives, also after an
 * internal redirect, unless the map is "volatile".  This function asks the map
 * again and leaves the kept value alone.  Returns NGX_OK with *text, NGX_ERROR
 * when the map fails, or NGX_DECLINED when the value cannot differ: it is no
 * lone variable, nginx keeps no value of it, or the value was assigned by "set"
 * or "auth_request_set".
 */
ngx_int_t perm_complex_value_recompute(ngx_http_request_t *r,
    perm_complex_value_t *value, perm_str_t *text);


#endif /* _PERM_HTTP_COMPLEX_VALUE_H_INCLUDED_ */
