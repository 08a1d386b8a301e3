
#include "core/json.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


#define MANTISSA_MAX  40        /* digits: more than a double can tell apart */
#define EXPONENT_MAX  1000000


static long
hex4(const char *p)
{
    char  digits[5];

    memcpy(digits, p, 4);
    digits[4] = '\0';

    return strtol(digits, NULL, 16);
}


static unsigned
put_utf8(char *out, unsigned long c)
{
    if (c < 0x80) {
        out[0] = (char) c;
        return 1;
    }

    if (c < 0x800) {
        out[0] = (char) (0xc0 | c >> 6);
        out[1] = (char) (0x80 | (c & 0x3f));
        return 2;
    }

    if (c < 0x10000) {
        out[0] = (char) (0xe0 | c >> 12);
        out[1] = (char) (0x80 | (c >> 6 & 0x3f));
        out[2] = (char) (0x80 | (c & 0x3f));
        return 3;
    }

    out[0] = (char) (0xf0 | c >> 18);
    out[1] = (char) (0x80 | (c >> 12 & 0x3f));
    out[2] = (char) (0x80 | (c >> 6 & 0x3f));
    out[3] = (char) (0x80 | (c & 0x3f));
    return 4;
}


/* what "\uXXXX", or a pair of them, means; -1 for half a pair */

static long
unicode_escape(const char **p, const char *end)
{
    long  c, low;

    c = hex4(*p);
    *p += 4;

    if (c < 0xd800 || c > 0xdfff) {
        return c;
    }

    if (c > 0xdbff || end - *p < 6 || (*p)[0] != '\\' || (*p)[1] != 'u') {
        return -1;
    }

    low = hex4(*p + 2);

    if (low < 0xdc00 || low > 0xdfff) {
        return -1;
    }

    *p += 6;

    return 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
}


/*
 * The next character of a string's inside, as 1 to 4 bytes in "out"; 0 when
 * it has no UTF-8 form.
 */

static unsigned
next_char(const char **p, const char *end, char *out)
{
    long         c;
    const char  *e, *q;

    static const char  escapes[] = "\"\\/bfnrt";
    static const char  meanings[] = "\"\\/\b\f\n\r\t";

    q = *p;

    if (*q != '\\') {
        out[0] = *q;
        *p = q + 1;
        return 1;
    }

    if (q[1] != 'u') {
        e = strchr(escapes, q[1]);
        out[0] = meanings[e - escapes];
        *p = q + 2;
        return 1;
    }

    *p = q + 2;
    c = unicode_escape(p, end);

    return (c < 0) ? 0 : put_utf8(out, (unsigned long) c);
}


int
perm_json_is(perm_str_t value, const char *text)
{
    char         c[4];
    size_t       left;
    unsigned     n;
    const char  *p, *end;

    if (value.len < 2 || value.data[0] != '"') {
        return 0;
    }

    p = value.data + 1;
    end = value.data + value.len - 1;
    left = strlen(text);

    while (p < end) {
        n = next_char(&p, end, c);

        if (n == 0 || n > left || memcmp(c, text, n) != 0) {
            return 0;
        }

        text += n;
        left -= n;
    }

    return left == 0;
}


long
perm_json_string(perm_str_t value, char *out, size_t size)
{
    char         c[4];
    size_t       len;
    unsigned     n;
    const char  *p, *end;

    if (value.len < 2 || value.data[0] != '"') {
        return -1;
    }

    p = value.data + 1;
    end = value.data + value.len - 1;
    len = 0;

    while (p < end) {
        n = next_char(&p, end, c);

        if (n == 0 || (n == 1 && c[0] == '\0') || len + n >= size) {
            return -1;
        }

        memcpy(out + len, c, n);
        len += n;
    }

    out[len] = '\0';

    return (long) len;
}


/*
 * strtod() takes the decimal point of the locale, and this code runs inside
 * other people's processes: it gets the digits and an exponent only.
 */

double
perm_json_number(perm_str_t value)
{
    int          seen, sign;
    char         text[MANTISSA_MAX + 32];
    long         exponent, shift;
    size_t       n, digits;
    const char  *p, *end;

    p = value.data;
    end = value.data + value.len;

    if (value.len == 0 || (*p != '-' && (*p < '0' || *p > '9'))) {
        return NAN;
    }

    n = 0;
    shift = 0;
    seen = 0;
    digits = 0;

    if (*p == '-') {
        text[n++] = *p++;
    }

    text[n++] = '0';

    for ( /* void */ ; p < end && *p != 'e' && *p != 'E'; p++) {

        if (*p == '.') {
            seen = 1;

        } else if (digits == MANTISSA_MAX) {
            shift += !seen;

        } else {
            shift -= seen;

            if (digits || *p != '0') {
                text[n++] = *p;
                digits++;
            }
        }
    }

    exponent = 0;

    if (p < end) {
        sign = (p[1] == '-') ? -1 : 1;

        for (p += (p[1] == '-' || p[1] == '+') ? 2 : 1; p < end; p++) {
            if (exponent < EXPONENT_MAX) {
                exponent = exponent * 10 + (*p - '0');
            }
        }

        exponent *= sign;
    }

    snprintf(text + n, sizeof(text) - n, "e%ld", exponent + shift);

    return strtod(text, NULL);
}


static char *
put(char *out, perm_str_t text)
{
    memcpy(out, text.data, text.len);

    return out + text.len;
}


static char *
put_member(char *out, const perm_json_member_t *member, int first)
{
    if (!first) {
        *out++ = ',';
    }

    out = put(out, member->name);
    *out++ = ':';

    return put(out, member->value);
}


/* the index in "set" of the member that means the same name, or n */

static unsigned
find_name(const perm_json_member_t *set, unsigned n, perm_str_t name)
{
    char      text[64];
    unsigned  i;

    for (i = 0; i < n; i++) {
        if (perm_json_string(set[i].name, text, sizeof(text)) >= 0) {
            if (perm_json_is(name, text)) {
                break;
            }

        } else if (set[i].name.len == name.len
                   && memcmp(set[i].name.data, name.data, name.len) == 0)
        {
            break;
        }
    }

    return i;
}


char *
perm_json_merge(perm_str_t object, const perm_json_member_t *set, unsigned n)
{
    int                  more;
    char                *out, *p;
    size_t               size;
    unsigned             i, members;
    perm_str_t           rest;
    perm_json_member_t   member;

    size = object.len + sizeof("{}");

    for (i = 0; i < n; i++) {
        size += set[i].name.len + set[i].value.len + 2;
    }

    /* a member that stands twice is set twice */

    rest = object;

    while (perm_json_next(&rest, &member)) {
        i = find_name(set, n, member.name);
        size += (i == n) ? 0 : set[i].value.len;
    }

    out = malloc(size);
    if (out == NULL) {
        return NULL;
    }

    p = out;
    *p++ = '{';
    members = 0;
    rest = object;

    while (perm_json_next(&rest, &member)) {
        i = find_name(set, n, member.name);

        if (i != n) {
            member.value = set[i].value;
        }

        p = put_member(p, &member, members++ == 0);
    }

    for (i = 0; i < n; i++) {
        rest = object;

        while ((more = perm_json_next(&rest, &member))
               && find_name(&set[i], 1, member.name) != 0)
        {
            /* void */
        }

        if (!more) {
            p = put_member(p, &set[i], members++ == 0);
        }
    }

    *p++ = '}';
    *p = '\0';

    return out;
}


/* the bytes of the UTF-8 sequence at the text's beginning, 0 for no such */

static size_t
utf8_length(perm_str_t text)
{
    size_t                i, n;
    uint32_t              code;
    const unsigned char  *p;

    static const uint32_t  lowest[] = { 0, 0, 0x80, 0x800, 0x10000 };

    p = (const unsigned char *) text.data;

    if (p[0] < 0x80) {
        return 1;
    }

    n = (p[0] >= 0xf0) ? 4 : (p[0] >= 0xe0) ? 3 : 2;

    if (p[0] < 0xc0 || p[0] >= 0xf8 || text.len < n) {
        return 0;
    }

    code = p[0] & (0xffu >> (n + 1));

    for (i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }

        code = code << 6 | (p[i] & 0x3f);
    }

    /* neither overlong, nor a surrogate, nor beyond Unicode */

    return (code < lowest[n] || (code >= 0xd800 && code <= 0xdfff)
            || code > 0x10ffff) ? 0 : n;
}


size_t
perm_json_escape(char *out, perm_str_t text)
{
    char           *p;
    size_t          n;
    unsigned char   c;

    static const char  hex[] = "0123456789abcdef";

    for (p = out; text.len; text.data += n, text.len -= n) {
        c = (unsigned char) text.data[0];
        n = utf8_length(text);

        if (n == 0) {
            memcpy(p, "\\ufffd", 6);
            p += 6;
            n = 1;

        } else if (c < ' ' || c == 0x7f || c == '<') {
            memcpy(p, "\\u00", 4);
            p += 4;
            *p++ = hex[c >> 4];
            *p++ = hex[c & 0xf];

        } else {
            if (c == '"' || c == '\\') {
                *p++ = '\\';
            }

            memcpy(p, text.data, n);
            p += n;
        }
    }

    return p - out;
}
