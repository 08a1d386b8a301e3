
/*
 * A grant, its last access, the time and the term -> the renewed grant, or why
 * not.
 */


#ifndef _PERM_CORE_RENEWAL_H_INCLUDED_
#define _PERM_CORE_RENEWAL_H_INCLUDED_


#include <stdint.h>

#include "core/grant.h"


#define PERM_TERM_DEFAULT  (180 * 86400)   /* seconds */


typedef enum {
    PERM_RENEWED = 0,
    PERM_KEPT_PERMANENT,
    PERM_KEPT_NO_RENEW,     /* its value says "renew": false */
    PERM_KEPT_UNUSED,       /* no access since it was granted */
    PERM_KEPT_LAPSED,       /* the access cannot have been allowed by it */
    PERM_KEPT_CURRENT       /* it already lasts for a term after the access */
} perm_renewal_t;


/*
 * A last access as it counts: one in the future is taken for one at Redis's
 * time, as it comes from a clock that was ahead.  last: unix seconds or
 * PERM_GRANT_ABSENT, which stays; now: unix seconds, Redis's.
 */
int64_t perm_renewal_last(int64_t last, int64_t now);


/*
 * grant: readable; last: unix seconds or PERM_GRANT_ABSENT, of a grant on a
 * gateway the newest over its resources; now: unix seconds, Redis's; term:
 * seconds, > 0.  With PERM_RENEWED *renewed is the new expiry, else it is the
 * old one.
 *
 * The result does not depend on when or how often the job runs: "now" only
 * bounds accesses in the future.
 */
perm_renewal_t perm_renewal_decide(const perm_grant_t *grant, int64_t last,
    int64_t now, int64_t term, int64_t *renewed);


/* "renewed", "permanent", "no_renew", "unused", "lapsed", "current" */

const char *perm_renewal_name(perm_renewal_t renewal);


#endif /* _PERM_CORE_RENEWAL_H_INCLUDED_ */
