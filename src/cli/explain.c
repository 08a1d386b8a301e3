
#include "cli/explain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/http.h"
#include "cli/output.h"
#include "cli/socket.h"
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


/* 1 when the answer has that member and it is another word */

static int
compare(perm_str_t object, const char *name, const char *expected)
{
    char                text[64];
    perm_json_member_t  member;

    while (perm_json_next(&object, &member)) {
        if (!perm_json_is(member.name, name)
            || perm_json_is(member.value, expected))
        {
            continue;
        }

        if (perm_json_string(member.value, text, sizeof(text)) < 0) {
            strcpy(text, "something else");
        }

        perm_warn("the gateway differs: its %s is %s, by Redis it is %s",
                  name, perm_escape_text(text), expected);

        return 1;
    }

    return 0;
}


static void
print_text(perm_str_t object)
{
    perm_json_member_t  member;

    printf("\nthe gateway says\n");

    while (perm_json_next(&object, &member)) {
        member.name.data++;
        member.name.len -= 2;
        printf("  %-22s%s\n", perm_escape(member.name),
               perm_escape(member.value));
    }
}


int
perm_explain(const perm_args_t *args, const perm_decision_t *decision)
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

    differs = compare(body, "decision",
                      perm_outcome_name(decision->outcome).data);
    differs |= compare(body, "reason", perm_reason_name(decision->reason).data);

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
        print_text(body);
    }

    free(answer);

    return differs;
}
