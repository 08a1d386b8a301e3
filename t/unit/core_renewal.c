
/* the renewal table */

#include "core/renewal.h"
#include "tap.h"


#define TERM  PERM_TERM_DEFAULT


static void
renews_at(perm_grant_t grant, int64_t last, int64_t now, int64_t term,
    perm_renewal_t result, int64_t expected)
{
    int64_t         renewed, again;
    perm_renewal_t  got;

    got = perm_renewal_decide(&grant, last, now, term, &renewed);

    ok(got == result && renewed == expected,
       "expires %lld, last %lld, now %lld, term %lld: %s, %lld",
       (long long) grant.expires, (long long) last, (long long) now,
       (long long) term, perm_renewal_name(got), (long long) renewed);

    grant.expires = renewed;

    ok(perm_renewal_decide(&grant, last, now, term, &again) != PERM_RENEWED
       && again == renewed, "the same when run twice");
}


static void
renews(int64_t expires, int64_t last, int64_t term, perm_renewal_t result,
    int64_t expected)
{
    perm_grant_t  grant = { expires, PERM_GRANT_ABSENT, 1 };

    renews_at(grant, last, PERM_GRANT_EXPIRES_MAX, term, result, expected);
}


static void
later_rules(void)
{
    int64_t        renewed;
    const int64_t  e = 1800000000, now = e - 1000;
    perm_grant_t   grant = { e, PERM_GRANT_ABSENT, 1 };

    /* an access in the future is one at Redis's time */

    renews_at(grant, now + 1, now, TERM, PERM_RENEWED, now + TERM);
    renews_at(grant, e + 630720000, now, TERM, PERM_RENEWED, now + TERM);
    renews_at(grant, INT64_MAX, now, TERM, PERM_RENEWED, now + TERM);
    renews_at(grant, INT64_MAX, e, TERM, PERM_KEPT_LAPSED, e);
    renews_at(grant, INT64_MAX, now, 1000, PERM_KEPT_CURRENT, e);
    ok(perm_renewal_last(PERM_GRANT_ABSENT, now) == PERM_GRANT_ABSENT,
       "no access stays none");

    /* the same result at each later time */

    (void) perm_renewal_decide(&grant, now, now + 90000000, TERM, &renewed);
    ok(renewed == now + TERM, "a late run");

    /* an access from before the grant was given does not count */

    grant.granted = now - 10;
    renews_at(grant, now - 11, now, TERM, PERM_KEPT_UNUSED, e);
    renews_at(grant, now - 10, now, TERM, PERM_RENEWED, now - 10 + TERM);
    grant.granted = now + 10;
    renews_at(grant, now + 20, now, TERM, PERM_KEPT_UNUSED, e);
    grant.granted = 0;
    renews_at(grant, 0, now, TERM, PERM_KEPT_CURRENT, e);

    grant.renew = 0;
    renews_at(grant, now, now, TERM, PERM_KEPT_NO_RENEW, e);
    renews_at(grant, PERM_GRANT_ABSENT, now, TERM, PERM_KEPT_NO_RENEW, e);
    grant.expires = PERM_GRANT_PERMANENT;
    renews_at(grant, now, now, TERM, PERM_KEPT_PERMANENT,
              PERM_GRANT_PERMANENT);
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

    later_rules();

    return done();
}
