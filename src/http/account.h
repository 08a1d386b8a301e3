
/*
 * What a decided request leaves for operators: counters, times, the lists of
 * refusals and of grants that end soon, and a refused call's line in the log.
 */


#ifndef _PERM_ACCOUNT_H_INCLUDED_
#define _PERM_ACCOUNT_H_INCLUDED_


#include "http/check.h"


/* one hit in so many is timed, and stands for all in the table of resources */

#define PERM_ACCOUNT_SAMPLE  64


/* usec, monotonic; 0 for a request that is not in the sample */

uint64_t perm_account_start(void);

/* the same for every request that waits */

uint64_t perm_account_clock(void);

/* the counters, for every decided request */

void perm_account_count(ngx_http_request_t *r, perm_loc_conf_t *plcf,
    perm_check_t *check);

/* all else; of hits that a grant allowed only the sample has any */

static ngx_inline ngx_uint_t
perm_account_noted(perm_check_t *check)
{
    return check->started
           || check->cache != PERM_CACHE_HIT
           || check->decision.outcome != PERM_ALLOW;
}


void perm_account_note(ngx_http_request_t *r, perm_loc_conf_t *plcf,
    perm_check_t *check);


#endif /* _PERM_ACCOUNT_H_INCLUDED_ */
