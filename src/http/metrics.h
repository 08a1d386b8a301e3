
/*
 * What a decided request leaves for operators: counters, times, the lists of
 * refusals and of grants that end soon, and a refused call's line in the log.
 */


#ifndef _PERM_HTTP_METRICS_H_INCLUDED_
#define _PERM_HTTP_METRICS_H_INCLUDED_


#include "http/ctx.h"


/* one hit in so many is timed, and stands for all in the table of resources */

#define PERM_METRICS_SAMPLE  64


/* usec, monotonic; 0 for a request that is not in the sample */

uint64_t perm_metrics_start(void);

/* the same for every request that waits */

uint64_t perm_metrics_clock(void);

/* the counters, for every decided request */

void perm_metrics_count(ngx_http_request_t *r, perm_loc_conf_t *plcf,
    perm_ctx_t *ctx);

/* all else; of hits that a grant allowed only the sample has any */

static ngx_inline ngx_uint_t
perm_metrics_noted(perm_ctx_t *ctx)
{
    return ctx->started
           || ctx->cache != PERM_CACHE_HIT
           || ctx->decision.outcome != PERM_ALLOW;
}


void perm_metrics_note(ngx_http_request_t *r, perm_loc_conf_t *plcf,
    perm_ctx_t *ctx);


#endif /* _PERM_HTTP_METRICS_H_INCLUDED_ */
