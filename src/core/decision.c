
#include "core/decision.h"


static const perm_str_t  policy_names[] = {
    perm_string(""),
    perm_string("off"),
    perm_string("open"),
    perm_string("required")
};


static const char *const  outcome_names[] = { "allow", "deny", "fail" };


static const char *const  reason_names[PERM_REASONS] = {
    "open",
    "gateway_grant",
    "resource_grant",
    "no_app",
    "invalid_app",
    "no_grant",
    "gateway_grant_expired",
    "resource_grant_expired",
    "unavailable",
    "bad_config"
};


static perm_decision_t
decision(perm_outcome_t outcome, perm_reason_t reason)
{
    perm_decision_t  d;

    d.outcome = outcome;
    d.reason = reason;
    d.expires = PERM_GRANT_ABSENT;

    return d;
}


perm_policy_t
perm_decision_policy(perm_str_t text)
{
    perm_policy_t  policy;

    policy = PERM_POLICY_REQUIRED;

    while (policy > PERM_POLICY_INVALID
           && !perm_str_equal(text, policy_names[policy]))
    {
        policy--;
    }

    return policy;
}


int
perm_decision_early(perm_policy_t policy, perm_str_t gateway,
    perm_str_t resource, perm_str_t app, perm_decision_t *d)
{
    if (policy == PERM_POLICY_OPEN) {
        *d = decision(PERM_ALLOW, PERM_OPEN);

    } else if (policy != PERM_POLICY_REQUIRED
               || !perm_name_gateway_valid(gateway)
               || !perm_name_resource_valid(resource))
    {
        *d = decision(PERM_FAIL, PERM_BAD_CONFIG);

    } else if (!perm_name_app_valid(app)) {
        *d = decision(PERM_DENY, app.len ? PERM_INVALID_APP : PERM_NO_APP);

    } else {
        return 0;
    }

    return 1;
}


perm_decision_t
perm_decision_make(const perm_grants_t *grants, int64_t now)
{
    int64_t          end;
    perm_decision_t  d;

    if (grants->left <= 0) {
        return decision(PERM_DENY, PERM_NO_GRANT);
    }

    if (perm_grant_live(grants->gateway, now)) {
        d = decision(PERM_ALLOW, PERM_GATEWAY_GRANT);
        d.expires = grants->gateway;

    } else if (perm_grant_live(grants->resource, now)) {
        d = decision(PERM_ALLOW, PERM_RESOURCE_GRANT);
        d.expires = grants->resource;

    } else {
        return decision(PERM_DENY,
                        grants->resource >= 0 ? PERM_RESOURCE_GRANT_EXPIRED
                        : grants->gateway >= 0 ? PERM_GATEWAY_GRANT_EXPIRED
                        : PERM_NO_GRANT);
    }

    if (grants->left != PERM_GRANTS_ENDLESS) {
        end = now + (grants->left + 999) / 1000;
        d.expires = (d.expires < end) ? d.expires : end;
    }

    return d;
}


perm_decision_t
perm_decision_unavailable(int allow)
{
    return decision(allow ? PERM_ALLOW : PERM_FAIL, PERM_UNAVAILABLE);
}


const char *
perm_decision_outcome_name(perm_outcome_t outcome)
{
    return outcome_names[outcome];
}


const char *
perm_decision_reason_name(perm_reason_t reason)
{
    return reason_names[reason];
}
