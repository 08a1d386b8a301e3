
/* the renewal table */

#include "core/renewal.h"
#include "tap.h"


#define TERM  PERM_TERM_DEFAULT


static void
renews(int64_t expires, int64_t last, int64_t term, perm_renewal_t result,
    int64_t expected)
{
    int64_t         renewed, again;
    perm_renewal_t  got;

    got = perm_renewal_decide(expires, last, term, &renewed);

    ok(got == result && renewed == expected,
       "expires %lld, last %lld, term %lld: %s, %lld", (long long) expires,
       (long long) last, (long long) term, perm_renewal_name(got),
       (long long) renewed);

    ok(perm_renewal_decide(renewed, last, term, &again) != PERM_RENEWED
       && again == renewed, "the same when run twice");
}


int
main(void)
{
    const int64_t  e = 1800000000;

    renews(PERM_GRANT_PERMANENT, e, TERM, PERM_KEPT_PERMANENT,
           PERM_GRANT_PERMANENT);
    renews(PERM_GRANT_PERMANENT - 1, e, TERM, PERM_KEPT_CURRENT,
           PERM_GRANT_PERMANENT - 1);
    renews(e, PERM_GRANT_ABSENT, TERM, PERM_KEPT_UNUSED, e);
    renews(e, e, TERM, PERM_KEPT_LAPSED, e);
    renews(e, e + 1, TERM, PERM_KEPT_LAPSED, e);
    renews(e, e - 1, TERM, PERM_RENEWED, e - 1 + TERM);
    renews(e, e - TERM, TERM, PERM_KEPT_CURRENT, e);
    renews(e, e - TERM + 1, TERM, PERM_RENEWED, e + 1);
    renews(e, 0, TERM, PERM_KEPT_CURRENT, e);
    renews(0, 0, TERM, PERM_KEPT_LAPSED, 0);
    renews(1, 0, 2, PERM_RENEWED, 2);
    renews(e, e - 1, INT64_MAX, PERM_RENEWED, PERM_GRANT_PERMANENT);

    return done();
}
