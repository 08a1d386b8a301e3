
/*
 * A request that waits for Redis.  No reference is taken: it stays in its
 * phase and enters it again with the next step, unless it is gone by then.
 */


#ifndef _PERM_HTTP_SUSPEND_H_INCLUDED_
#define _PERM_HTTP_SUSPEND_H_INCLUDED_


#include "http/ctx.h"


/*
 * After perm_fetch() with perm_suspend_answered() set check->waiter.  "known":
 * what the cache holds would do, so that after PERM_FETCH_LATE ms it enters
 * the phase without an answer.  Returns what the phase handler has to.
 */
ngx_int_t perm_suspend(ngx_http_request_t *r, perm_ctx_t *ctx,
    ngx_uint_t known);

/* a perm_fetch_pt; "data" is the request */

void perm_suspend_answered(void *data, perm_fetch_reply_t *reply);


#endif /* _PERM_HTTP_SUSPEND_H_INCLUDED_ */
