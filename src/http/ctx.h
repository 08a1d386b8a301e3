
/*
 * One request's check: what it was about and how it ended.
 */


#ifndef _PERM_HTTP_CTX_H_INCLUDED_
#define _PERM_HTTP_CTX_H_INCLUDED_


#include "http/conf.h"


typedef enum {
    PERM_CTX_NEW = 0,
    PERM_CTX_WAITING,        /* suspended, for the fetch */
    PERM_CTX_ANSWERED,       /* resumed */
    PERM_CTX_IMPATIENT,      /* likewise, without an answer */
    PERM_CTX_DECIDED
} perm_ctx_step_t;


typedef struct {
    perm_ctx_step_t        step;
    perm_policy_t          policy;

    perm_fetch_waiter_t   *waiter;     /* while it waits */
    ngx_event_t           *slow;       /* for how long, or NULL */
    perm_fetch_result_t    result;     /* what it waited for */

    perm_cache_status_t    cache;
    perm_decision_t        decision;
    int64_t                fetched;    /* the cached answer that decided: ms,
                                          monotonic; 0: none did */
    uint64_t               started;    /* usec, 0: not timed */

    uint64_t               hash;       /* of the call */
    perm_tuple_t           tuple;      /* texts of the request's pool; all of
                                          it is set with the policy */
} perm_ctx_t;


/*
 * Makes room for the check among a request's variables: internal redirects
 * keep those, and clear the contexts of modules.  For the preconfiguration;
 * NGX_OK or NGX_ERROR.
 */
ngx_int_t perm_ctx_add(ngx_conf_t *cf);

/*
 * Makes or clears the request's check, and sets the module's context to it
 * until an internal redirect.  It lives as long as the request.  Returns NULL
 * when memory is out.
 */
perm_ctx_t *perm_ctx_create(ngx_http_request_t *r);

/* the last check of the request, or NULL when there was none */

perm_ctx_t *perm_ctx_get(ngx_http_request_t *r);


#endif /* _PERM_HTTP_CTX_H_INCLUDED_ */
