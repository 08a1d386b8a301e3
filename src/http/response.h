
/*
 * A decision that does not allow -> status, headers and body.
 */


#ifndef _PERM_HTTP_RESPONSE_H_INCLUDED_
#define _PERM_HTTP_RESPONSE_H_INCLUDED_


#include "http/ctx.h"


/*
 * Answers a denied or failed request in the location's format.  Returns what
 * a phase handler returns: NGX_DONE when the answer was sent, or the status
 * for nginx to answer with.
 */
ngx_int_t perm_response_send(perm_ctx_t *ctx);


/* of "app_permission_self"; also the indexes of tables */

typedef enum {
    PERM_RESPONSE_INVALID = 0,    /* 400 */
    PERM_RESPONSE_TOO_LARGE,      /* 413 */
    PERM_RESPONSE_CONFLICT,       /* 409 */
    PERM_RESPONSE_NOT_ALLOWED     /* 405: the caller adds "Allow" */
} perm_response_error_t;


/*
 * Answers so, in the same formats, for a content handler.  "reason" is a
 * clause.  Returns what the handler returns.
 */
ngx_int_t perm_response_error(perm_ctx_t *ctx, perm_response_error_t error,
    const char *reason);


/*
 * Adds the headers of "app_permission_decide" that tell of the decision,
 * whatever it is.  NGX_OK, or NGX_ERROR when memory is out.
 */
ngx_int_t perm_response_decision(perm_ctx_t *ctx);


/* adds "Cache-Control: no-store"; NGX_OK, or NGX_ERROR when memory is out */

ngx_int_t perm_response_no_store(ngx_http_request_t *r);


/*
 * Adds X-App-Permission-Expires-In to an allowed response.  Returns NGX_OK,
 * or NGX_ERROR when memory is out.
 */
ngx_int_t perm_response_expires_in(ngx_http_request_t *r, int64_t seconds);

/*
 * Takes all of these headers away, and "Link": an internal redirect leads to
 * another decision.
 */
void perm_response_forget(ngx_http_request_t *r);


#endif /* _PERM_HTTP_RESPONSE_H_INCLUDED_ */
