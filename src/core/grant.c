
#include "core/grant.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/json.h"


#define EXPIRES_MAX  9007199254740992.0   /* 2^53: exact in a double */


static int64_t
number_expires(perm_str_t value)
{
    double  number;

    number = perm_json_number(value);

    if (!isfinite(number) || number < 0) {
        return PERM_GRANT_UNREADABLE;
    }

    return (int64_t) ceil(number < EXPIRES_MAX ? number : EXPIRES_MAX);
}


static int64_t
object_expires(perm_str_t object)
{
    perm_str_t          expires;
    perm_json_member_t  member;

    expires.len = 0;
    expires.data = NULL;

    while (perm_json_next(&object, &member)) {
        if (perm_json_is(member.name, "expires")) {
            if (expires.len != 0) {
                /* which of two is meant depends on the reader: neither */
                return PERM_GRANT_UNREADABLE;
            }

            expires = member.value;
        }
    }

    return number_expires(expires);
}


int64_t
perm_grant_expires(perm_str_t value)
{
    if (!perm_json_valid(value)) {
        return PERM_GRANT_UNREADABLE;
    }

    value = perm_json_value(value);

    return (*value.data == '{') ? object_expires(value)
                                : number_expires(value);
}


void
perm_grant_details(perm_str_t value, char *type, size_t size,
    int64_t *granted)
{
    perm_json_member_t  member;

    type[0] = '\0';
    *granted = PERM_GRANT_ABSENT;

    if (!perm_json_valid(value)) {
        return;
    }

    while (perm_json_next(&value, &member)) {

        if (perm_json_is(member.name, "type")
            && perm_json_string(member.value, type, size) < 0)
        {
            type[0] = '\0';
        }

        if (perm_json_is(member.name, "granted")) {
            *granted = number_expires(member.value);

            if (*granted < 0) {
                *granted = PERM_GRANT_ABSENT;
            }
        }
    }
}


/*
 * Writes the text as a JSON string with its NUL; "out" has six bytes for each
 * of it, and three.  Bytes above ASCII stay as they are: UTF-8 to UTF-8.
 */

static void
quote(char *out, const char *text)
{
    *out++ = '"';

    for ( /* void */ ; *text != '\0'; text++) {

        if ((unsigned char) *text < ' ') {
            out += sprintf(out, "\\u%04x", (unsigned) *text);
            continue;
        }

        if (*text == '"' || *text == '\\') {
            *out++ = '\\';
        }

        *out++ = *text;
    }

    *out++ = '"';
    *out = '\0';
}


char *
perm_grant_rewrite(perm_str_t old, int64_t expires, const char *type,
    int64_t granted)
{
    char                expires_text[32], granted_text[32];
    char               *quoted, *value;
    unsigned            n;
    perm_json_member_t  set[3];

    if (perm_grant_expires(old) < 0) {
        old.len = 0;
    }

    quoted = NULL;
    n = 0;

    snprintf(expires_text, sizeof(expires_text), "%lld", (long long) expires);
    set[n].name = perm_str("\"expires\"");
    set[n++].value = perm_str(expires_text);

    if (type != NULL) {
        quoted = malloc(strlen(type) * 6 + 3);
        if (quoted == NULL) {
            return NULL;
        }

        quote(quoted, type);
        set[n].name = perm_str("\"type\"");
        set[n++].value = perm_str(quoted);
    }

    if (granted >= 0) {
        snprintf(granted_text, sizeof(granted_text), "%lld",
                 (long long) granted);
        set[n].name = perm_str("\"granted\"");
        set[n++].value = perm_str(granted_text);
    }

    value = perm_json_merge(old, set, n);
    free(quoted);

    return value;
}
