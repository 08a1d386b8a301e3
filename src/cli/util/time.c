
#include "cli/util/time.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/grant.h"


#define DIGITS     "0123456789"
#define DATE_TIME  "%Y-%m-%dT%H:%M:%S"
#define DATE_SIZE  sizeof("2027-03-01T08:00:00")
#define DATE_ONLY  sizeof("2027-03-01")
#define NO_OFFSET  86400


static int64_t parse_date_time(const char *text);
static int parse_offset(const char *text);


/* a number of at most PERM_GRANT_EXPIRES_MAX; *end is behind it */

static int64_t
parse_number(const char *text, char **end)
{
    long long  value;

    if (strspn(text, DIGITS) == 0) {
        return PERM_TIME_INVALID;
    }

    value = strtoll(text, end, 10);

    return (value > PERM_GRANT_EXPIRES_MAX) ? PERM_TIME_TOO_LARGE : value;
}


int64_t
perm_time_parse(const char *text)
{
    char     *end;
    char      midnight[sizeof("2027-03-01T00:00:00Z")];
    int64_t   seconds;

    seconds = parse_number(text, &end);

    if (seconds != PERM_TIME_INVALID && *end == '\0') {
        return seconds;
    }

    if (strlen(text) == DATE_ONLY - 1) {
        snprintf(midnight, sizeof(midnight), "%sT00:00:00Z", text);
        text = midnight;
    }

    return parse_date_time(text);
}


static int64_t
parse_date_time(const char *text)
{
    int         offset;
    char        date[DATE_SIZE], again[DATE_SIZE];
    time_t      seconds;
    struct tm   tm;

    if (strlen(text) < DATE_SIZE || strchr("Tt ", text[10]) == NULL) {
        return -1;
    }

    memcpy(date, text, DATE_SIZE - 1);
    date[DATE_SIZE - 1] = '\0';
    date[10] = 'T';

    if (strcmp(&date[17], "60") == 0) {
        memcpy(&date[17], "59", 2);
    }

    /* strptime() accepts 2027-02-30, and blanks for digits: write it again */

    memset(&tm, 0, sizeof(struct tm));

    if (strptime(date, DATE_TIME, &tm) == NULL) {
        return -1;
    }

    seconds = timegm(&tm);

    if (gmtime_r(&seconds, &tm) == NULL
        || strftime(again, sizeof(again), DATE_TIME, &tm) == 0
        || strcmp(again, date) != 0)
    {
        return -1;
    }

    text += DATE_SIZE - 1;

    if (*text == '.') {
        text++;

        if (strspn(text, DIGITS) == 0) {
            return -1;
        }

        text += strspn(text, DIGITS);
    }

    offset = parse_offset(text);
    seconds -= offset;

    return (offset == NO_OFFSET || seconds < 0
            || seconds > PERM_GRANT_EXPIRES_MAX) ? -1 : seconds;
}


/* "Z" or "+08:00" in seconds east of UTC, or NO_OFFSET */

static int
parse_offset(const char *text)
{
    int         seconds;
    char        again[sizeof("+08:00")];
    struct tm   tm;

    if (strcmp(text, "Z") == 0 || strcmp(text, "z") == 0) {
        return 0;
    }

    memset(&tm, 0, sizeof(struct tm));

    if ((*text != '+' && *text != '-')
        || strptime(text + 1, "%H:%M", &tm) == NULL
        || strftime(again, sizeof(again), "+%H:%M", &tm) == 0
        || strcmp(again + 1, text + 1) != 0)
    {
        return NO_OFFSET;
    }

    seconds = tm.tm_hour * 3600 + tm.tm_min * 60;

    return (*text == '-') ? -seconds : seconds;
}


void
perm_time_format(int64_t seconds, char text[PERM_TIME_TEXT_SIZE])
{
    time_t      t;
    struct tm   tm;

    t = (seconds < 0) ? 0
        : (seconds > PERM_GRANT_EXPIRES_MAX) ? PERM_GRANT_EXPIRES_MAX
        : seconds;

    strftime(text, PERM_TIME_TEXT_SIZE, DATE_TIME "Z", gmtime_r(&t, &tm));
}


int64_t
perm_time_span_parse(const char *text, int64_t plain)
{
    char        *end;
    int64_t      sum, value, unit;
    const char  *name, *begin;

    static const char     names[] = "smhd";
    static const int64_t  units[] = { 1, 60, 3600, 86400 };

    sum = 0;
    begin = text;

    do {
        value = parse_number(text, &end);

        if (value < 0) {
            return value;
        }

        if (*end == '\0') {

            /* a number without a unit stands alone */

            if (text != begin || (plain == 0 && value)) {
                return PERM_TIME_INVALID;
            }

            return (plain && value > PERM_GRANT_EXPIRES_MAX / plain)
                   ? PERM_TIME_TOO_LARGE : value * plain;
        }

        name = strchr(names, *end);

        if (name == NULL) {
            return PERM_TIME_INVALID;
        }

        unit = units[name - names];

        if (value > (PERM_GRANT_EXPIRES_MAX - sum) / unit) {
            return PERM_TIME_TOO_LARGE;
        }

        sum += value * unit;
        text = end + 1;

    } while (*text != '\0');

    return sum;
}
