
/* the renewal table, and times and spans as people write them */

#include "core/renewal.h"
#include "core/time.h"
#include "tap.h"


#define DAY   86400
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


static void
time_is(const char *text, int64_t expected)
{
    ok(perm_time_parse(str(text)) == expected, "time %s: %lld", text,
       (long long) perm_time_parse(str(text)));
}


static void
span_is(const char *text, int64_t expected)
{
    ok(perm_time_span_parse(str(text)) == expected, "span %s: %lld", text,
       (long long) perm_time_span_parse(str(text)));
}


static void
formatted(int64_t seconds, const char *expected)
{
    char  text[PERM_TIME_TEXT_SIZE];

    perm_time_format(seconds, text);

    ok(strcmp(text, expected) == 0, "%lld is %s", (long long) seconds, text);
}


static void
round_trip(void)
{
    char     text[PERM_TIME_TEXT_SIZE];
    int      bad;
    int64_t  t;

    bad = 0;

    for (t = 0; t <= PERM_TIME_MAX; t += 86399 * 7) {
        perm_time_format(t, text);
        bad += (perm_time_parse(str(text)) != t);
    }

    ok(bad == 0, "every week to the year 9999 there and back");
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

    time_is("0", 0);
    time_is("1800000000", 1800000000);
    time_is("1970-01-01T00:00:00Z", 0);
    time_is("2000-02-29T23:59:60Z", 951868799);
    time_is("2027-03-01T08:00:00+08:00", 1803859200);
    time_is("2027-02-28t19:00:00.123456-05:00", 1803859200);
    time_is("2100-01-01 00:00:00z", 4102444800);
    time_is("253402300799", PERM_TIME_MAX);
    time_is("9999-12-31T23:59:59Z", PERM_TIME_MAX);

    time_is("", -1);
    time_is("-1", -1);
    time_is("1e9", -1);
    time_is(" 1", -1);
    time_is("253402300800", -1);
    time_is("99999999999999999999999", -1);
    time_is("2027-02-29T00:00:00Z", -1);
    time_is("2100-02-29T00:00:00Z", -1);
    time_is("2027-13-01T00:00:00Z", -1);
    time_is("2027-00-01T00:00:00Z", -1);
    time_is("2027-01-01T24:00:00Z", -1);
    time_is("2027-01-01T00:00:00", -1);
    time_is("2027-01-01T00:00:00.Z", -1);
    time_is("2027-01-01T00:00:00+24:00", -1);
    time_is("2027-01-01T00:00:00Zx", -1);
    time_is("2027-01-01", -1);
    time_is("1969-12-31T23:59:59Z", -1);

    formatted(0, "1970-01-01T00:00:00Z");
    formatted(951868799, "2000-02-29T23:59:59Z");
    formatted(4102444800, "2100-01-01T00:00:00Z");
    formatted(INT64_MAX, "9999-12-31T23:59:59Z");
    round_trip();

    span_is("180d", 180 * DAY);
    span_is("36h", 36 * 3600);
    span_is("5m", 300);
    span_is("7s", 7);
    span_is("1d12h", DAY + 12 * 3600);
    span_is("0", 0);
    span_is("0d", 0);

    span_is("", -1);
    span_is("180", -1);
    span_is("d", -1);
    span_is("1w", -1);
    span_is("-1d", -1);
    span_is("1.5d", -1);
    span_is("1d ", -1);
    span_is("99999999999999d", -1);

    return done();
}
