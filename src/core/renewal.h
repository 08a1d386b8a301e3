
/*
 * A grant, its last access and the term -> the renewed grant, or why not.
 */


#ifndef _PERM_CORE_RENEWAL_H_INCLUDED_
#define _PERM_CORE_RENEWAL_H_INCLUDED_


#include <stdint.h>

#include "core/grant.h"


#define PERM_TERM_DEFAULT  (180 * 86400)   /* seconds */


typedef enum {
    PERM_RENEWED = 0,
    PERM_KEPT_PERMANENT,
    PERM_KEPT_UNUSED,       /* no access */
    PERM_KEPT_LAPSED,       /* the access cannot have been allowed by it */
    PERM_KEPT_CURRENT       /* it already lasts for a term after the access */
} perm_renewal_t;


/*
 * expires: unix seconds, readable; last: unix seconds or PERM_GRANT_ABSENT;
 * term: seconds, > 0.  With PERM_RENEWED *renewed is the new expiry, else it
 * is the old one.  There is no "now": the result does not depend on when or
 * how often the job runs.
 */
perm_renewal_t perm_renewal_decide(int64_t expires, int64_t last, int64_t term,
    int64_t *renewed);


/* "renewed", "permanent", "unused", "lapsed", "current" */

const char *perm_renewal_name(perm_renewal_t renewal);


#endif /* _PERM_CORE_RENEWAL_H_INCLUDED_ */
