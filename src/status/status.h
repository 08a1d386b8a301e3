
/*
 * The content handler of app_permission_status.
 */


#ifndef _PERM_STATUS_STATUS_H_INCLUDED_
#define _PERM_STATUS_STATUS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


ngx_int_t perm_status_handler(ngx_http_request_t *r);


/*
 * In a worker: adds to the history from now on, so that rates are known when
 * the status is first asked for.
 */

void perm_status_start(ngx_cycle_t *cycle);


#endif /* _PERM_STATUS_STATUS_H_INCLUDED_ */
