
/*
 * apply: an app's requests for grants.
 */


#include <stdlib.h>
#include <string.h>

#include "cli/commands/command.h"
#include "cli/table/history.h"
#include "cli/table/requests.h"
#include "cli/util/alloc.h"


static perm_exit_t run_apply(perm_cli_t *cli);
static char *make_text(const perm_args_t *args);
static redisReply *store(perm_cli_t *cli, const char *text);
static perm_exit_t report(perm_cli_t *cli, const char *text,
    const redisReply *reply);
static char *find_own(perm_cli_t *cli, const perm_tuple_t *tuple,
    const char *text);
static const char *why_left(perm_str_t word);


static const perm_option_t  apply_options[] = {
    { "--gateway", "G", "the gateway",
      PERM_OPTION_REQUIRED(GATEWAY, tuple.gateway) },
    { "--resource", "R", "one resource of it, and again for more of them; "
      "else the whole gateway", PERM_OPTION(RESOURCES, resources) },
    { "--app", "A", "the app", PERM_OPTION_REQUIRED(APP, tuple.app) },
    { "--days", "N", "for so many days, 180; 0 is permanent",
      PERM_OPTION(DAYS, period) },
    { "--reason", "TEXT", "what it is for", PERM_OPTION(TEXT, reason) },
    { "--by", "WHO", "who asks, else the user who runs this",
      PERM_OPTION(TEXT, by) },
    { "--notify", "CMD", "run with the requests on standard input",
      PERM_OPTION(TEXT, notify) },
    PERM_OPTION_END
};


const perm_command_t  perm_apply_command = {
    "apply", "",
    "ask for permissions of an app",
    "Stores a request for each resource, which \"approve\" or \"reject\"\n"
    "handles. One that is pending already, or a permission that the app has\n"
    "permanently, is said and left. With --notify, CMD is run by /bin/sh with\n"
    "the new requests as one JSON object on standard input:\n"
    "\n"
    "  {\"app\":\"a\",\"gateway\":\"g\",\"requests\":[{\"resource\":\"r\",\n"
    "   \"status\":\"pending\",\"days\":180,\"reason\":\"...\",\"by\":\"me\",\n"
    "   \"at\":1800000000}]}\n"
    "\n"
    "Exit status 1: nothing was asked for, or CMD failed.",
    apply_options, 0, run_apply
};


static perm_exit_t
run_apply(perm_cli_t *cli)
{
    char         *text;
    perm_exit_t   status;
    redisReply   *reply;

    text = make_text(&cli->args);
    perm_table_connect(&cli->table, &cli->servers);
    perm_table_warn_unloaded(&cli->table);

    reply = store(cli, text);

    /* it is no grant: it locks nobody out, and "import" leaves it there */

    if (!cli->table.loaded) {
        perm_output_warn("requests are stored all the same, and \"approve\" "
                         "refuses them until then");
    }

    status = report(cli, text, reply);

    freeReplyObject(reply);
    free(text);

    return status;
}


/* but for its end, which the script writes */

static char *
make_text(const perm_args_t *args)
{
    char        *escaped, *text;
    int64_t      days;
    perm_str_t   reason;

    days = perm_requests_days(args->period);
    reason = perm_str(args->reason ? args->reason : "");

    escaped = perm_alloc(reason.len * PERM_JSON_ESCAPE + 1);
    reason.len = perm_json_escape(escaped, reason);
    reason.data = escaped;

    text = perm_request_text(days < 0 ? PERM_REQUEST_DAYS : days, reason,
                             perm_str(perm_history_who(args->by)));
    free(escaped);

    return perm_alloc_check(text);
}


static redisReply *
store(perm_cli_t *cli, const char *text)
{
    char            keys[2][PERM_KEY_MAX];
    size_t          n;
    redisReply     *reply;
    perm_table_t   *table;
    perm_names_t   *names;

    table = &cli->table;
    names = &cli->args.resources;

    perm_client_command(table->client, "EVAL %s 2 %k %k %s 0",
                        perm_request_script,
                        perm_table_key(table, keys[0], PERM_KEY_REQUESTS,
                                       &cli->args.tuple),
                        perm_table_key(table, keys[1], PERM_KEY_HISTORY,
                                       &cli->args.tuple), text);

    if (names->n == 0) {
        perm_client_word(table->client, perm_str(PERM_GATEWAY_FIELD));
    }

    for (n = 0; n < names->n; n++) {
        perm_client_word(table->client, names->list[n]);
    }

    reply = NULL;
    perm_client_send(table->client, NULL, 0, perm_client_keep, &reply);
    perm_client_wait(table->client);

    return reply;
}


static perm_exit_t
report(perm_cli_t *cli, const char *text, const redisReply *reply)
{
    int                      asked, failed;
    char                    *value, *own;
    size_t                   i;
    perm_str_t               now, word, stored;
    perm_tuple_t             tuple;
    const perm_args_t       *args;
    perm_requests_notice_t   notice;

    args = &cli->args;
    tuple = args->tuple;
    now = perm_table_bytes(perm_table_element(reply, 0));
    value = perm_alloc(strlen(text) + now.len + sizeof("}"));
    sprintf(value, "%s%s}", text, now.data ? now.data : "0");
    memset(&notice, 0, sizeof(perm_requests_notice_t));
    asked = 0;

    for (i = 1; perm_table_element(reply, i) != NULL; i++) {
        word = perm_table_bytes(perm_table_element(reply, i));
        stored = perm_str(value);

        if (args->resources.n) {
            tuple.resource = args->resources.list[i - 1];
        }

        own = NULL;

        if (perm_client_resent(cli->table.client)
            && perm_str_equal(word, perm_str(PERM_REQUEST_LEFT_PENDING)))
        {
            own = find_own(cli, &tuple, text);
        }

        if (own != NULL) {
            stored = perm_str(own);
            word = perm_str("");
        }

        if (word.len) {
            stored.data = NULL;

        } else {
            asked = 1;
            perm_requests_tell(&notice, &tuple, stored, -1);
        }

        perm_requests_report(args->json, &tuple, why_left(word), stored, NULL);
        free(own);
    }

    failed = perm_requests_notify(&notice, args->notify, args->json,
                                  tuple.app);
    free(value);

    return (asked && !failed) ? PERM_EXIT_DONE : PERM_EXIT_NO;
}


/*
 * The server may have stored the requests and gone away before it said so: then
 * another one finds them pending.  Returns such a request, or NULL.
 */

static char *
find_own(perm_cli_t *cli, const perm_tuple_t *tuple, const char *text)
{
    char        *own, key[PERM_KEY_MAX];
    size_t       len;
    perm_str_t   value;
    redisReply  *reply;

    reply = perm_client_call(cli->table.client, 0, "HGET %k %b",
                             perm_table_key(&cli->table, key,
                                            PERM_KEY_REQUESTS, tuple),
                             perm_table_field(tuple));
    value = perm_table_bytes(reply);
    len = strlen(text);
    own = (value.data != NULL && value.len > len
           && memcmp(value.data, text, len) == 0)
          ? perm_alloc_check(strdup(value.data)) : NULL;

    freeReplyObject(reply);

    return own;
}


static const char *
why_left(perm_str_t word)
{
    return (word.len == 0) ? "applied"
           : perm_str_equal(word, perm_str(PERM_REQUEST_LEFT_PENDING))
           ? "pending already" : "owned permanently";
}
