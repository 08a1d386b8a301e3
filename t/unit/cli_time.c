
/*
 * times and spans as people write them
 *
 * sources: src/cli/util/time.c
 */

#include "cli/util/time.h"
#include "core/grant.h"
#include "tap.h"


#define DAY   86400


static void
time_is(const char *text, int64_t expected)
{
    ok(perm_time_parse(text) == expected, "time %s: %lld", text,
       (long long) perm_time_parse(text));
}


static void
span_is(const char *text, int64_t expected)
{
    ok(perm_time_span_parse(text, 0) == expected, "span %s: %lld", text,
       (long long) perm_time_span_parse(text, 0));
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

    for (t = 0; t <= PERM_GRANT_EXPIRES_MAX; t += 86399 * 7) {
        perm_time_format(t, text);
        bad += (perm_time_parse(text) != t);
    }

    ok(bad == 0, "every week to the year 9999 there and back");
}


int
main(void)
{
    time_is("0", 0);
    time_is("1800000000", 1800000000);
    time_is("1970-01-01T00:00:00Z", 0);
    time_is("2000-02-29T23:59:60Z", 951868799);
    time_is("2027-03-01T08:00:00+08:00", 1803859200);
    time_is("2027-02-28t19:00:00.123456-05:00", 1803859200);
    time_is("2100-01-01 00:00:00z", 4102444800);
    time_is("253402300799", PERM_GRANT_EXPIRES_MAX);
    time_is("9999-12-31T23:59:59Z", PERM_GRANT_EXPIRES_MAX);
    time_is("1969-12-31T23:30:00-01:00", 1800);
    time_is("2027-03-01T00:00:00+23:59", 1803859200 - 86340);

    time_is("1970-01-01", 0);
    time_is("2027-01-01", 1798761600);
    time_is("9999-12-31", INT64_C(253402214400));

    time_is("2027-02-29", -1);
    time_is("2027-1-01x", -1);
    time_is("27-01-01", -1);
    time_is("2027-01-01Z", -1);
    time_is("1969-12-31", -1);
    time_is("", -1);
    time_is("-1", -1);
    time_is("1e9", -1);
    time_is(" 1", -1);
    time_is("253402300800", PERM_TIME_TOO_LARGE);
    time_is("99999999999999999999999", PERM_TIME_TOO_LARGE);
    time_is("2027-02-29T00:00:00Z", -1);
    time_is("2100-02-29T00:00:00Z", -1);
    time_is("2027-13-01T00:00:00Z", -1);
    time_is("2027-00-01T00:00:00Z", -1);
    time_is("2027-01-01T24:00:00Z", -1);
    time_is("2027-01-01T00:00:00", -1);
    time_is("2027-01-01T00:00:00.Z", -1);
    time_is("2027-01-01T00:00:00+24:00", -1);
    time_is("2027-01-01T00:00:00Zx", -1);
    time_is("", -1);
    time_is("2027-1-01T00:00:00Z ", -1);
    time_is("2027-01- 1T00:00:00Z", -1);
    time_is(" 027-01-01T00:00:00Z", -1);
    time_is("+027-01-01T00:00:00Z", -1);
    time_is("2027-01-01T 1:00:00Z", -1);
    time_is("2027-01-01T00:60:00Z", -1);
    time_is("2027-01-01T00:00:61Z", -1);
    time_is("2027-01-01_00:00:00Z", -1);
    time_is("2027-01-01T00:00:00Z+", -1);
    time_is("2027-01-01T00:00:00+0100", -1);
    time_is("2027-01-01T00:00:00+01", -1);
    time_is("2027-01-01T00:00:00+ 1:00", -1);
    time_is("2027-01-01T00:00:00+01:60", -1);
    time_is("2027-01-01T00:00:00+01:000", -1);
    time_is("2027-01-01T00:00:00+1::00", -1);
    time_is("9999-12-31T23:59:59-00:01", -1);
    time_is("1970-01-01T00:00:00+00:01", -1);
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
    span_is("1h1h", 7200);
    span_is("2932896d", INT64_C(253402214400));

    span_is("", -1);
    span_is("180", -1);
    span_is("d", -1);
    span_is("1w", -1);
    span_is("1d1", -1);
    span_is(" 1d", -1);
    span_is("2932896d2d", PERM_TIME_TOO_LARGE);
    span_is("99999999999999999999s", PERM_TIME_TOO_LARGE);
    span_is("-1d", -1);
    span_is("1.5d", -1);
    span_is("1d ", -1);
    span_is("99999999999999d", PERM_TIME_TOO_LARGE);

    ok(perm_time_span_parse("5", DAY) == 5 * DAY, "5 days without a unit");
    ok(perm_time_span_parse("12h", DAY) == DAY / 2, "12 hours where days are");
    ok(perm_time_span_parse("0", DAY) == 0, "no day");
    ok(perm_time_span_parse("1d5", DAY) == -1, "a unit is missing");
    ok(perm_time_span_parse("0s5", DAY) == -1, "the same");
    ok(perm_time_span_parse("-5", DAY) == -1, "negative");
    ok(perm_time_span_parse("2932897", DAY) == PERM_TIME_TOO_LARGE,
       "more days than there are");

    return done();
}
