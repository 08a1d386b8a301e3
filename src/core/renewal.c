
#include "core/renewal.h"


static const char *const  renewal_names[] = {
    "renewed",
    "permanent",
    "no_renew",
    "unused",
    "lapsed",
    "current"
};


int64_t
perm_renewal_last(int64_t last, int64_t now)
{
    return (last > now) ? now : last;
}


perm_renewal_t
perm_renewal_decide(const perm_grant_t *grant, int64_t last, int64_t now,
    int64_t term, int64_t *renewed)
{
    *renewed = grant->expires;
    last = perm_renewal_last(last, now);

    if (grant->expires >= PERM_GRANT_PERMANENT) {
        return PERM_KEPT_PERMANENT;
    }

    if (!grant->renew) {
        return PERM_KEPT_NO_RENEW;
    }

    /* an access from before the grant was given is one by another grant */

    if (last < 0 || last < grant->granted) {
        return PERM_KEPT_UNUSED;
    }

    if (last >= grant->expires) {
        return PERM_KEPT_LAPSED;
    }

    /* last < expires < PERM_GRANT_PERMANENT: only the term can be too much */

    if (term <= grant->expires - last) {
        return PERM_KEPT_CURRENT;
    }

    *renewed = (term < PERM_GRANT_PERMANENT) ? last + term
                                             : PERM_GRANT_PERMANENT;

    return PERM_RENEWED;
}


const char *
perm_renewal_name(perm_renewal_t renewal)
{
    return renewal_names[renewal];
}
