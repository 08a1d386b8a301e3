
#include "core/time.h"

#include <stdio.h>


#define DAY  86400


typedef struct {
    const char  *p;
    const char  *end;
} perm_reader_t;


/* as many digits as "width" says, from low to high, or -1 */

static int
digits(perm_reader_t *reader, unsigned width, int low, int high)
{
    int  value;

    for (value = 0; width > 0; width--) {
        if (reader->p == reader->end || *reader->p < '0' || *reader->p > '9')
        {
            return -1;
        }

        value = value * 10 + (*reader->p++ - '0');
    }

    return (value < low || value > high) ? -1 : value;
}


/* one byte out of two */

static int
one_of(perm_reader_t *reader, char a, char b)
{
    if (reader->p == reader->end || (*reader->p != a && *reader->p != b)) {
        return 0;
    }

    reader->p++;

    return 1;
}


/*
 * Days since 1970-01-01 in the proleptic Gregorian calendar, with the year
 * beginning in March so that the leap day is its last.
 */

static int64_t
days_of_date(int year, int month, int day)
{
    if (month <= 2) {
        year--;
        month += 12;
    }

    return (int64_t) 365 * year + year / 4 - year / 100 + year / 400
           + (153 * (month - 3) + 2) / 5 + day - 719469;
}


static int
days_in_month(int year, int month)
{
    if (month == 2) {
        return (year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)) ? 29
                                                                       : 28;
    }

    return (month == 4 || month == 6 || month == 9 || month == 11) ? 30 : 31;
}


/* "Z" or "+08:00" in seconds east of UTC, or DAY */

static int
zone_offset(perm_reader_t *reader)
{
    int  sign, hours, minutes;

    if (one_of(reader, 'Z', 'z')) {
        return 0;
    }

    if (!one_of(reader, '+', '-')) {
        return DAY;
    }

    sign = (reader->p[-1] == '-') ? -1 : 1;
    hours = digits(reader, 2, 0, 23);

    if (hours < 0 || !one_of(reader, ':', ':')) {
        return DAY;
    }

    minutes = digits(reader, 2, 0, 59);

    return (minutes < 0) ? DAY : sign * (hours * 3600 + minutes * 60);
}


/* "08:30:00" and a fraction, in seconds, or -1 */

static int
time_of_day(perm_reader_t *reader)
{
    int  hour, minute, second;

    hour = digits(reader, 2, 0, 23);

    if (hour < 0 || !one_of(reader, ':', ':')) {
        return -1;
    }

    minute = digits(reader, 2, 0, 59);

    if (minute < 0 || !one_of(reader, ':', ':')) {
        return -1;
    }

    second = digits(reader, 2, 0, 60);

    if (second < 0) {
        return -1;
    }

    if (one_of(reader, '.', '.')) {
        if (digits(reader, 1, 0, 9) < 0) {
            return -1;
        }

        while (digits(reader, 1, 0, 9) >= 0) { /* void */ }
    }

    return hour * 3600 + minute * 60 + (second == 60 ? 59 : second);
}


static int64_t
date_time(perm_reader_t *reader)
{
    int      year, month, day, seconds, offset;
    int64_t  result;

    year = digits(reader, 4, 1, 9999);

    if (year < 0 || !one_of(reader, '-', '-')) {
        return -1;
    }

    month = digits(reader, 2, 1, 12);

    if (month < 0 || !one_of(reader, '-', '-')) {
        return -1;
    }

    day = digits(reader, 2, 1, days_in_month(year, month));

    if (day < 0 || (!one_of(reader, 'T', 't') && !one_of(reader, ' ', ' '))) {
        return -1;
    }

    seconds = time_of_day(reader);

    if (seconds < 0) {
        return -1;
    }

    offset = zone_offset(reader);

    if (offset == DAY || reader->p != reader->end) {
        return -1;
    }

    result = days_of_date(year, month, day) * DAY + seconds - offset;

    return (result < 0 || result > PERM_TIME_MAX) ? -1 : result;
}


/* a number of at most PERM_TIME_MAX, or -1 */

static int64_t
number(perm_reader_t *reader)
{
    int64_t      value;
    const char  *start;

    start = reader->p;
    value = 0;

    while (reader->p < reader->end && *reader->p >= '0' && *reader->p <= '9') {
        value = value * 10 + (*reader->p++ - '0');

        if (value > PERM_TIME_MAX) {
            return -1;
        }
    }

    return (reader->p == start) ? -1 : value;
}


int64_t
perm_time_parse(perm_str_t text)
{
    int64_t        value;
    perm_reader_t  reader;

    reader.p = text.data;
    reader.end = text.data + text.len;

    value = number(&reader);

    if (value >= 0 && reader.p == reader.end) {
        return value;
    }

    reader.p = text.data;

    return date_time(&reader);
}


void
perm_time_format(int64_t seconds, char text[PERM_TIME_TEXT_SIZE])
{
    int      year, month, day, rest;
    int64_t  days;

    if (seconds < 0) {
        seconds = 0;
    }

    if (seconds > PERM_TIME_MAX) {
        seconds = PERM_TIME_MAX;
    }

    days = seconds / DAY;
    rest = (int) (seconds % DAY);

    year = 1970 + (int) (days / 366);

    while (days_of_date(year + 1, 1, 1) <= days) {
        year++;
    }

    days -= days_of_date(year, 1, 1);

    for (month = 1; days >= days_in_month(year, month); month++) {
        days -= days_in_month(year, month);
    }

    day = (int) days + 1;

    /* the moduli tell the compiler what the ranges are */

    snprintf(text, PERM_TIME_TEXT_SIZE, "%04u-%02u-%02uT%02u:%02u:%02uZ",
             (unsigned) year % 10000u, (unsigned) month % 100u,
             (unsigned) day % 100u, (unsigned) rest / 3600 % 24u,
             (unsigned) rest / 60 % 60u, (unsigned) rest % 60u);
}


int64_t
perm_time_span_parse(perm_str_t text)
{
    int64_t        sum, value, unit;
    perm_reader_t  reader;

    reader.p = text.data;
    reader.end = text.data + text.len;
    sum = 0;

    do {
        value = number(&reader);

        if (value < 0) {
            return -1;
        }

        if (reader.p == reader.end) {
            return (value == 0 && text.len == 1) ? 0 : -1;
        }

        switch (*reader.p++) {
        case 's':
            unit = 1;
            break;
        case 'm':
            unit = 60;
            break;
        case 'h':
            unit = 3600;
            break;
        case 'd':
            unit = DAY;
            break;
        default:
            return -1;
        }

        if (value > PERM_TIME_MAX / unit) {
            return -1;
        }

        sum += value * unit;

        if (sum > PERM_TIME_MAX) {
            return -1;
        }

    } while (reader.p != reader.end);

    return sum;
}
