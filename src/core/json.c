
#include "core/json.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>


void  (*perm_json_no_memory)(void);


/* blanks as cJSON has them, around a text */

static perm_str_t
trim(perm_str_t text)
{
    while (text.len && (unsigned char) text.data[0] <= ' ') {
        text.data++;
        text.len--;
    }

    while (text.len && (unsigned char) text.data[text.len - 1] <= ' ') {
        text.len--;
    }

    return text;
}


cJSON *
perm_json_parse(perm_str_t text)
{
    cJSON       *json;
    const char  *end;

    errno = 0;

    if (text.len == 0 || memchr(text.data, '\0', text.len) != NULL) {
        return NULL;
    }

    text = trim(text);

    /* cJSON skips a byte order mark, and before 1.7.18 reads past a comma */

    if (text.len == 0 || text.data[0] == '\xef'
        || text.data[text.len - 1] == ',')
    {
        return NULL;
    }

    json = cJSON_ParseWithLengthOpts(text.data, text.len, &end, 0);

    /* cJSON says no more than that it failed, but malloc() says why */

    if (json == NULL && errno == ENOMEM) {
        if (perm_json_no_memory != NULL) {
            perm_json_no_memory();
        }

        return NULL;
    }

    /* a malloc() that got memory at its second try leaves it, too */

    errno = 0;

    if (json != NULL && end != text.data + text.len) {
        cJSON_Delete(json);
        return NULL;
    }

    return json;
}


/*
 * The length of the UTF-8 character that the text begins with, or 0: neither
 * overlong forms, nor surrogates, nor anything beyond U+10FFFF (table 3-7 of
 * the Unicode standard).
 */

static size_t
utf8_length(perm_str_t text)
{
    size_t                i, n;
    const unsigned char  *p;

    p = (const unsigned char *) text.data;

    n = (p[0] < 0x80) ? 1 : (p[0] < 0xc2) ? 0 : (p[0] < 0xe0) ? 2
        : (p[0] < 0xf0) ? 3 : (p[0] < 0xf5) ? 4 : 0;

    if (n > text.len) {
        return 0;
    }

    for (i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }

    return ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f)
            || (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
           ? 0 : n;
}


/* the code of "\uXXXX" at that place, or -1: there is none */

static long
unicode_escape(perm_str_t text, size_t i)
{
    char  digits[5] = "";

    if (text.len < i + 6 || text.data[i] != '\\' || text.data[i + 1] != 'u') {
        return -1;
    }

    memcpy(digits, text.data + i + 2, 4);

    return (strspn(digits, "0123456789abcdefABCDEF") == 4)
           ? strtol(digits, NULL, 16) : -1;
}


int
perm_json_has_nul(perm_str_t text)
{
    size_t  i;

    for (i = 0; i + 1 < text.len; i++) {

        if (text.data[i] != '\\') {
            continue;
        }

        if (text.data[++i] == 'u' && unicode_escape(text, i - 1) <= 0) {
            return 1;
        }
    }

    return 0;
}


cJSON *
perm_json_parse_strict(perm_str_t text)
{
    cJSON     *json, *item;
    unsigned   n;

    errno = 0;
    json = perm_json_has_nul(text) ? NULL : perm_json_parse(text);
    n = 0;

    cJSON_ArrayForEach(item, json) {
        if (n++ == PERM_JSON_MEMBERS_MAX
            || cJSON_GetObjectItemCaseSensitive(json, item->string) != item)
        {
            break;
        }
    }

    if (item != NULL || !cJSON_IsObject(json)) {
        cJSON_Delete(json);
        return NULL;
    }

    return json;
}


/*
 * Takes off "rest" the text up to the next ",", ":" or "}" that is in no
 * string, array or object, and that byte.  Returns the text without blanks
 * around it.
 */

static perm_str_t
cut(perm_str_t *rest)
{
    int          string;
    size_t       i;
    unsigned     depth;
    const char  *p;
    perm_str_t   part;

    string = 0;
    depth = 0;

    for (i = 0; i < rest->len; i++) {
        p = rest->data + i;

        if (*p == '"') {
            string = !string;

        } else if (string) {
            i += (*p == '\\');

        } else if (depth == 0 && strchr(",:}", *p) != NULL) {
            break;

        } else if (*p == '[' || *p == '{') {
            depth++;

        } else if (*p == ']' || *p == '}') {
            depth--;
        }
    }

    part.data = rest->data;
    part.len = (i < rest->len) ? i : rest->len;

    i = part.len + (part.len < rest->len);
    rest->data += i;
    rest->len -= i;

    return trim(part);
}


perm_json_member_t
perm_json_members(const cJSON *json, perm_str_t text)
{
    perm_json_member_t  member = {
        NULL, perm_string(""), perm_string(""), NULL, perm_string("")
    };

    if (cJSON_IsObject(json)) {
        member.next = json->child;
        member.rest = trim(text);
        member.rest.data++;
        member.rest.len--;
    }

    return member;
}


int
perm_json_next(perm_json_member_t *member)
{
    member->item = member->next;

    if (member->item == NULL) {
        return 0;
    }

    member->next = member->item->next;
    member->name = cut(&member->rest);
    member->value = cut(&member->rest);

    return 1;
}


char *
perm_json_put(char *out, char before, const perm_json_member_t *member)
{
    *out++ = before;
    memcpy(out, member->name.data, member->name.len);
    out += member->name.len;
    *out++ = ':';
    memcpy(out, member->value.data, member->value.len);

    return out + member->value.len;
}


char *
perm_json_merge(perm_str_t object, perm_str_t changes)
{
    char                *out, *p;
    cJSON               *old, *new;
    const cJSON         *change;
    perm_json_member_t   member, changed;

    new = perm_json_parse(changes);
    out = malloc(object.len + changes.len + sizeof("{}"));

    if (new == NULL || out == NULL) {
        cJSON_Delete(new);
        free(out);
        return NULL;
    }

    old = perm_json_parse(object);

    if (old == NULL && errno == ENOMEM) {
        cJSON_Delete(new);
        free(out);
        return NULL;
    }

    p = out;

    for (member = perm_json_members(old, object); perm_json_next(&member); ) {
        change = cJSON_GetObjectItemCaseSensitive(new, member.item->string);

        if (change != NULL) {

            /* one of several with that name stays: readers differ on them */

            if (cJSON_GetObjectItemCaseSensitive(old, member.item->string)
                != member.item)
            {
                continue;
            }

            for (changed = perm_json_members(new, changes);
                 perm_json_next(&changed); )
            {
                if (changed.item == change) {
                    member.value = changed.value;
                }
            }
        }

        p = perm_json_put(p, (p == out) ? '{' : ',', &member);
    }

    for (member = perm_json_members(new, changes); perm_json_next(&member); ) {
        if (cJSON_GetObjectItemCaseSensitive(old, member.item->string)
            == NULL)
        {
            p = perm_json_put(p, (p == out) ? '{' : ',', &member);
        }
    }

    strcpy(p, (p == out) ? "{}" : "}");

    cJSON_Delete(old);
    cJSON_Delete(new);

    return out;
}


size_t
perm_json_escape(char *out, perm_str_t text)
{
    int             shift;
    char           *p;
    size_t          n;
    unsigned        code;
    unsigned char   c;

    for (p = out; text.len; text.data += n, text.len -= n) {
        c = (unsigned char) text.data[0];
        n = utf8_length(text);

        if (n == 0 || c < ' ' || c == 0x7f || c == '<') {
            code = n ? c : 0xfffd;
            n = 1;
            *p++ = '\\';
            *p++ = 'u';

            for (shift = 12; shift >= 0; shift -= 4) {
                *p++ = "0123456789abcdef"[code >> shift & 0xf];
            }

            continue;
        }

        if (c == '"' || c == '\\') {
            *p++ = '\\';
        }

        memcpy(p, text.data, n);
        p += n;
    }

    return p - out;
}


/* bytes of "\uXXXX", or of two that are a surrogate pair; 0: it is broken */

static size_t
unicode_escape_length(perm_str_t text)
{
    long  code, low;

    code = unicode_escape(text, 0);
    low = unicode_escape(text, 6);

    if ((code & 0xfc00) == 0xd800 && (low & 0xfc00) == 0xdc00) {
        return 12;
    }

    return (code < 0 || (code & 0xf800) == 0xd800) ? 0 : 6;
}


/*
 * cJSON takes "\u" without four digits for an escape of six bytes as well, and
 * does not look into them.  Only the "\" goes: the others may end the string,
 * or begin an escape that is broken, too.
 */

static size_t
put_escape(char *out, perm_str_t text, size_t *n)
{
    char                     c;
    static const perm_str_t  unknown = perm_string("\\ufffd");

    c = (text.len > 1) ? text.data[1] : '\0';
    *n = (c == 'u') ? unicode_escape_length(text) : 2;

    if (c == '\0' || strchr("\"\\/bfnrtu", c) == NULL || *n == 0) {
        *n = 1;
        memcpy(out, unknown.data, unknown.len);
        return unknown.len;
    }

    memcpy(out, text.data, *n);

    return *n;
}


/*
 * A byte of no string, behind "before".  JSON has no blanks that matter, and
 * neither "01" nor "1." nor "-.5", which cJSON takes.
 */

static char *
put_plain(char *out, char before, perm_str_t text)
{
    int   digit;
    char  c;

    c = text.data[0];
    digit = (text.len > 1 && isdigit((unsigned char) text.data[1]));

    if ((unsigned char) c <= ' '
        || (c == '0' && digit && before != '.'
            && !isdigit((unsigned char) before)))
    {
        return out;
    }

    if (c == '.' && !isdigit((unsigned char) before)) {
        *out++ = '0';
    }

    *out++ = c;

    if (c == '.' && !digit) {
        *out++ = '0';
    }

    return out;
}


size_t
perm_json_line(char *out, perm_str_t text)
{
    int          string;
    char        *p;
    size_t       n;
    perm_str_t   run;

    string = 0;

    for (p = out; text.len; text.data += n, text.len -= n) {
        n = 1;

        if (*text.data == '"') {
            string = !string;
            *p++ = '"';

        } else if (!string) {
            p = put_plain(p, p > out ? p[-1] : ',', text);

        } else if (*text.data == '\\') {
            p += put_escape(p, text, &n);

        } else {
            while (n < text.len && strchr("\"\\", text.data[n]) == NULL) {
                n++;
            }

            run.data = text.data;
            run.len = n;
            p += perm_json_escape(p, run);
        }
    }

    return p - out;
}
