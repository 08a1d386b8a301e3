
/*
 * check: the decision that a gateway makes, and what it rests on.
 */


#include "cli/commands/command.h"
#include "core/decision.h"


typedef struct {
    perm_str_t              value;      /* data NULL: absent */
    const char             *state;
    perm_grant_details_t    details;
} perm_check_grant_t;


typedef struct {
    perm_check_grant_t   gateway;
    perm_check_grant_t   resource;
    int64_t              last;          /* of the resource */
    int64_t              gateway_last;
    int64_t              gone;          /* the key, at that time, or ABSENT */
    perm_decision_t      decision;
    redisReply          *reply;         /* owns the values */
} perm_check_t;


static perm_exit_t run_check(perm_cli_t *cli);
static void look_up(perm_cli_t *cli, perm_check_t *check);
static void read_ttl(const redisReply *reply, perm_str_t key, int64_t now,
    perm_check_t *check);
static void read_grant(const redisReply *reply, int64_t now,
    perm_check_grant_t *grant);
static void print(const perm_cli_t *cli, const perm_check_t *check);
static void print_grant(const char *name, const perm_check_grant_t *grant);


static const perm_option_t  check_options[] = {
    { "--gateway", "G", "the gateway",
      PERM_OPTION_REQUIRED(NAME, tuple.gateway) },
    { "--resource", "R", "the resource",
      PERM_OPTION_REQUIRED(NAME, tuple.resource) },
    { "--app", "A", "the app", PERM_OPTION_REQUIRED(NAME, tuple.app) },
    PERM_OPTION_END
};


const perm_command_t  perm_check_command = {
    "check", "",
    "whether an app may call a resource, and why",
    "Says what a gateway with the policy \"required\" decides now, which\n"
    "grants there are and when the app was last let through. Exit status 1:\n"
    "not allowed.",
    check_options, 1, run_check
};


static perm_exit_t
run_check(perm_cli_t *cli)
{
    perm_check_t         check;
    const perm_tuple_t  *tuple;

    static const perm_check_grant_t  absent = {
        { 0, NULL }, "absent",
        { { PERM_GRANT_ABSENT, PERM_GRANT_ABSENT, 1 }, "", "" }
    };

    check.gateway = absent;
    check.resource = absent;
    check.last = PERM_GRANT_ABSENT;
    check.gateway_last = PERM_GRANT_ABSENT;
    check.gone = PERM_GRANT_ABSENT;
    check.reply = NULL;

    tuple = &cli->args.tuple;

    if (!perm_decision_early(PERM_POLICY_REQUIRED, tuple->gateway,
                             tuple->resource, tuple->app, &check.decision))
    {
        look_up(cli, &check);
        perm_table_warn_unloaded(&cli->table);
    }

    print(cli, &check);

    if (check.reply != NULL) {
        freeReplyObject(check.reply);
    }

    return (check.decision.outcome == PERM_ALLOW) ? PERM_EXIT_DONE
                                                  : PERM_EXIT_NO;
}


/* as a gateway does: grants count only when the meta read after them is good */

static void
look_up(perm_cli_t *cli, perm_check_t *check)
{
    char           text[PERM_KEY_MAX];
    perm_str_t     key;
    redisReply    *reply, *ttl;
    perm_table_t  *table;
    perm_tuple_t   tuple;
    perm_grants_t  grants;

    table = &cli->table;
    tuple = cli->args.tuple;
    reply = NULL;
    ttl = NULL;

    key = perm_table_key(table, text, PERM_KEY_GRANTS, &tuple);

    perm_client_command(table->client, "HMGET %k - %b", key, tuple.resource);
    perm_client_send(table->client, NULL, 0, perm_client_keep, &reply);
    perm_client_command(table->client, "PTTL %k", key);
    perm_client_send(table->client, NULL, PERM_ERRORS_TOO, perm_client_keep,
                     &ttl);
    perm_client_wait(table->client);
    check->reply = reply;

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2) {
        perm_output_fatal(PERM_EXIT_REDIS, "Redis answered HMGET with "
                          "something else");
    }

    check->last = perm_table_last(table, &tuple);
    tuple.resource.len = 0;
    check->gateway_last = perm_table_last(table, &tuple);

    perm_table_open(table);

    read_grant(reply->element[0], table->now, &check->gateway);
    read_grant(reply->element[1], table->now, &check->resource);
    read_ttl(ttl, key, table->now, check);
    freeReplyObject(ttl);

    grants.gateway = check->gateway.details.grant.expires;
    grants.resource = check->resource.details.grant.expires;
    grants.left = (check->gone < 0) ? PERM_GRANTS_ENDLESS
                                    : (check->gone - table->now) * 1000;
    check->decision = table->loaded ? perm_decision_make(&grants, table->now)
                                    : perm_decision_unavailable(0);
}


/* when the key ends, all of its grants do */

static void
read_ttl(const redisReply *reply, perm_str_t key, int64_t now,
    perm_check_t *check)
{
    if (reply->type == REDIS_REPLY_INTEGER && reply->integer >= 0) {
        check->gone = now + (reply->integer + 999) / 1000;

    } else if (reply->type == REDIS_REPLY_ERROR) {
        perm_output_warn("whether \"%s\" ends by itself cannot be seen: %s; "
                         "give the user +pttl", perm_output_safe(key),
                         perm_output_safe_text(reply->str));
    }
}


static void
read_grant(const redisReply *reply, int64_t now, perm_check_grant_t *grant)
{
    int64_t  expires;

    grant->value = perm_table_bytes(reply);

    if (grant->value.data == NULL) {
        return;
    }

    perm_grant_details(grant->value, &grant->details);
    expires = grant->details.grant.expires;
    grant->state = (expires < 0) ? "unreadable"
                   : perm_grant_live(expires, now) ? "live" : "expired";
}


static void
print(const perm_cli_t *cli, const perm_check_t *check)
{
    const char          *outcome, *reason;
    const perm_tuple_t  *tuple;

    tuple = &cli->args.tuple;
    outcome = perm_decision_outcome_name(check->decision.outcome);
    reason = perm_decision_reason_name(check->decision.reason);

    if (cli->args.json) {
        perm_output_json(stdout, "{'gateway':%b,'resource':%b,'app':%b,"
                         "'decision':%s,'reason':%s,'expires':%n,"
                         "'gateway_grant':{'state':%s,'expires':%n%d},"
                         "'resource_grant':{'state':%s,'expires':%n%d},"
                         "'key_expires':%n,"
                         "'last_access':%n,'gateway_last_access':%n}\n",
                         tuple->gateway, tuple->resource, tuple->app, outcome,
                         reason, check->decision.expires,
                         check->gateway.state,
                         check->gateway.details.grant.expires,
                         &check->gateway.details, check->resource.state,
                         check->resource.details.grant.expires,
                         &check->resource.details,
                         check->gone, check->last, check->gateway_last);
        return;
    }

    printf("%-16s%s (%s)\n", "decision", outcome, reason);
    print_grant("gateway grant", &check->gateway);
    print_grant("resource grant", &check->resource);

    if (check->gone >= 0) {
        printf("%-16sgone at %s by its time to live (EXPIRE), and all grants "
               "of the app on this gateway with it\n", "key",
               perm_output_time(check->gone));
    }

    printf("%-16s%s\n%-16s%s, the newest of any resource\n",
           "last access", perm_output_time(check->last), "gateway access",
           perm_output_time(check->gateway_last));
}


static void
print_grant(const char *name, const perm_check_grant_t *grant)
{
    int64_t                      expires;
    const perm_grant_details_t  *details;

    details = &grant->details;
    expires = details->grant.expires;

    printf("%-16s%s", name, grant->state);

    if (expires >= 0) {
        printf(expires >= PERM_GRANT_PERMANENT ? ", %s" : ", until %s",
               perm_output_time(expires));
    }

    if (details->type[0] != '\0') {
        printf(", type %s", perm_output_safe_text(details->type));
    }

    if (details->grant.granted >= 0) {
        printf(", granted %s", perm_output_time(details->grant.granted));
    }

    if (details->by[0] != '\0') {
        printf(", by %s", perm_output_safe_text(details->by));
    }

    if (!details->grant.renew) {
        printf(", never renewed");
    }

    if (expires == PERM_GRANT_UNREADABLE) {
        printf(", counts as absent: %s", perm_output_safe(grant->value));
    }

    printf("\n");
}
