
#include "core/grant.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/json.h"


int64_t
perm_grant_seconds(const cJSON *number)
{
    if (!cJSON_IsNumber(number)
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
    cJSON    *json;
    int64_t   expires;

    json = perm_json_parse(value);

    expires = perm_grant_seconds(cJSON_IsObject(json)
                        ? cJSON_GetObjectItemCaseSensitive(json, "expires")
                        : json);
    cJSON_Delete(json);

    return expires;
}


void
perm_grant_details(perm_str_t value, char *type, size_t size,
    int64_t *granted)
{
    cJSON  *json, *item;

    json = perm_json_parse(value);
    item = cJSON_GetObjectItemCaseSensitive(json, "type");

    type[0] = '\0';

    if (cJSON_IsString(item) && strlen(item->valuestring) < size) {
        strcpy(type, item->valuestring);
    }

    item = cJSON_GetObjectItemCaseSensitive(json, "granted");
    *granted = perm_grant_seconds(item);

    if (*granted < 0) {
        *granted = PERM_GRANT_ABSENT;
    }

    cJSON_Delete(json);
}


char *
perm_grant_rewrite(perm_str_t old, int64_t expires, const char *type,
    int64_t granted)
{
    char        *p, *value;
    perm_str_t   changes;

    p = malloc((type ? strlen(type) * PERM_JSON_ESCAPE : 0) + 128);
    if (p == NULL) {
        return NULL;
    }

    changes.data = p;
    p += sprintf(p, "{\"expires\":%lld", (long long) expires);

    if (type != NULL) {
        p += sprintf(p, ",\"type\":\"");
        p += perm_json_escape(p, perm_str(type));
        *p++ = '"';
    }

    if (granted >= 0) {
        p += sprintf(p, ",\"granted\":%lld", (long long) granted);
    }

    *p++ = '}';
    changes.len = p - changes.data;

    if (perm_grant_expires(old) < 0) {
        old.len = 0;
    }

    value = perm_json_merge(old, changes);
    free((char *) changes.data);

    return value;
}
