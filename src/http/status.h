
/*
 * What app_permission_status answers.
 */


#ifndef _PERM_STATUS_H_INCLUDED_
#define _PERM_STATUS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/* the content handler of a location with app_permission_status */

ngx_int_t perm_status_handler(ngx_http_request_t *r);


#endif /* _PERM_STATUS_H_INCLUDED_ */
