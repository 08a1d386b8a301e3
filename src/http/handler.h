
/*
 * A request's way: policy, cache, lookup in Redis, decision, response.
 */


#ifndef _PERM_HTTP_HANDLER_H_INCLUDED_
#define _PERM_HTTP_HANDLER_H_INCLUDED_


#include "http/ctx.h"


/*
 * A handler of the PRECONTENT phase.  That phase comes after every kind of
 * authentication, whatever "satisfy" says and in whatever order modules were
 * loaded.  The handler that is registered last runs first there, so that this
 * one runs before those of mirror and try_files.
 */
ngx_int_t perm_handler(ngx_http_request_t *r);


/*
 * The same way in two steps, also for a content handler, which sets
 * ctx->content between them.  perm_handler_open() makes the context and reads
 * policy and names; NULL: memory is out.  perm_handler_decide() takes a new
 * context, or one that has waited.  Returns NGX_DECLINED when the request may
 * go on, or what the handler has to return.
 */
perm_ctx_t *perm_handler_open(ngx_http_request_t *r);
ngx_int_t perm_handler_decide(perm_ctx_t *ctx);


#endif /* _PERM_HTTP_HANDLER_H_INCLUDED_ */
