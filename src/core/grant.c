
#include "core/grant.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>


#define EXPIRES_MAX  9007199254740992.0   /* 2^53: exact in a double */


typedef struct {
    const char  *start;
    const char  *end;
} perm_span_t;


static int
json_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}


static const char *
skip_digits(const char *p, const char *end)
{
    while (p < end && *p >= '0' && *p <= '9') {
        p++;
    }

    return p;
}


/*
 * cJSON lets strtod() read numbers, which takes "01" and "1." as well.
 */

static int
json_number(const char *p, const char *end)
{
    const char  *digits;

    if (p < end && *p == '-') {
        p++;
    }

    digits = p;
    p = skip_digits(p, end);

    if (p == digits || (*digits == '0' && p != digits + 1)) {
        return 0;
    }

    if (p < end && *p == '.') {
        digits = ++p;
        p = skip_digits(p, end);

        if (p == digits) {
            return 0;
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
            return 0;
        }
    }

    return p == end;
}


/*
 * All of the value as one JSON text, or NULL.  cJSON takes any control byte
 * for a blank, a NUL too.
 */

static cJSON *
parse_whole(perm_str_t value)
{
    size_t       i;
    cJSON       *json;
    const char  *rest, *end;

    for (i = 0; i < value.len; i++) {
        if ((unsigned char) value.data[i] < ' ' && !json_blank(value.data[i])) {
            return NULL;
        }
    }

    end = value.data + value.len;

    json = cJSON_ParseWithLengthOpts(value.data, value.len, &rest, 0);
    if (json == NULL) {
        return NULL;
    }

    while (rest < end && json_blank(*rest)) {
        rest++;
    }

    if (rest != end) {
        cJSON_Delete(json);
        return NULL;
    }

    return json;
}


static int
bare_number(perm_str_t value)
{
    const char  *p, *end;

    p = value.data;
    end = value.data + value.len;

    while (p < end && json_blank(*p)) {
        p++;
    }

    while (end > p && json_blank(end[-1])) {
        end--;
    }

    return json_number(p, end);
}


static int64_t
number_expires(double number)
{
    if (!isfinite(number) || number < 0) {
        return PERM_GRANT_UNREADABLE;
    }

    return (int64_t) ceil(number < EXPIRES_MAX ? number : EXPIRES_MAX);
}


static int64_t
object_expires(const cJSON *object)
{
    const cJSON  *item, *expires;

    expires = NULL;

    cJSON_ArrayForEach(item, object) {
        if (strcmp(item->string, "expires") == 0) {
            if (expires != NULL) {
                /* which of two is meant depends on the reader: neither */
                return PERM_GRANT_UNREADABLE;
            }

            expires = item;
        }
    }

    if (!cJSON_IsNumber(expires)) {
        return PERM_GRANT_UNREADABLE;
    }

    return number_expires(expires->valuedouble);
}


int64_t
perm_grant_expires(perm_str_t value)
{
    cJSON    *json;
    int64_t   expires;

    json = parse_whole(value);

    if (cJSON_IsObject(json)) {
        expires = object_expires(json);

    } else if (cJSON_IsNumber(json) && bare_number(value)) {
        expires = number_expires(json->valuedouble);

    } else {
        expires = PERM_GRANT_UNREADABLE;
    }

    cJSON_Delete(json);

    return expires;
}


void
perm_grant_details(perm_str_t value, char *type, size_t size,
    int64_t *granted)
{
    cJSON  *json, *item;

    type[0] = '\0';
    *granted = PERM_GRANT_ABSENT;

    json = parse_whole(value);

    item = cJSON_GetObjectItemCaseSensitive(json, "type");
    if (cJSON_IsString(item) && strlen(item->valuestring) < size) {
        strcpy(type, item->valuestring);
    }

    item = cJSON_GetObjectItemCaseSensitive(json, "granted");
    if (cJSON_IsNumber(item) && number_expires(item->valuedouble) >= 0) {
        *granted = number_expires(item->valuedouble);
    }

    cJSON_Delete(json);
}


/*
 * The functions below walk a text that cJSON has accepted as an object, to
 * find where a member's value is: printing the tree again would round large
 * numbers and lose what a NUL in a string hides.
 */

static const char *
skip_blanks(const char *p)
{
    while (json_blank(*p)) {
        p++;
    }

    return p;
}


static const char *
skip_string(const char *p)
{
    for (p++; *p != '"'; p++) {
        if (*p == '\\') {
            p++;
        }
    }

    return p + 1;
}


static const char *
skip_value(const char *p)
{
    unsigned  depth;

    depth = 0;

    for ( ;; ) {
        switch (*p) {

        case '"':
            p = skip_string(p);
            continue;

        case '{':
        case '[':
            depth++;
            break;

        case ',':
            if (depth == 0) {
                return p;
            }
            break;

        case '}':
        case ']':
            if (depth == 0) {
                return p;
            }
            depth--;
            break;
        }

        p++;
    }
}


/* the name may be written with escapes: cJSON reads it */

static int
key_is(perm_span_t key, const char *name)
{
    int     is;
    cJSON  *json;

    json = cJSON_ParseWithLength(key.start, key.end - key.start);
    is = cJSON_IsString(json) && strcmp(json->valuestring, name) == 0;
    cJSON_Delete(json);

    return is;
}


/*
 * Finds the value of the member of that name, or where a new member goes: an
 * empty span before the closing brace.
 */

static perm_span_t
find_member(const char *object, const char *name)
{
    const char  *p;
    perm_span_t  key, span;

    p = skip_blanks(strchr(object, '{') + 1);

    while (*p != '}') {
        key.start = p;
        key.end = skip_string(p);

        span.start = skip_blanks(skip_blanks(key.end) + 1);
        span.end = skip_value(span.start);

        if (key_is(key, name)) {
            return span;
        }

        p = span.end;

        if (*p == ',') {
            p = skip_blanks(p + 1);
        }
    }

    span.start = p;
    span.end = p;

    return span;
}


/*
 * Returns the object with the member set to the JSON text; takes "object".
 */

static char *
set_member(char *object, const char *name, const char *text)
{
    char        *result;
    size_t       size;
    const char  *comma, *first;
    perm_span_t  span;

    if (object == NULL) {
        return NULL;
    }

    span = find_member(object, name);
    size = strlen(object) + strlen(name) + strlen(text) + sizeof(",\"\":");
    result = malloc(size);

    if (result == NULL) {
        free(object);
        return NULL;
    }

    if (span.start != span.end) {
        snprintf(result, size, "%.*s%s%s", (int) (span.start - object),
                 object, text, span.end);

    } else {
        first = skip_blanks(strchr(object, '{') + 1);
        comma = (first == span.start) ? "" : ",";

        snprintf(result, size, "%.*s%s\"%s\":%s%s",
                 (int) (span.start - object), object, comma, name, text,
                 span.start);
    }

    free(object);

    return result;
}


static char *
set_string(char *object, const char *name, const char *text)
{
    char   *quoted;
    cJSON  *json;

    json = cJSON_CreateString(text);
    quoted = cJSON_PrintUnformatted(json);
    cJSON_Delete(json);

    if (quoted == NULL) {
        free(object);
        return NULL;
    }

    object = set_member(object, name, quoted);
    cJSON_free(quoted);

    return object;
}


char *
perm_grant_rewrite(perm_str_t old, int64_t expires, const char *type,
    int64_t granted)
{
    char    number[sizeof("-9223372036854775808")];
    char   *object;
    cJSON  *json;

    json = parse_whole(old);

    if (cJSON_IsObject(json) && object_expires(json) >= 0) {
        object = malloc(old.len + 1);

        if (object != NULL) {
            memcpy(object, old.data, old.len);
            object[old.len] = '\0';
        }

    } else {
        object = strdup("{}");
    }

    cJSON_Delete(json);

    snprintf(number, sizeof(number), "%lld", (long long) expires);
    object = set_member(object, "expires", number);

    if (type != NULL) {
        object = set_string(object, "type", type);
    }

    if (granted >= 0) {
        snprintf(number, sizeof(number), "%lld", (long long) granted);
        object = set_member(object, "granted", number);
    }

    return object;
}
