
/*
 * Names, prefixes, keys, times, spans and URI references: whatever text is one
 * has to be one by the words of the contract, too, and the other way round.
 * What is printed of any text is what its bytes say.
 * sources: src/cli/util/time.c src/resp/printable.c
 */


#include "fuzz.h"

#include <ctype.h>

#include "cli/util/time.h"
#include "core/decision.h"
#include "core/grant.h"
#include "core/grant_key.h"
#include "core/uri.h"
#include "resp/printable.h"


static void check_text(const uint8_t *data, size_t size);
static void check_names(perm_str_t text);
static void check_name(perm_str_t text);
static void check_keys(perm_str_t text);
static void check_times(const char *text);
static unsigned read_slot(perm_str_t key);
static int64_t read_time(const char *text);
static int64_t read_digits(const char **text, unsigned min, unsigned max);
static void check_span(const char *text, int64_t plain);
static int read_uri(const char *text);
static void check_policy(perm_str_t text);
static void check_printable(perm_str_t text, size_t size, int quoted);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    perm_str_t  part;

    check_text(data, size);

    if (memchr(data, '\0', size) == NULL) {
        return 0;
    }

    /* an input of the corpus may be several texts */

    do {
        part = fuzz_part(&data, &size);
        check_text((const uint8_t *) part.data, part.len);
    } while (size);

    return 0;
}


static void
check_text(const uint8_t *data, size_t size)
{
    char        *cut;
    perm_str_t   text;

    text = fuzz_copy(data, size);
    cut = fuzz_text(data, size);

    check_names(text);
    check_keys(text);
    check(perm_grant_key_slot(text) == read_slot(text));
    check_times(cut);
    check_span(cut, 0);
    check_span(cut, 86400);
    check_policy(text);

    check(perm_uri_reference_valid(text)
          == (strlen(cut) == text.len && read_uri(cut)));

    check_printable(text, PERM_PRINTABLE_SIZE(size), 0);
    check_printable(text, PERM_PRINTABLE_SIZE(size), 1);
    check_printable(text, size + 1, size % 2);
    check_printable(text, size, size % 2);
    check_printable(text, 8, 1);
    check_printable(text, 9 + (size ? data[0] % 64 : 0), 1);

    free(cut);
    free((char *) text.data);
}


static void
check_names(perm_str_t text)
{
    char      *p;
    size_t     i;
    unsigned   n;

    static const size_t  lens[] = { 64, 65, 128, 129, 256, 257 };

    check_name(text);

    /* each byte alone, and the first one as often as a name has bytes */

    for (i = 0; i < text.len; i++) {
        check_name((perm_str_t) { 1, text.data + i });
    }

    for (n = 0; n < 6 && text.len; n++) {
        p = malloc(lens[n]);
        memset(p, text.data[0], lens[n]);
        check_name((perm_str_t) { lens[n], p });
        free(p);
    }
}


static void
check_name(perm_str_t text)
{
    check(perm_name_gateway_valid(text) == fuzz_name(text, 64));
    check(perm_name_app_valid(text) == fuzz_name(text, 128));
    check(perm_name_resource_valid(text)
          == (fuzz_name(text, 256)
              && !perm_str_equal(text, perm_str("-"))));
}


static void
check_keys(perm_str_t text)
{
    int          valid;
    char         key[PERM_KEY_MAX];
    const char  *colon;
    perm_str_t   built, gateway, app, prefix = perm_string("p:");

    check(perm_grant_key_prefix_valid(text)
          == (text.len <= PERM_PREFIX_MAX
              && fuzz_printable(text.data, text.len, " {}*?[]\\\"")));

    if (perm_grant_key_prefix_valid(text)) {

        built.data = key;
        built.len = perm_grant_key(key, PERM_KEY_HISTORY, text,
                                   perm_str("gw"), perm_str("app"));
        check(built.len < PERM_KEY_MAX);
        check(perm_grant_key_parse(built, PERM_KEY_HISTORY, text, &gateway,
                                   &app));
        check(perm_str_equal(gateway, perm_str("gw"))
              && perm_str_equal(app, perm_str("app")));
    }

    if (perm_grant_key_parse(text, PERM_KEY_GRANTS, prefix, &gateway, &app)) {
        check(fuzz_name(gateway, 64) && fuzz_name(app, 128));

        built.data = key;
        built.len = perm_grant_key(key, PERM_KEY_GRANTS, prefix, gateway, app);
        check(perm_str_equal(built, text));
        check(perm_grant_key_slot(built)
              == perm_grant_key_slot((perm_str_t) { gateway.len + 1 + app.len,
                                                    gateway.data }));
        check(memcmp(text.data, "p:grants:{", 10) == 0
              && text.data[text.len - 1] == '}');
    }

    /* "gateway:app", and the same in a key */

    colon = text.len ? memchr(text.data, ':', text.len) : NULL;

    if (colon != NULL && text.len <= 64 + 1 + 128) {
        gateway.data = text.data;
        gateway.len = (size_t) (colon - text.data);
        app.data = colon + 1;
        app.len = text.len - gateway.len - 1;
        valid = fuzz_name(gateway, 64) && fuzz_name(app, 128);

        memcpy(key, "p:grants:{", 10);
        memcpy(key + 10, text.data, text.len);
        key[10 + text.len] = '}';
        built = fuzz_copy(key, text.len + 11);

        check(perm_grant_key_parse(built, PERM_KEY_GRANTS, prefix, &gateway,
                                   &app)
              == valid);
        check(!perm_grant_key_parse(built, PERM_KEY_ACCESS, prefix, &gateway,
                                    &app));
        free((char *) built.data);
    }
}


static void
check_times(const char *text)
{
    char     written[PERM_TIME_TEXT_SIZE];
    int64_t  seconds, expected;

    seconds = perm_time_parse(text);
    expected = read_time(text);

    if (expected >= 0 && expected <= PERM_GRANT_EXPIRES_MAX) {
        check(seconds == expected);

        perm_time_format(seconds, written);
        check(perm_time_parse(written) == seconds);

    } else {
        check(seconds == PERM_TIME_INVALID || seconds == PERM_TIME_TOO_LARGE);
    }
}


/* a calendar that shares nothing with that of libc; -1: the text is no time */

static int64_t
read_time(const char *text)
{
    int64_t      year, month, day, hour, minute, second, time, offset;
    const char  *p;

    static const int  days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30,
                                 31 };

    if (strspn(text, "0123456789") == strlen(text)) {
        return *text ? strtoll(text, NULL, 10) : -1;
    }

    p = text;
    year = read_digits(&p, 4, 4);
    month = (*p == '-') ? (p++, read_digits(&p, 2, 2)) : -1;
    day = (*p == '-') ? (p++, read_digits(&p, 2, 2)) : -1;

    if (year < 0 || month < 1 || month > 12 || day < 1
        || day > days[month - 1]
                 + (month == 2 && year % 4 == 0
                    && (year % 100 != 0 || year % 400 == 0)))
    {
        return -1;
    }

    /* from March on: the leap day is the last one of a year */

    time = year - (month <= 2);
    time = (time + 400) * 365 + (time + 400) / 4 - (time + 400) / 100
           + (time + 400) / 400 + (153 * ((month + 9) % 12) + 2) / 5 + day - 1
           - 146097 - 719468;
    time *= 86400;

    if (*p == '\0') {
        return time;
    }

    if (strchr("Tt ", *p++) == NULL) {
        return -1;
    }

    hour = read_digits(&p, 2, 2);
    minute = (*p == ':') ? (p++, read_digits(&p, 2, 2)) : -1;
    second = (*p == ':') ? (p++, read_digits(&p, 2, 2)) : -1;

    if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0
        || second > 60
        || (*p == '.' && (p++, read_digits(&p, 1, 4096)) < 0))
    {
        return -1;
    }

    time += hour * 3600 + minute * 60 + (second < 60 ? second : 59);

    if (strcmp(p, "Z") == 0 || strcmp(p, "z") == 0) {
        return time;
    }

    offset = (*p == '+') ? -1 : (*p == '-') ? 1 : 0;
    p += (offset != 0);

    hour = read_digits(&p, 2, 2);
    minute = (*p == ':') ? (p++, read_digits(&p, 2, 2)) : -1;

    return (offset == 0 || hour < 0 || hour > 23 || minute < 0 || minute > 59
            || *p != '\0') ? -1 : time + offset * (hour * 3600 + minute * 60);
}


/* -1: there are fewer than "min", or more than "max" */

static int64_t
read_digits(const char **text, unsigned min, unsigned max)
{
    size_t    len;
    int64_t   value;

    len = strspn(*text, "0123456789");

    if (len < min || len > max) {
        return -1;
    }

    value = strtoll(*text, NULL, 10);
    *text += len;

    return value;
}


static void
check_span(const char *text, int64_t plain)
{
    int64_t      span, value;
    __int128     sum;
    const char  *p;

    sum = *text ? 0 : -1;

    for (p = text; *p != '\0' && sum >= 0; p++) {
        value = read_digits(&p, 1, 4096);

        if (value >= 0 && *p == '\0') {
            sum = (sum == 0 && strspn(text, "0123456789") == strlen(text)
                   && (plain || value == 0)) ? (__int128) value * plain : -1;
            break;
        }

        if (value < 0 || strchr("smhd", *p) == NULL) {
            sum = -1;
            break;
        }

        sum += (__int128) value * (*p == 's' ? 1 : *p == 'm' ? 60
                                   : *p == 'h' ? 3600 : 86400);
    }

    span = perm_time_span_parse(text, plain);

    if (sum >= 0 && sum <= PERM_GRANT_EXPIRES_MAX) {
        check(span == sum);

    } else {
        check(span == PERM_TIME_INVALID || span == PERM_TIME_TOO_LARGE);
    }
}


/* CRC16 of what is between the first "{" and the next "}", or of all of it */

static unsigned
read_slot(perm_str_t key)
{
    size_t       i;
    unsigned     crc;
    const char  *open, *close;

    open = key.len ? memchr(key.data, '{', key.len) : NULL;
    close = open ? memchr(open, '}', key.data + key.len - open) : NULL;

    if (close != NULL && close > open + 1) {
        key.data = open + 1;
        key.len = (size_t) (close - key.data);
    }

    /* divided bit by bit, with 16 bits of zeros behind them */

    crc = 0;

    for (i = 0; i < key.len * 8 + 16; i++) {
        crc = crc << 1 | (i < key.len * 8
                          && (key.data[i / 8] & 0x80 >> i % 8) != 0);
        crc ^= (crc & 0x10000) ? 0x11021 : 0;
    }

    return crc % 16384;
}


static int
read_uri(const char *text)
{
    size_t       len;
    const char  *p;

    for (p = text; *p != '\0'; p++) {
        if (*p == '%' ? !isxdigit((unsigned char) p[1])
                        || !isxdigit((unsigned char) p[2])
            : !fuzz_printable(p, 1, " \"<>\\^`{|}"))
        {
            return 0;
        }
    }

    /* a ":" comes behind a scheme, or a "/" or "?" */

    len = strcspn(text, ":/?#");

    if (text[len] == ':') {
        for (p = text; p < text + len; p++) {
            if (!isalnum((unsigned char) *p) && strchr("+.-", *p) == NULL) {
                return 0;
            }
        }
    }

    return *text != '\0' && (text[len] != ':' || isalpha((unsigned char) *text))
           && strchr(text, '#') == strrchr(text, '#');
}


static void
check_policy(perm_str_t text)
{
    perm_policy_t  policy;

    policy = perm_str_equal(text, perm_str("off")) ? PERM_POLICY_OFF
             : perm_str_equal(text, perm_str("open")) ? PERM_POLICY_OPEN
             : perm_str_equal(text, perm_str("required"))
             ? PERM_POLICY_REQUIRED : PERM_POLICY_INVALID;

    check(perm_decision_policy(text) == policy);
}


/* the whole text, or as much of it as has room before "..." */

static void
check_printable(perm_str_t text, size_t size, int quoted)
{
    char    *expected, *p, *cut, *buf;
    size_t   i, len;

    if (size < 8) {
        return;
    }

    expected = malloc(4 * text.len + sizeof("..."));
    buf = malloc(size);
    p = expected;
    cut = expected;

    for (i = 0; i < text.len; i++) {
        cut = ((size_t) (p - expected) + sizeof("...") <= size) ? p : cut;

        if (fuzz_printable(&text.data[i], 1, quoted ? "\"\\" : "\\")) {
            *p++ = text.data[i];

        } else {
            p += sprintf(p, "\\x%02x", (unsigned char) text.data[i]);
        }
    }

    if ((size_t) (p - expected) >= size) {
        p = cut + sprintf(cut, "...");
    }

    len = perm_printable(buf, size, text, quoted);

    check(len == (size_t) (p - expected) && memcmp(buf, expected, len) == 0);
    check(buf[len] == '\0');

    free(expected);
    free(buf);
}
