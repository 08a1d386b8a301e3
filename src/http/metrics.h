
/*
 * What a decided request leaves for operators: counters, times, the lists of
 * the status, and the line of a denial in the log.
 */


#ifndef _PERM_HTTP_METRICS_H_INCLUDED_
#define _PERM_HTTP_METRICS_H_INCLUDED_


#include "http/ctx.h"


/*
 * For ctx->started: usec, monotonic, or 0 for a request that is not in the
 * sample.  One hit in so many is timed, and stands for all of them in the list
 * of resources.
 */

#define PERM_METRICS_SAMPLE  64

uint64_t perm_metrics_start(void);


/* to be called once for each decided request */

void perm_metrics_count(perm_ctx_t *ctx);


#endif /* _PERM_HTTP_METRICS_H_INCLUDED_ */
