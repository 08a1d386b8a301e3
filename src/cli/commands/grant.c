
/*
 * grant and revoke: one grant is written or removed.
 */


#include <string.h>

#include "cli/commands/command.h"
#include "cli/util/alloc.h"
#include "core/grant.h"
#include "core/json.h"


#define DEFAULT       (180 * 86400)   /* seconds */
#define TYPE_MAX      64    /* bytes */


static perm_exit_t run_grant(perm_cli_t *cli);
static int64_t wanted_expires(const perm_cli_t *cli);
static void check_type(const char *type);
static char *change(void *data, perm_str_t old);
static perm_exit_t run_revoke(perm_cli_t *cli);
static void print_result(const perm_cli_t *cli, const char *result,
    int64_t expires);


#define TUPLE_OPTIONS                                                         \
    { "--gateway", "G", "the gateway",                                        \
      PERM_OPTION_REQUIRED(GATEWAY, tuple.gateway) },                         \
    { "--resource", "R", "one resource of it, else the whole gateway",        \
      PERM_OPTION(RESOURCE, tuple.resource) },                                \
    { "--app", "A", "the app", PERM_OPTION_REQUIRED(APP, tuple.app) }


static const perm_option_t  grant_options[] = {
    TUPLE_OPTIONS,
    { "--days", "N", "from now on, 180; 0 is permanent",
      PERM_OPTION(DAYS, period) },
    { "--expires", "T", "until then", PERM_OPTION(TIME, expires) },
    { "--type", "TYPE", "kept with the grant, as in apply or renew",
      PERM_OPTION(TEXT, type) },
    PERM_OPTION_END
};


const perm_command_t  perm_grant_command = {
    "grant", "",
    "give an app a permission on a gateway or on one resource",
    "Writes one grant, for 180 days by default. Of a grant that is there\n"
    "already the end is set anew; its type stays unless --type is given, and\n"
    "all other members stay.",
    grant_options, 1, run_grant
};


static const perm_option_t  revoke_options[] = {
    TUPLE_OPTIONS,
    PERM_OPTION_END
};


const perm_command_t  perm_revoke_command = {
    "revoke", "",
    "take one grant back",
    "Removes one grant. Exit status 1: there was none. A grant on the whole\n"
    "gateway and those on its resources are independent of each other.",
    revoke_options, 1, run_revoke
};


static perm_exit_t
run_grant(perm_cli_t *cli)
{
    char           text[PERM_KEY_MAX];
    int64_t        expires;
    perm_str_t     key;
    perm_table_t  *table;

    table = &cli->table;
    expires = wanted_expires(cli);
    cli->args.expires = expires;

    if (cli->args.type != NULL) {
        check_type(cli->args.type);
    }

    if (expires <= table->now) {
        perm_output_warn("this grant has ended already, at %s",
                         perm_output_time(expires));
    }

    if (!perm_table_writable(table)) {
        return PERM_EXIT_NO;
    }

    key = perm_table_key(table, text, PERM_KEY_GRANTS, &cli->args.tuple);
    perm_table_change(table, key, perm_table_field(&cli->args.tuple),
                      change, cli);

    print_result(cli, "granted", expires);

    return PERM_EXIT_DONE;
}


static int64_t
wanted_expires(const perm_cli_t *cli)
{
    int64_t             period;
    const perm_args_t  *args;

    args = &cli->args;

    if (args->expires >= 0 && args->period >= 0) {
        perm_output_fatal(PERM_EXIT_USAGE, "--days and --expires both say "
                          "when it ends: give one");
    }

    if (args->expires >= 0) {
        return args->expires;
    }

    period = (args->period >= 0) ? args->period : DEFAULT;

    if (period > PERM_GRANT_EXPIRES_MAX - cli->table.now) {
        perm_output_fatal(PERM_EXIT_USAGE, "--days: that is after the year "
                          "9999; 0 is permanent");
    }

    return (period == 0) ? PERM_GRANT_PERMANENT : cli->table.now + period;
}


/* UTF-8, as JSON wants it, without control bytes, as logs want it */

static void
check_type(const char *type)
{
    char    text[TYPE_MAX * PERM_JSON_ESCAPE + 1];
    size_t  len, i;

    len = strlen(type);

    if (len == 0 || len > TYPE_MAX || strcspn(type, "\"\\\x7f") != len) {
        perm_output_fatal(PERM_EXIT_USAGE, "--type \"%s\": not 1 to 64 bytes "
                          "without quotes and backslashes",
                          perm_output_safe_text(type));
    }

    text[perm_json_escape(text, perm_str(type))] = '\0';

    for (i = 0; i < len && (unsigned char) type[i] >= ' '; i++) { /* void */ }

    if (i < len || strstr(text, "\\ufffd") != NULL) {
        perm_output_fatal(PERM_EXIT_USAGE, "--type \"%s\": not UTF-8 without "
                          "control bytes", perm_output_safe_text(type));
    }
}


static char *
change(void *data, perm_str_t old)
{
    perm_grant_change_t   change;
    const perm_cli_t     *cli = data;

    memset(&change, 0, sizeof(perm_grant_change_t));
    change.expires = cli->args.expires;
    change.type = cli->args.type;
    change.granted = cli->table.now;

    return perm_alloc_check(perm_grant_rewrite(old, &change));
}


static perm_exit_t
run_revoke(perm_cli_t *cli)
{
    char          text[PERM_KEY_MAX];
    perm_count_t  removed;
    perm_str_t    key;
    redisReply   *reply;

    removed = 0;

    key = perm_table_key(&cli->table, text, PERM_KEY_GRANTS, &cli->args.tuple);
    reply = perm_client_call(cli->table.client, 0, "HDEL %k %b", key,
                             perm_table_field(&cli->args.tuple));
    (void) perm_table_count(&removed, reply);
    freeReplyObject(reply);

    if (!removed) {
        perm_table_warn_unloaded(&cli->table);
    }

    print_result(cli, removed ? "revoked" : "no such grant", -1);

    return removed ? PERM_EXIT_DONE : PERM_EXIT_NO;
}


/* expires: below 0 when there is none to show */

static void
print_result(const perm_cli_t *cli, const char *result, int64_t expires)
{
    const perm_tuple_t  *tuple;

    tuple = &cli->args.tuple;

    if (cli->args.json) {
        perm_output_json(stdout, expires >= 0
                         ? "{%t,'result':%s,'expires':%n}\n"
                         : "{%t,'result':%s}\n", tuple, result, expires);
        return;
    }

    printf("%s: app %s, gateway %s, %s%s", result, tuple->app.data,
           tuple->gateway.data,
           tuple->resource.len ? "resource " : "all resources",
           tuple->resource.len ? tuple->resource.data : "");

    if (expires >= 0) {
        printf(expires >= PERM_GRANT_PERMANENT ? ", %s" : ", until %s",
               perm_output_time(expires));
    }

    printf("\n");
}
