
#include "core/decision.h"

#include <string.h>


static const perm_str_t  policy_names[] = {
    perm_string(""),
    perm_string("off"),
    perm_string("open"),
    perm_string("required")
};


static const perm_str_t  outcome_names[] = {
    perm_string("allow"),
    perm_string("deny"),
    perm_string("fail")
};


static const perm_str_t  reason_names[PERM_REASONS] = {
    perm_string("open"),
    perm_string("gateway_grant"),
    perm_string("resource_grant"),
    perm_string("no_app"),
    perm_string("invalid_app"),
    perm_string("no_grant"),
    perm_string("gateway_grant_expired"),
    perm_string("resource_grant_expired"),
    perm_string("unavailable"),
    perm_string("bad_config")
};


static perm_decision_t
decision(perm_outcome_t outcome, perm_reason_t reason, int64_t expires)
{
    perm_decision_t  d;

    d.outcome = outcome;
    d.reason = reason;
    d.expires = expires;

    return d;
}


perm_policy_t
perm_decision_policy(perm_str_t text)
{
    perm_policy_t  policy;

    for (policy = PERM_POLICY_REQUIRED; policy > PERM_POLICY_INVALID; policy--)
    {
        if (text.len == policy_names[policy].len
            && memcmp(text.data, policy_names[policy].data, text.len) == 0)
        {
            break;
        }
    }

    return policy;
}


int
perm_decision_early(perm_policy_t policy, perm_str_t gateway,
    perm_str_t resource, perm_str_t app, perm_decision_t *d)
{
    if (policy == PERM_POLICY_OPEN) {
        *d = decision(PERM_ALLOW, PERM_OPEN, PERM_GRANT_ABSENT);
        return 1;
    }

    if (policy != PERM_POLICY_REQUIRED
        || !perm_name_gateway_valid(gateway)
        || !perm_name_resource_valid(resource))
    {
        *d = decision(PERM_FAIL, PERM_BAD_CONFIG, PERM_GRANT_ABSENT);
        return 1;
    }

    if (app.len == 0) {
        *d = decision(PERM_DENY, PERM_NO_APP, PERM_GRANT_ABSENT);
        return 1;
    }

    if (!perm_name_app_valid(app)) {
        *d = decision(PERM_DENY, PERM_INVALID_APP, PERM_GRANT_ABSENT);
        return 1;
    }

    return 0;
}


perm_decision_t
perm_decision_make(perm_grants_t grants, int64_t now)
{
    if (perm_grant_live(grants.gateway, now)) {
        return decision(PERM_ALLOW, PERM_GATEWAY_GRANT, grants.gateway);
    }

    if (perm_grant_live(grants.resource, now)) {
        return decision(PERM_ALLOW, PERM_RESOURCE_GRANT, grants.resource);
    }

    if (grants.resource >= 0) {
        return decision(PERM_DENY, PERM_RESOURCE_GRANT_EXPIRED,
                        PERM_GRANT_ABSENT);
    }

    if (grants.gateway >= 0) {
        return decision(PERM_DENY, PERM_GATEWAY_GRANT_EXPIRED,
                        PERM_GRANT_ABSENT);
    }

    return decision(PERM_DENY, PERM_NO_GRANT, PERM_GRANT_ABSENT);
}


perm_decision_t
perm_decision_unavailable(int allow)
{
    return decision(allow ? PERM_ALLOW : PERM_FAIL, PERM_UNAVAILABLE,
                    PERM_GRANT_ABSENT);
}


perm_str_t
perm_decision_outcome_name(perm_outcome_t outcome)
{
    return outcome_names[outcome];
}


perm_str_t
perm_decision_reason_name(perm_reason_t reason)
{
    return reason_names[reason];
}
