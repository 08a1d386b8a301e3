
#include "core/renewal.h"


static const char *const  renewal_names[] = {
    "renewed",
    "permanent",
    "unused",
    "lapsed",
    "current"
};


perm_renewal_t
perm_renewal_decide(int64_t expires, int64_t last, int64_t term,
    int64_t *renewed)
{
    *renewed = expires;

    if (expires >= PERM_GRANT_PERMANENT) {
        return PERM_KEPT_PERMANENT;
    }

    if (last < 0) {
        return PERM_KEPT_UNUSED;
    }

    if (last >= expires) {
        return PERM_KEPT_LAPSED;
    }

    /* last < expires < PERM_GRANT_PERMANENT: only the term can be too much */

    if (term <= expires - last) {
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
