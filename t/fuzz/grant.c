
/*
 * A grant's value as it is in Redis: read, rewritten, read again.  The other
 * values that are read so: requests and notices.
 */


#include "fuzz.h"

#include "core/grant.h"
#include "core/json.h"
#include "core/notice.h"
#include "core/request.h"


static void rewrite(perm_str_t value, const perm_grant_t *grant);
static void check_kept(perm_str_t old, perm_str_t new, const cJSON *new_json);
static void handle(perm_str_t value);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char                   text[PERM_NOTICE_SIZE];
    perm_str_t             value, notice;
    perm_grant_details_t   details;

    value = fuzz_copy(data, size);
    perm_grant_details(value, &details);

    check(details.grant.expires == PERM_GRANT_UNREADABLE
          || (details.grant.expires >= 0
              && details.grant.expires <= PERM_GRANT_EXPIRES_MAX));
    check(details.grant.granted == PERM_GRANT_ABSENT
          || (details.grant.granted >= 0
              && details.grant.granted <= PERM_GRANT_EXPIRES_MAX));
    check(strlen(details.type) < PERM_GRANT_TEXT_SIZE
          && strlen(details.by) < PERM_GRANT_TEXT_SIZE);
    check(size <= PERM_GRANT_VALUE_MAX
          || details.grant.expires == PERM_GRANT_UNREADABLE);
    check(memchr(value.data, '\0', size) == NULL
          || details.grant.expires == PERM_GRANT_UNREADABLE);

    rewrite(value, &details.grant);
    handle(value);

    if (details.grant.expires >= 0) {
        notice.len = perm_notice_write(text, details.grant.expires, 7);
        notice.data = text;

        check(perm_notice_told(notice, details.grant.expires, 7)
              && !perm_notice_told(notice, details.grant.expires, 6));
    }

    if (perm_notice_told(value, 1800000000, 7)) {
        check(memmem(data, size, "1800000000:", 11) != NULL);
        check(fuzz_printable((const char *) data + size - 1, 1, " ")
              && data[size - 1] <= '9');
    }

    free((char *) value.data);

    return 0;
}


static void
rewrite(perm_str_t value, const perm_grant_t *grant)
{
    char                  *new;
    cJSON                 *json;
    perm_str_t             text;
    perm_grant_t           again;
    perm_grant_change_t    change = { 1900000000, -1, "renew", NULL, 0 };

    new = perm_grant_rewrite(value, &change);
    text = perm_str(new);
    json = perm_json_parse(text);

    check(cJSON_IsObject(json));

    if (text.len <= PERM_GRANT_VALUE_MAX) {
        again = perm_grant_read(text);
        check(again.expires == 1900000000);

        if (grant->expires >= 0) {
            check(again.granted == grant->granted
                  && again.renew == grant->renew);
        }
    }

    if (grant->expires >= 0) {
        check_kept(value, text, json);
    }

    cJSON_Delete(json);
    free(new);
}


/* every member that the change does not name is there, byte for byte */

static void
check_kept(perm_str_t old, perm_str_t new, const cJSON *new_json)
{
    cJSON               *json;
    perm_json_member_t   a, b;

    json = perm_json_parse(old);
    b = perm_json_members(new_json, new);

    for (a = perm_json_members(json, old); perm_json_next(&a); ) {

        if (strcmp(a.item->string, "expires") == 0
            || strcmp(a.item->string, "type") == 0)
        {
            continue;
        }

        do {
            check(perm_json_next(&b));
        } while (strcmp(b.item->string, "expires") == 0
                 || strcmp(b.item->string, "type") == 0);

        check(perm_str_equal(a.name, b.name)
              && perm_str_equal(a.value, b.value));
    }

    cJSON_Delete(json);
}


/* the value as a request: approved, and read again */

static void
handle(perm_str_t value)
{
    char                     *new;
    perm_request_t            request, again;
    perm_request_handling_t   handling = {
        PERM_REQUEST_APPROVED, 30, 1700000000, "me \"\\\n", "fine\x80"
    };

    request = perm_request_read(value);

    check(request.days >= 0 && request.days <= PERM_REQUEST_DAYS_MAX
          && request.at >= 0 && request.handled_at >= 0);

    new = perm_request_handle(value, &handling);

    if (strlen(new) <= PERM_GRANT_VALUE_MAX) {
        again = perm_request_read(perm_str(new));

        check(again.status == PERM_REQUEST_APPROVED
              && again.handled_at == 1700000000);
        check(request.status == PERM_REQUEST_UNREADABLE
              || (again.days == request.days && again.at == request.at));
    }

    free(new);
}
