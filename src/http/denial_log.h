
/*
 * What is said of a call that is refused, or would be: its line in the error
 * log and its place among the heaviest.
 */


#ifndef _PERM_HTTP_DENIAL_LOG_H_INCLUDED_
#define _PERM_HTTP_DENIAL_LOG_H_INCLUDED_


#include "http/ctx.h"


void perm_denial_log_note(ngx_http_request_t *r, perm_loc_conf_t *plcf,
    perm_ctx_t *ctx);


#endif /* _PERM_HTTP_DENIAL_LOG_H_INCLUDED_ */
