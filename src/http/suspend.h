
/*
 * A request that waits for Redis: in the PRECONTENT phase, or in a content
 * handler.  It enters its phase again, and so its handler, when the answer is
 * there; the handler finds it in ctx->suspend.
 */


#ifndef _PERM_HTTP_SUSPEND_H_INCLUDED_
#define _PERM_HTTP_SUSPEND_H_INCLUDED_


#include "http/ctx.h"


typedef enum {
    PERM_SUSPEND_WAITING = 0,
    PERM_SUSPEND_ANSWERED,
    PERM_SUSPEND_SLOW          /* resumed without an answer */
} perm_suspend_state_t;


struct perm_suspend_s {
    perm_suspend_state_t   state;
    perm_pending_waiter_t  waiter;
    ngx_event_t            slow;
    ngx_msec_t             since;      /* ms, monotonic */
    perm_grants_reply_t    reply;      /* of PERM_SUSPEND_ANSWERED */
};


/*
 * Looks ctx->tuple up in Redis and has the request wait.  "flags": those of
 * perm_fetch().  "slow": resume without an answer after PERM_FETCH_SLOW ms.
 * Returns NGX_DECLINED or NGX_BUSY of perm_fetch().  Otherwise returns what the
 * handler has to return: NGX_AGAIN in the phase, NGX_DONE in a content handler,
 * or NGX_HTTP_INTERNAL_SERVER_ERROR.
 */
ngx_int_t perm_suspend_fetch(perm_ctx_t *ctx, ngx_uint_t flags,
    ngx_uint_t slow);


/*
 * Only has the request wait, and notices a client that leaves: what is waited
 * for is the caller's.  Returns what the handler has to return.
 */
ngx_int_t perm_suspend_wait(perm_ctx_t *ctx);


#endif /* _PERM_HTTP_SUSPEND_H_INCLUDED_ */
