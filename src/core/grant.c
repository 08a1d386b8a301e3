
#include "core/grant.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/json.h"


static perm_grant_t read_json(const cJSON *json);
static void copy_text(char text[PERM_GRANT_TEXT_SIZE], const cJSON *item);
static char *put_text(char *p, const char *name, const char *text);


int64_t
perm_grant_seconds(const cJSON *number)
{
    if (number == NULL
        || !cJSON_IsNumber(number)
        || !(number->valuedouble >= 0
             && number->valuedouble <= (double) PERM_GRANT_EXPIRES_MAX))
    {
        return PERM_GRANT_UNREADABLE;
    }

    return (int64_t) ceil(number->valuedouble);
}


int64_t
perm_grant_expires(perm_str_t value)
{
    return perm_grant_read(value).expires;
}


perm_grant_t
perm_grant_read(perm_str_t value)
{
    perm_grant_details_t  details;

    perm_grant_details(value, &details);

    return details.grant;
}


void
perm_grant_details(perm_str_t value, perm_grant_details_t *details)
{
    cJSON  *json;

    if (value.data == NULL || value.len > PERM_GRANT_VALUE_MAX) {
        value.len = 0;
    }

    json = perm_json_parse(value);
    details->grant = read_json(json);

    if (value.data == NULL) {
        details->grant.expires = PERM_GRANT_ABSENT;

    } else if (json == NULL && errno == ENOMEM) {
        details->grant.expires = PERM_GRANT_NO_MEMORY;
    }

    copy_text(details->type, cJSON_GetObjectItemCaseSensitive(json, "type"));
    copy_text(details->by, cJSON_GetObjectItemCaseSensitive(json, "by"));
    cJSON_Delete(json);
}


static perm_grant_t
read_json(const cJSON *json)
{
    perm_grant_t  grant;

    grant.expires = perm_grant_seconds(cJSON_IsObject(json)
                        ? cJSON_GetObjectItemCaseSensitive(json, "expires")
                        : json);
    grant.granted = perm_grant_seconds(
                        cJSON_GetObjectItemCaseSensitive(json, "granted"));
    grant.renew = !cJSON_IsFalse(
                        cJSON_GetObjectItemCaseSensitive(json, "renew"));

    if (grant.granted < 0) {
        grant.granted = PERM_GRANT_ABSENT;
    }

    return grant;
}


static void
copy_text(char text[PERM_GRANT_TEXT_SIZE], const cJSON *item)
{
    text[0] = '\0';

    if (cJSON_IsString(item)
        && strlen(item->valuestring) < PERM_GRANT_TEXT_SIZE)
    {
        strcpy(text, item->valuestring);
    }
}


char *
perm_grant_rewrite(perm_str_t old, const perm_grant_change_t *change)
{
    char        *p, *value;
    int64_t      expires;
    perm_str_t   changes;

    p = malloc(((change->type ? strlen(change->type) : 0)
                + (change->by ? strlen(change->by) : 0)) * PERM_JSON_ESCAPE
               + 192);
    if (p == NULL) {
        return NULL;
    }

    changes.data = p;
    p += sprintf(p, "{\"expires\":%lld", (long long) change->expires);
    p = put_text(p, "type", change->type);

    if (change->granted >= 0) {
        p += sprintf(p, ",\"granted\":%lld", (long long) change->granted);
    }

    if (change->by != NULL && change->by[0] == '\0') {
        p += sprintf(p, ",\"by\":null");

    } else {
        p = put_text(p, "by", change->by);
    }

    if (change->no_renew) {
        p += sprintf(p, ",\"renew\":false");
    }

    *p++ = '}';
    changes.len = p - changes.data;

    expires = perm_grant_expires(old);

    if (expires < 0) {
        old.len = 0;
    }

    value = (expires == PERM_GRANT_NO_MEMORY) ? NULL
                                              : perm_json_merge(old, changes);
    free((char *) changes.data);

    return value;
}


static char *
put_text(char *p, const char *name, const char *text)
{
    if (text == NULL) {
        return p;
    }

    p += sprintf(p, ",\"%s\":\"", name);
    p += perm_json_escape(p, perm_str(text));
    *p++ = '"';

    return p;
}
