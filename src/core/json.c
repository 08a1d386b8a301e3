
#include "core/json.h"

#include <string.h>


static const char *scan_value(const char *p, const char *end, unsigned depth);


static const char *
skip_blanks(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r')) {
        p++;
    }

    return p;
}


static const char *
skip_digits(const char *p, const char *end)
{
    while (p < end && *p >= '0' && *p <= '9') {
        p++;
    }

    return p;
}


static int
hex_digits(const char *p, const char *end)
{
    int  i;

    if (end - p < 4) {
        return 0;
    }

    for (i = 0; i < 4; i++) {
        if (p[i] == '\0' || strchr("0123456789abcdefABCDEF", p[i]) == NULL) {
            return 0;
        }
    }

    return 1;
}


/*
 * The scan_ functions return the byte after what they found, or NULL when it
 * is not there.  Table 3-7 of the Unicode standard: no overlong forms, no
 * surrogates, nothing above U+10FFFF.
 */

static const char *
scan_utf8(const char *p, const char *end)
{
    unsigned       i, n;
    unsigned char  c, low, high;

    c = (unsigned char) *p++;
    low = 0x80;
    high = 0xbf;

    if (c >= 0xc2 && c <= 0xdf) {
        n = 1;

    } else if ((c & 0xf0) == 0xe0) {
        n = 2;
        low = (c == 0xe0) ? 0xa0 : 0x80;
        high = (c == 0xed) ? 0x9f : 0xbf;

    } else if (c >= 0xf0 && c <= 0xf4) {
        n = 3;
        low = (c == 0xf0) ? 0x90 : 0x80;
        high = (c == 0xf4) ? 0x8f : 0xbf;

    } else {
        return NULL;
    }

    for (i = 0; i < n; i++) {
        if (p == end || (unsigned char) *p < low || (unsigned char) *p > high)
        {
            return NULL;
        }

        low = 0x80;
        high = 0xbf;
        p++;
    }

    return p;
}


static const char *
scan_string(const char *p, const char *end)
{
    if (p == end || *p != '"') {
        return NULL;
    }

    for (p++; p != NULL && p < end; /* void */ ) {

        if (*p == '"') {
            return p + 1;
        }

        if ((unsigned char) *p < ' ') {
            return NULL;
        }

        if ((unsigned char) *p >= 0x80) {
            p = scan_utf8(p, end);
            continue;
        }

        if (*p++ != '\\') {
            continue;
        }

        if (p == end) {
            return NULL;
        }

        if (*p == 'u') {
            p = hex_digits(p + 1, end) ? p + 5 : NULL;

        } else {
            p = (*p == '\0' || strchr("\"\\/bfnrt", *p) == NULL) ? NULL
                                                                : p + 1;
        }
    }

    return NULL;
}


static const char *
scan_number(const char *p, const char *end)
{
    const char  *digits;

    if (p < end && *p == '-') {
        p++;
    }

    digits = p;
    p = skip_digits(p, end);

    if (p == digits || (*digits == '0' && p != digits + 1)) {
        return NULL;
    }

    if (p < end && *p == '.') {
        digits = ++p;
        p = skip_digits(p, end);

        if (p == digits) {
            return NULL;
        }
    }

    if (p < end && (*p == 'e' || *p == 'E')) {
        p++;

        if (p < end && (*p == '+' || *p == '-')) {
            p++;
        }

        digits = p;
        p = skip_digits(p, end);

        if (p == digits) {
            return NULL;
        }
    }

    return p;
}


static const char *
scan_word(const char *p, const char *end, const char *word)
{
    size_t  len;

    len = strlen(word);

    if ((size_t) (end - p) < len || memcmp(p, word, len) != 0) {
        return NULL;
    }

    return p + len;
}


static const char *
scan_name(const char *p, const char *end)
{
    p = scan_string(p, end);

    if (p == NULL) {
        return NULL;
    }

    p = skip_blanks(p, end);

    if (p == end || *p != ':') {
        return NULL;
    }

    return skip_blanks(p + 1, end);
}


/* an array or an object, from its opening byte on */

static const char *
scan_nest(const char *p, const char *end, unsigned depth)
{
    char  open, close;

    if (depth == PERM_JSON_DEPTH) {
        return NULL;
    }

    open = *p;
    close = (open == '{') ? '}' : ']';

    p = skip_blanks(p + 1, end);

    if (p < end && *p == close) {
        return p + 1;
    }

    for ( ;; ) {
        if (open == '{') {
            p = scan_name(p, end);

            if (p == NULL) {
                return NULL;
            }
        }

        p = scan_value(p, end, depth + 1);

        if (p == NULL) {
            return NULL;
        }

        p = skip_blanks(p, end);

        if (p < end && *p == close) {
            return p + 1;
        }

        if (p == end || *p != ',') {
            return NULL;
        }

        p = skip_blanks(p + 1, end);
    }
}


static const char *
scan_value(const char *p, const char *end, unsigned depth)
{
    if (p == end) {
        return NULL;
    }

    switch (*p) {
    case '{':
    case '[':
        return scan_nest(p, end, depth);
    case '"':
        return scan_string(p, end);
    case 't':
        return scan_word(p, end, "true");
    case 'f':
        return scan_word(p, end, "false");
    case 'n':
        return scan_word(p, end, "null");
    default:
        return scan_number(p, end);
    }
}


int
perm_json_valid(perm_str_t text)
{
    const char  *p, *end;

    if (text.len == 0) {
        return 0;
    }

    end = text.data + text.len;

    p = scan_value(skip_blanks(text.data, end), end, 0);

    return p != NULL && skip_blanks(p, end) == end;
}


perm_str_t
perm_json_value(perm_str_t text)
{
    perm_str_t   value;
    const char  *end;

    end = text.data + text.len;
    value.data = skip_blanks(text.data, end);

    end = scan_value(value.data, end, 0);
    value.len = (end == NULL) ? 0 : (size_t) (end - value.data);

    return value;
}


int
perm_json_next(perm_str_t *rest, perm_json_member_t *member)
{
    const char  *p, *end;

    end = rest->data + rest->len;
    p = skip_blanks(rest->data, end);

    if (p == end || (*p != '{' && *p != ',')) {
        return 0;
    }

    member->name.data = skip_blanks(p + 1, end);
    p = scan_string(member->name.data, end);

    if (p == NULL) {
        return 0;
    }

    member->name.len = p - member->name.data;

    member->value.data = scan_name(member->name.data, end);
    p = scan_value(member->value.data, end, 1);
    member->value.len = p - member->value.data;

    rest->data = p;
    rest->len = end - p;

    return 1;
}
