
/*
 * $app_permission_*
 */


#ifndef _PERM_HTTP_VARIABLES_H_INCLUDED_
#define _PERM_HTTP_VARIABLES_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/* registers them all, in preconfiguration */

ngx_int_t perm_variables_add(ngx_conf_t *cf);


#endif /* _PERM_HTTP_VARIABLES_H_INCLUDED_ */
