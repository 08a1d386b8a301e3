
/*
 * The body of a POST to app_permission_self, and what is stored of it.
 */


#include "fuzz.h"

#include "core/json.h"
#include "core/request.h"


static void check_names(const perm_request_body_t *body, perm_str_t text);
static void check_body(const perm_request_body_t *body);
static void check_reason(perm_str_t reason);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int                   too_many;
    perm_str_t            text;
    const char           *error;
    perm_request_body_t   body;

    text = fuzz_copy(data, size);
    error = perm_request_body(text, &body, &too_many);

    if (error == NULL) {
        check(!too_many);
        check_names(&body, text);
        check_body(&body);

    } else {
        check(*error != '\0' && fuzz_printable(error, strlen(error), ""));
    }

    perm_request_body_free(&body);
    free((char *) text.data);

    return 0;
}


/* each of them is asked for, and none has an escaped NUL */

static void
check_names(const perm_request_body_t *body, perm_str_t text)
{
    unsigned             i;
    const cJSON         *name;
    perm_json_member_t   member;

    for (member = perm_json_members(body->json, text);
         perm_json_next(&member); )
    {
        if (strcmp(member.item->string, "resources") != 0) {
            continue;
        }

        check(memmem(member.value.data, member.value.len, "\\u0000", 6)
              == NULL);

        cJSON_ArrayForEach(name, member.item) {
            check(cJSON_IsString(name));

            for (i = 0; i < body->nnames; i++) {
                if (perm_str_equal(body->names[i],
                                   perm_str(name->valuestring)))
                {
                    break;
                }
            }

            check(i < body->nnames);
        }
    }
}


static void
check_body(const perm_request_body_t *body)
{
    char            *text, *stored;
    cJSON           *json;
    unsigned         i, j;
    perm_str_t       by = perm_string("app:demo");
    perm_request_t   request;

    check(body->days >= 0 && body->days <= PERM_REQUEST_DAYS_MAX);
    check(body->nnames <= PERM_REQUEST_NAMES_MAX);

    for (i = 0; i < body->nnames; i++) {
        check(fuzz_name(body->names[i], 256)
              && strcmp(body->names[i].data, "-") != 0);

        for (j = 0; j < i; j++) {
            check(!perm_str_equal(body->names[i], body->names[j]));
        }
    }

    /* both, or neither: then it is for the whole gateway */

    check((body->nnames == 0)
          == (cJSON_GetObjectItemCaseSensitive(body->json, "whole_gateway")
              != NULL));

    check_reason(body->reason);

    text = perm_request_text(body->days, body->reason, by);
    stored = malloc(strlen(text) + sizeof("1700000000}"));
    sprintf(stored, "%s1700000000}", text);

    request = perm_request_read(perm_str(stored));

    check(request.status == PERM_REQUEST_PENDING);
    check(request.days == body->days && request.at == 1700000000
          && request.handled_at == 0);

    json = perm_json_parse(perm_str(stored));

    check(cJSON_GetArraySize(json) == 4 + (body->reason.len != 0));
    check(strcmp(cJSON_GetObjectItemCaseSensitive(json, "by")->valuestring,
                 "app:demo") == 0);

    cJSON_Delete(json);
    free(stored);
    free(text);
}


/* the inside of a string, of UTF-8 without control bytes */

static void
check_reason(perm_str_t reason)
{
    size_t  i;

    for (i = 0; i < reason.len; i++) {
        check((unsigned char) reason.data[i] >= ' ');
        check(reason.data[i] != '"');

        i += (reason.data[i] == '\\');
    }

    check(i == reason.len);
}
