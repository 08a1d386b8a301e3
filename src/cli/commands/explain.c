
#include "cli/commands/explain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands/http.h"
#include "cli/util/output.h"
#include "cli/wire/socket.h"
#include "core/json.h"


/* "name=value" with everything escaped that could mean something */

static char *
put_argument(char *p, const char *name, perm_str_t value)
{
    size_t         i;
    unsigned char  c;

    static const char  plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";

    p += sprintf(p, "%s=", name);

    for (i = 0; i < value.len; i++) {
        c = (unsigned char) value.data[i];
        p += sprintf(p, (c != 0 && strchr(plain, c)) ? "%c" : "%%%02X", c);
    }

    return p;
}


static char *
build_query(const perm_args_t *args)
{
    char  *query, *p;

    query = perm_alloc(64 + 3 * (args->gateway.len + args->resource.len
                                 + args->app.len));

    p = query + sprintf(query, "/explain?");
    p = put_argument(p, "gateway", args->gateway);
    p = put_argument(p, "&resource", args->resource);
    (void) put_argument(p, "&app", args->app);

    return query;
}


/* the value of a member, or of a member of a member; len 0: there is none */

static perm_str_t
find(perm_str_t object, const char *name)
{
    perm_json_member_t  member;

    while (perm_json_next(&object, &member)) {
        if (perm_json_is(member.name, name)) {
            return member.value;
        }
    }

    object.len = 0;

    return object;
}


/* 1 when the answer has that member and it is another word */

static int
compare_word(perm_str_t object, const char *name, perm_str_t expected)
{
    perm_str_t  value;

    value = find(object, name);

    if (value.len == 0 || perm_json_is(value, expected.data)) {
        return 0;
    }

    perm_warn("the gateway differs: its %s is %s, by Redis it is \"%s\"", name,
              perm_escape(value), expected.data);

    return 1;
}


/* the same for an end, which is a number, null, or "unreadable" */

static int
compare_end(perm_str_t answer, const char *where, const char *name,
    int64_t expires)
{
    char        expected[32];
    perm_str_t  value;

    value = find(answer, where);

    if (value.len) {
        value = find(value, name);
    }

    if (expires == PERM_GRANT_ABSENT) {
        strcpy(expected, "null");

    } else if (expires < 0) {
        strcpy(expected, "\"unreadable\"");

    } else {
        snprintf(expected, sizeof(expected), "%lld", (long long) expires);
    }

    if (value.len == 0
        || (value.len == strlen(expected)
            && memcmp(value.data, expected, value.len) == 0))
    {
        return 0;
    }

    perm_warn("the gateway differs: %s.%s is %s, in Redis it is %s", where,
              name, perm_escape(value), expected);

    return 1;
}


static int
compare(perm_str_t answer, const perm_decision_t *decision,
    const perm_grants_t *grants)
{
    int  differs;

    differs = compare_word(answer, "decision",
                           perm_decision_outcome_name(decision->outcome));
    differs |= compare_word(answer, "reason",
                            perm_decision_reason_name(decision->reason));

    differs |= compare_end(answer, "cache", "gateway_expires",
                           grants->gateway);
    differs |= compare_end(answer, "cache", "resource_expires",
                           grants->resource);
    differs |= compare_end(answer, "redis", "gateway_expires",
                           grants->gateway);
    differs |= compare_end(answer, "redis", "resource_expires",
                           grants->resource);

    return differs;
}


static void
print_members(perm_str_t object, const char *parent)
{
    char                name[128];
    perm_json_member_t  member;

    while (perm_json_next(&object, &member)) {
        member.name.data++;
        member.name.len -= 2;

        snprintf(name, sizeof(name), "%s%s%s", parent, *parent ? "." : "",
                 perm_escape(member.name));

        if (*member.value.data == '{' && *parent == '\0') {
            print_members(member.value, name);

        } else {
            printf("  %-28s%s\n", name, perm_escape(member.value));
        }
    }
}


int
perm_explain(const perm_args_t *args, const perm_decision_t *decision,
    const perm_grants_t *grants)
{
    int          differs;
    char         error[PERM_ERROR_SIZE];
    char        *query, *answer;
    size_t       i;
    perm_str_t   body;

    query = build_query(args);
    answer = perm_http_get(args->gateway_url, query,
                           (int) args->timeout * 1000, &body, error);
    free(query);

    if (answer == NULL) {
        perm_fatal(PERM_EXIT_REDIS, "--gateway-url \"%s\": %s",
                   perm_escape_text(args->gateway_url), error);
    }

    if (!perm_json_valid(body) || *perm_json_value(body).data != '{') {
        perm_fatal(PERM_EXIT_REDIS, "--gateway-url \"%s\": the answer is no "
                   "JSON object; is this its app_permission_status location?",
                   perm_escape_text(args->gateway_url));
    }

    body = perm_json_value(body);

    differs = compare(body, decision, grants);

    if (args->json) {
        /* line ends stand only between the tokens */

        for (i = 0; answer[i] != '\0'; i++) {
            if (answer[i] == '\n' || answer[i] == '\r') {
                answer[i] = ' ';
            }
        }

        answer[body.data - answer + body.len] = '\0';
        perm_object_raw(stdout, "gateway_says", body.data);
        perm_object_raw(stdout, "differs", differs ? "true" : "false");

    } else {
        printf("\nthe gateway says\n");
        print_members(body, "");
    }

    free(answer);

    return differs;
}
