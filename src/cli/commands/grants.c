
/*
 * grant and revoke.
 */


#include <stdlib.h>
#include <string.h>

#include "cli/table/table.h"
#include "core/grant.h"
#include "core/json.h"


#define OFFSET(member)   offsetof(perm_args_t, member)
#define DAYS_DEFAULT     180
#define TYPE_MAX         64
#define ATTEMPTS_MAX     100


static const perm_option_t  grant_options[] = {
    { "--gateway", "G", "the gateway", PERM_ARG_GATEWAY, OFFSET(gateway), 1 },
    { "--resource", "R", "one resource of it, else the whole gateway",
      PERM_ARG_RESOURCE, OFFSET(resource), 0 },
    { "--app", "A", "the app", PERM_ARG_APP, OFFSET(app), 1 },
    { "--days", "N", "from now on, 180; 0 is permanent",
      PERM_ARG_DAYS, OFFSET(days), 0 },
    { "--expires", "T", "until then", PERM_ARG_TIME, OFFSET(expires), 0 },
    { "--type", "TYPE", "kept with the grant, as in apply or renew",
      PERM_ARG_TEXT, OFFSET(type), 0 },
    PERM_OPTION_END
};


static const perm_option_t  revoke_options[] = {
    { "--gateway", "G", "the gateway", PERM_ARG_GATEWAY, OFFSET(gateway), 1 },
    { "--resource", "R", "one resource of it, else the whole gateway",
      PERM_ARG_RESOURCE, OFFSET(resource), 0 },
    { "--app", "A", "the app", PERM_ARG_APP, OFFSET(app), 1 },
    PERM_OPTION_END
};


static perm_wire_command_t  request;


static perm_str_t
grants_key(const perm_cli_t *cli)
{
    perm_str_t  key;

    static char  text[PERM_KEY_MAX];

    key.data = text;
    key.len = perm_grant_key(text, PERM_KEY_GRANTS, cli->prefix,
                             cli->args.gateway, cli->args.app);

    return key;
}


static perm_str_t
grants_field(const perm_cli_t *cli)
{
    return cli->args.resource.len ? cli->args.resource
                                  : perm_str(PERM_GATEWAY_FIELD);
}


static int64_t
wanted_expires(const perm_cli_t *cli)
{
    int64_t             days;
    const perm_args_t  *args;

    args = &cli->args;

    if (args->expires >= 0) {
        if (args->days >= 0) {
            perm_fatal(PERM_EXIT_USAGE, "--days and --expires both say when "
                       "it ends: give one");
        }

        return args->expires;
    }

    days = (args->days >= 0) ? args->days : DAYS_DEFAULT;

    if (days > (PERM_GRANT_EXPIRES_MAX - cli->now) / 86400) {
        perm_fatal(PERM_EXIT_USAGE, "--days \"%lld\": that is after the year "
                   "9999; 0 is permanent", (long long) days);
    }

    return (days == 0) ? PERM_GRANT_PERMANENT : cli->now + days * 86400;
}


/* UTF-8, as JSON wants it, without control bytes, as logs want it */

static void
check_type(const char *type)
{
    char    text[TYPE_MAX * PERM_JSON_ESCAPE + 1];
    size_t  len, i;

    len = strlen(type);

    if (len == 0 || len > TYPE_MAX || strcspn(type, "\"\\\x7f") != len) {
        perm_fatal(PERM_EXIT_USAGE, "--type \"%s\": not 1 to 64 bytes without "
                   "quotes and backslashes", perm_escape_text(type));
    }

    text[perm_json_escape(text, perm_str(type))] = '\0';

    for (i = 0; i < len && (unsigned char) type[i] >= ' '; i++) { /* void */ }

    if (i < len || strstr(text, "\\ufffd") != NULL) {
        perm_fatal(PERM_EXIT_USAGE, "--type \"%s\": not UTF-8 without control "
                   "bytes", perm_escape_text(type));
    }
}


static void
print_grant(const perm_cli_t *cli, const char *done, int64_t expires)
{
    const perm_args_t  *args;

    args = &cli->args;

    if (args->json) {
        perm_object_begin(stdout);
        perm_object_string(stdout, "gateway", args->gateway);

        if (args->resource.len) {
            perm_object_string(stdout, "resource", args->resource);
        } else {
            perm_object_raw(stdout, "resource", "null");
        }

        perm_object_string(stdout, "app", args->app);
        perm_object_text(stdout, "result", done);

        if (expires >= 0) {
            perm_object_number(stdout, "expires", expires);
        }

        perm_object_end(stdout, "\n");
        return;
    }

    printf("%s: app %s, gateway %s, %s%s", done, args->app.data,
           args->gateway.data,
           args->resource.len ? "resource " : "all resources",
           args->resource.len ? args->resource.data : "");

    if (expires >= 0) {
        printf(expires >= PERM_GRANT_PERMANENT ? ", %s" : ", until %s",
               perm_time_text(expires));
    }

    printf("\n");
}


static int
take_result(void *data, redisReply *reply)
{
    int  *made = data;

    *made = (reply->type == REDIS_REPLY_INTEGER && reply->integer == 1);

    return 0;
}


/* against the value that was read, until nobody was faster */

static void
write_grant(perm_cli_t *cli, int64_t expires)
{
    int          made;
    char        *value;
    unsigned     attempts;
    perm_str_t   old;
    redisReply  *reply;

    for (attempts = 0; attempts < ATTEMPTS_MAX; attempts++) {
        old = perm_table_value(cli, grants_key(cli), grants_field(cli),
                               &reply);

        value = perm_grant_rewrite(old, expires, cli->args.type, cli->now);
        if (value == NULL) {
            perm_fatal(PERM_EXIT_REDIS, "out of memory");
        }

        made = 0;
        perm_table_write(cli, grants_key(cli), grants_field(cli), old,
                         perm_str(value), take_result, &made);
        perm_client_wait(cli->client);

        free(value);
        freeReplyObject(reply);

        if (made) {
            return;
        }
    }

    perm_fatal(PERM_EXIT_REDIS, "the grant changes too fast to be written");
}


static perm_exit_t
run_grant(perm_cli_t *cli)
{
    int64_t  expires;

    expires = wanted_expires(cli);

    if (cli->args.type != NULL) {
        check_type(cli->args.type);
    }

    if (expires <= cli->now) {
        perm_warn("this grant has ended already, at %s",
                  perm_time_text(expires));
    }

    write_grant(cli, expires);

    if (!cli->loaded) {
        perm_warn("the table was not loaded and is from now on: what has no "
                  "grant in it is denied");
    }

    perm_table_mark(cli);

    print_grant(cli, "granted", expires);

    return PERM_EXIT_DONE;
}


static perm_exit_t
run_revoke(perm_cli_t *cli)
{
    int          gone;
    redisReply  *reply;

    perm_wire_command_begin(&request, "HDEL");
    perm_wire_command_key(&request, grants_key(cli));
    perm_wire_command_add(&request, grants_field(cli));

    reply = perm_client_call(cli->client, NULL, &request, 0);
    gone = (reply->type == REDIS_REPLY_INTEGER && reply->integer > 0);
    freeReplyObject(reply);

    perm_wire_command_free(&request);

    if (!gone) {
        perm_table_warn_unloaded(cli);
        print_grant(cli, "no such grant", -1);
        return PERM_EXIT_NO;
    }

    print_grant(cli, "revoked", -1);

    return PERM_EXIT_DONE;
}


const perm_command_t  perm_grant_command = {
    "grant", "",
    "give an app a permission on a gateway or on one resource",
    "Writes one grant, for 180 days unless told otherwise. Where there is\n"
    "one already, its end is set anew; its type stays unless --type is\n"
    "given, and what else other tools keep in it stays too.",
    grant_options, 1, 0, run_grant
};


const perm_command_t  perm_revoke_command = {
    "revoke", "",
    "take one grant back",
    "Removes one grant. Exit status 1: there was none. A grant on the whole\n"
    "gateway and those on its resources are independent of each other.",
    revoke_options, 1, 0, run_revoke
};
