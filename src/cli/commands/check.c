
/*
 * check: the decision the gateway takes, and what it rests on.
 */


#include <stdlib.h>
#include <string.h>

#include "cli/table/table.h"
#include "core/decision.h"


#define OFFSET(member)  offsetof(perm_args_t, member)


static const perm_option_t  check_options[] = {
    { "--gateway", "G", "the gateway", PERM_ARG_NAME, OFFSET(gateway), 1 },
    { "--resource", "R", "the resource", PERM_ARG_NAME, OFFSET(resource), 1 },
    { "--app", "A", "the app", PERM_ARG_NAME, OFFSET(app), 1 },
    PERM_OPTION_END
};


typedef struct {
    perm_str_t   value;      /* data NULL: absent */
    int64_t      expires;
    char         type[128];
    int64_t      granted;
} perm_found_t;


typedef struct {
    redisReply      *reply;
    perm_found_t     gateway;
    perm_found_t     resource;
    int64_t          last;           /* of the resource */
    int64_t          gateway_last;
    perm_decision_t  decision;
} perm_check_t;


static perm_wire_command_t  request;


static void
read_found(const redisReply *reply, perm_found_t *found)
{
    found->expires = PERM_GRANT_ABSENT;
    found->granted = PERM_GRANT_ABSENT;
    found->type[0] = '\0';

    if (reply->type == REDIS_REPLY_STRING) {
        found->value.data = reply->str;
        found->value.len = reply->len;
        found->expires = perm_grant_expires(found->value);
        perm_grant_details(found->value, found->type, sizeof(found->type),
                           &found->granted);
    }
}


/* the gateway's order: an answer counts when the meta read after it is good */

static void
look_up(perm_cli_t *cli, perm_check_t *check)
{
    char                text[PERM_KEY_MAX];
    perm_str_t          key;
    perm_grants_t       grants;
    const perm_args_t  *args;

    args = &cli->args;

    key.data = text;
    key.len = perm_grant_key(text, PERM_KEY_GRANTS, cli->prefix, args->gateway,
                             args->app);

    perm_wire_command_begin(&request, "HMGET");
    perm_wire_command_key(&request, key);
    perm_wire_command_text(&request, PERM_GATEWAY_FIELD);
    perm_wire_command_add(&request, args->resource);

    check->reply = perm_client_call(cli->client, NULL, &request, 0);
    perm_wire_command_free(&request);

    if (check->reply->type != REDIS_REPLY_ARRAY
        || check->reply->elements != 2)
    {
        perm_fatal(PERM_EXIT_REDIS, "Redis answered HMGET with something "
                   "else");
    }

    read_found(check->reply->element[0], &check->gateway);
    read_found(check->reply->element[1], &check->resource);

    check->last = perm_table_last(cli, args->gateway, args->resource,
                                  args->app);
    check->gateway_last = perm_table_last(cli, args->gateway, perm_str(""),
                                          args->app);

    perm_table_open(cli);

    if (!cli->loaded) {
        check->decision = perm_decision_unavailable(0);
        return;
    }

    grants.gateway = check->gateway.expires;
    grants.resource = check->resource.expires;
    check->decision = perm_decision_make(grants, cli->now);
}


static const char *
state_name(const perm_cli_t *cli, const perm_found_t *found)
{
    if (found->expires == PERM_GRANT_ABSENT) {
        return "absent";
    }

    if (found->expires < 0) {
        return "unreadable";
    }

    return perm_grant_live(found->expires, cli->now) ? "live" : "expired";
}


static void
print_found_json(const perm_cli_t *cli, const char *name,
    const perm_found_t *found)
{
    perm_object_raw(stdout, name, "");
    perm_object_begin(stdout);
    perm_object_text(stdout, "state", state_name(cli, found));
    perm_object_number(stdout, "expires", found->expires);

    if (found->type[0] != '\0') {
        perm_object_text(stdout, "type", found->type);
    }

    if (found->granted >= 0) {
        perm_object_number(stdout, "granted", found->granted);
    }

    perm_object_end(stdout, "");
}


static void
print_json(const perm_cli_t *cli, const perm_check_t *check)
{
    perm_object_begin(stdout);
    perm_object_string(stdout, "gateway", cli->args.gateway);
    perm_object_string(stdout, "resource", cli->args.resource);
    perm_object_string(stdout, "app", cli->args.app);
    perm_object_string(stdout, "decision",
                       perm_decision_outcome_name(check->decision.outcome));
    perm_object_string(stdout, "reason",
                       perm_decision_reason_name(check->decision.reason));
    perm_object_number(stdout, "expires", check->decision.expires);
    print_found_json(cli, "gateway_grant", &check->gateway);
    print_found_json(cli, "resource_grant", &check->resource);
    perm_object_number(stdout, "last_access", check->last);
    perm_object_number(stdout, "gateway_last_access", check->gateway_last);
    perm_object_end(stdout, "\n");
}


static void
print_found(const perm_cli_t *cli, const char *name, const perm_found_t *found)
{
    printf("%-16s%s", name, state_name(cli, found));

    if (found->expires >= 0) {
        printf(found->expires >= PERM_GRANT_PERMANENT ? ", %s" : ", until %s",
               perm_time_text(found->expires));
    }

    if (found->type[0] != '\0') {
        printf(", type %s", perm_escape_text(found->type));
    }

    if (found->granted >= 0) {
        printf(", granted %s", perm_time_text(found->granted));
    }

    if (found->expires == PERM_GRANT_UNREADABLE) {
        printf(", counts as absent: %s", perm_escape(found->value));
    }

    printf("\n");
}


static void
print_text(const perm_cli_t *cli, const perm_check_t *check)
{
    printf("%-16s%s (%s)\n", "decision",
           perm_decision_outcome_name(check->decision.outcome).data,
           perm_decision_reason_name(check->decision.reason).data);

    print_found(cli, "gateway grant", &check->gateway);
    print_found(cli, "resource grant", &check->resource);

    printf("%-16s%s\n", "last access", perm_time_text(check->last));
    printf("%-16s%s, of any resource\n", "",
           perm_time_text(check->gateway_last));
}


static perm_exit_t
run_check(perm_cli_t *cli)
{
    perm_check_t        check;
    const perm_args_t  *args;

    args = &cli->args;

    memset(&check, 0, sizeof(perm_check_t));
    check.gateway.expires = check.resource.expires = PERM_GRANT_ABSENT;
    check.gateway.granted = check.resource.granted = PERM_GRANT_ABSENT;
    check.last = check.gateway_last = PERM_GRANT_ABSENT;

    if (!perm_decision_early(PERM_POLICY_REQUIRED, args->gateway,
                             args->resource, args->app, &check.decision))
    {
        look_up(cli, &check);
        perm_table_warn_unloaded(cli);
    }

    if (args->json) {
        print_json(cli, &check);
    } else {
        print_text(cli, &check);
    }

    if (check.reply != NULL) {
        freeReplyObject(check.reply);
    }

    return (check.decision.outcome == PERM_ALLOW) ? PERM_EXIT_DONE
                                                  : PERM_EXIT_NO;
}


const perm_command_t  perm_check_command = {
    "check", "",
    "whether an app may call a resource, and why",
    "Says what a gateway with the policy \"required\" decides now, which\n"
    "grants there are and when the app was last let through. Exit status 1:\n"
    "not allowed.",
    check_options, 1, 0, run_check
};
