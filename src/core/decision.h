
/*
 * Policy, grants and now -> outcome, reason and expiry.
 */


#ifndef _PERM_CORE_DECISION_H_INCLUDED_
#define _PERM_CORE_DECISION_H_INCLUDED_


#include <stdint.h>

#include "core/grant.h"


typedef enum {
    PERM_POLICY_INVALID = 0,
    PERM_POLICY_OFF,
    PERM_POLICY_OPEN,
    PERM_POLICY_REQUIRED
} perm_policy_t;


typedef enum {
    PERM_ALLOW = 0,
    PERM_DENY,
    PERM_FAIL
} perm_outcome_t;


typedef enum {
    PERM_OPEN = 0,
    PERM_GATEWAY_GRANT,
    PERM_RESOURCE_GRANT,
    PERM_NO_APP,
    PERM_INVALID_APP,
    PERM_NO_GRANT,
    PERM_GATEWAY_GRANT_EXPIRED,
    PERM_RESOURCE_GRANT_EXPIRED,
    PERM_UNAVAILABLE,
    PERM_BAD_CONFIG,
    PERM_REASONS
} perm_reason_t;


/* in place of "left": further than any expiry, now or later */

#define PERM_GRANTS_ENDLESS  (INT64_C(1) << 50)


/*
 * Expiries in unix seconds, or PERM_GRANT_ABSENT, PERM_GRANT_UNREADABLE.  Both
 * are in one key, whose time to live bounds them: they are absent from when
 * "left" is 0 or less.  It counts from "now" of the functions below, not from
 * a time of the clock, which may have been wrong or set back since.
 */

typedef struct {
    int64_t         gateway;
    int64_t         resource;
    int64_t         left;      /* ms, or PERM_GRANTS_ENDLESS */
} perm_grants_t;


typedef struct {
    perm_outcome_t  outcome;
    perm_reason_t   reason;
    int64_t         expires;   /* of the grant that allowed, or of its key
                                  where that ends sooner; else ABSENT */
} perm_decision_t;


/* "off", "open" or "required"; anything else is PERM_POLICY_INVALID */

perm_policy_t perm_decision_policy(perm_str_t text);


/*
 * The decision that needs no lookup: the policy or an invalid name settles it.
 * Returns 1 with *decision filled, or 0 when grants have to be looked up.  The
 * policy is not PERM_POLICY_OFF.
 */
int perm_decision_early(perm_policy_t policy, perm_str_t gateway,
    perm_str_t resource, perm_str_t app, perm_decision_t *decision);


/* The decision of valid names under PERM_POLICY_REQUIRED; now: unix seconds */

perm_decision_t perm_decision_make(const perm_grants_t *grants, int64_t now);


/* 1 when that decision is PERM_ALLOW */

static inline int
perm_decision_allows(perm_grants_t grants, int64_t now)
{
    return grants.left > 0
           && (perm_grant_live(grants.gateway, now)
               || perm_grant_live(grants.resource, now));
}


/* The decision when the lookup is impossible and nothing is known */

perm_decision_t perm_decision_unavailable(int allow);


/* "allow", and "no_grant", as the variables and the status spell them */

const char *perm_decision_outcome_name(perm_outcome_t outcome);
const char *perm_decision_reason_name(perm_reason_t reason);


#endif /* _PERM_CORE_DECISION_H_INCLUDED_ */
