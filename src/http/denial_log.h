
/*
 * A request that is denied, fails, or would in dry run: its line in the error
 * log, and its place in the lists of the status.
 */


#ifndef _PERM_HTTP_DENIAL_LOG_H_INCLUDED_
#define _PERM_HTTP_DENIAL_LOG_H_INCLUDED_


#include "http/ctx.h"


void perm_denial_log(perm_ctx_t *ctx);


#endif /* _PERM_HTTP_DENIAL_LOG_H_INCLUDED_ */
