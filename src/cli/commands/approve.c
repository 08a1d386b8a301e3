
/*
 * approve and reject: the answers to requests.
 */


#include <stdlib.h>
#include <string.h>

#include "cli/commands/command.h"
#include "cli/table/history.h"
#include "cli/table/requests.h"
#include "cli/table/walk.h"
#include "cli/util/alloc.h"


typedef struct {
    perm_cli_t              *cli;
    perm_requests_answer_t   answer;
    perm_names_t             fields;    /* "-" or resources */
    perm_requests_notice_t   notice;
    int                      done;      /* there is one that was handled ... */
    int                      left;      /* ... and one that was not */
} perm_approve_t;


static perm_exit_t run_approve(perm_cli_t *cli);
static perm_exit_t run_reject(perm_cli_t *cli);
static perm_exit_t run(perm_cli_t *cli, perm_request_status_t status);
static void named(perm_approve_t *approve);
static void add_pending(void *data, perm_row_t *rows, size_t n);
static void add_field(perm_approve_t *approve, perm_str_t field);
static void handle(perm_approve_t *approve, perm_str_t field);
static void tell_done(void *data);


#define REQUEST_OPTIONS                                                       \
    { "--gateway", "G", "the gateway",                                        \
      PERM_OPTION_REQUIRED(GATEWAY, tuple.gateway) },                         \
    { "--app", "A", "the app", PERM_OPTION_REQUIRED(APP, tuple.app) },        \
    { "--resource", "R", "the request for this resource, and again for more " \
      "of them; else all that are pending",                                   \
      PERM_OPTION(RESOURCES, resources) },                                    \
    { "--whole-gateway", NULL, "the request for the whole gateway",           \
      PERM_OPTION(FLAG, whole_gateway) },                                     \
    { "--by", "WHO", "who answers, else the user who runs this",              \
      PERM_OPTION(TEXT, by) }

#define NOTIFY_OPTION                                                         \
    { "--notify", "CMD", "run with the answered requests on standard input",  \
      PERM_OPTION(TEXT, notify) }


static const perm_option_t  approve_options[] = {
    REQUEST_OPTIONS,
    { "--days", "N", "in place of the days asked for; 0 is permanent",
      PERM_OPTION(DAYS, period) },
    { "--comment", "TEXT", "kept with the request and in the history",
      PERM_OPTION(TEXT, comment) },
    NOTIFY_OPTION,
    PERM_OPTION_END
};


const perm_command_t  perm_approve_command = {
    "approve", "",
    "give what an app has applied for",
    "Gives the grants for the pending requests of an app, for the days asked\n"
    "for. A grant that lasts is extended, never shortened. Request, grant and\n"
    "history change in one step. A request that somebody else handles\n"
    "meanwhile, and one whose grant is revoked meanwhile, is said and left.\n"
    "With --notify, CMD is run by /bin/sh with the approved requests on\n"
    "standard input, as \"apply\" has it, with \"granted_days\",\n"
    "\"handled_by\", \"handled_at\", \"comment\" and \"expires\". Exit status\n"
    "1: nothing was approved, a request was left, or CMD failed.",
    approve_options, 0, run_approve
};


static const perm_option_t  reject_options[] = {
    REQUEST_OPTIONS,
    { "--comment", "TEXT", "why, for the app",
      PERM_OPTION_REQUIRED(TEXT, comment) },
    NOTIFY_OPTION,
    PERM_OPTION_END
};


const perm_command_t  perm_reject_command = {
    "reject", "",
    "refuse what an app has applied for",
    "Refuses the pending requests of an app. Grants stay as they are. With\n"
    "--notify, CMD is run by /bin/sh with the refused requests on standard\n"
    "input, as \"apply\" has it, with \"handled_by\", \"handled_at\" and\n"
    "\"comment\". Exit status 1: nothing was refused, a request was left, or\n"
    "CMD failed.",
    reject_options, 0, run_reject
};


static perm_exit_t
run_approve(perm_cli_t *cli)
{
    return run(cli, PERM_REQUEST_APPROVED);
}


static perm_exit_t
run_reject(perm_cli_t *cli)
{
    return run(cli, PERM_REQUEST_REJECTED);
}


static perm_exit_t
run(perm_cli_t *cli, perm_request_status_t status)
{
    int                   failed;
    size_t                i;
    perm_approve_t        approve;
    perm_walk_skipped_t   skipped;

    memset(&approve, 0, sizeof(perm_approve_t));
    memset(&skipped, 0, sizeof(perm_walk_skipped_t));
    approve.cli = cli;
    approve.answer.status = status;
    approve.answer.days = perm_requests_days(cli->args.period);
    approve.answer.by = perm_history_who(cli->args.by);
    approve.answer.comment = cli->args.comment;

    perm_table_connect(&cli->table, &cli->servers);

    if (status == PERM_REQUEST_APPROVED && !perm_table_writable(&cli->table)) {
        return PERM_EXIT_NO;
    }

    if (cli->args.resources.n || cli->args.whole_gateway) {
        named(&approve);

    } else {
        skipped = perm_walk(&cli->table, PERM_WALK_REQUESTS, &cli->args.tuple,
                            add_pending, &approve);
    }

    if (approve.fields.n == 0) {
        perm_output_warn("app %s has no pending request for gateway %s",
                         cli->args.tuple.app.data,
                         cli->args.tuple.gateway.data);
    }

    /* what was done before a failure is told too */

    perm_output_at_fatal(tell_done, &approve);

    for (i = 0; i < approve.fields.n; i++) {
        handle(&approve, approve.fields.list[i]);
        free((char *) approve.fields.list[i].data);
    }

    perm_output_at_fatal(NULL, NULL);
    failed = perm_requests_notify(&approve.notice, cli->args.notify,
                                  cli->args.json, cli->args.tuple.app);
    free(approve.fields.list);

    return perm_walk_status(skipped, (approve.done && !approve.left && !failed)
                                     ? PERM_EXIT_DONE : PERM_EXIT_NO);
}


static void
named(perm_approve_t *approve)
{
    size_t              i;
    const perm_args_t  *args;

    args = &approve->cli->args;

    if (args->whole_gateway) {
        add_field(approve, perm_str(PERM_GATEWAY_FIELD));
    }

    for (i = 0; i < args->resources.n; i++) {
        add_field(approve, args->resources.list[i]);
    }
}


static void
add_pending(void *data, perm_row_t *rows, size_t n)
{
    size_t                  i;
    perm_approve_t         *approve = data;
    perm_request_status_t   status;

    for (i = 0; i < n; i++) {
        status = perm_request_read(rows[i].value).status;

        if (status == PERM_REQUEST_PENDING) {
            add_field(approve, rows[i].field);

        } else if (status == PERM_REQUEST_UNREADABLE) {
            perm_requests_warn_unreadable(rows[i].key, rows[i].field);
        }
    }
}


/* a copy of it */

static void
add_field(perm_approve_t *approve, perm_str_t field)
{
    perm_names_t  *fields;

    fields = &approve->fields;
    fields->list = perm_alloc_room(fields->list, &fields->size, fields->n + 1,
                                   sizeof(perm_str_t));
    fields->list[fields->n++] =
        perm_str(perm_alloc_check(strndup(field.data, field.len)));
}


static void
handle(perm_approve_t *approve, perm_str_t field)
{
    perm_str_t                value;
    perm_tuple_t              tuple;
    perm_requests_result_t    result;
    perm_requests_handled_t   handled;

    static const char *const  results[] = {
        [PERM_REQUESTS_ABSENT] = "no such request",
        [PERM_REQUESTS_UNREADABLE] = "the request is unreadable: \"apply\" "
                                     "replaces it",
        [PERM_REQUESTS_APPROVED] = "approved already",
        [PERM_REQUESTS_REJECTED] = "rejected already",
        [PERM_REQUESTS_REVOKED] = "still pending, as the grant was revoked "
                                  "meanwhile",
        [PERM_REQUESTS_TOO_LONG] = "still pending, as its value or the "
                                   "grant's would be over 64 KiB"
    };

    tuple = approve->cli->args.tuple;
    tuple.resource = perm_str_equal(field, perm_str(PERM_GATEWAY_FIELD))
                     ? perm_str("") : field;

    result = perm_requests_handle(&approve->cli->table, &tuple,
                                  &approve->answer, &handled);
    value = perm_str(handled.value ? handled.value : "");

    if (result == PERM_REQUESTS_HANDLED) {
        approve->done = 1;
        perm_requests_tell(&approve->notice, &tuple, value, handled.expires);
        perm_table_warn_no_renew(&tuple, &handled.old, handled.expires);

    } else {
        approve->left = 1;
        handled.expires = -1;
    }

    perm_requests_report(approve->cli->args.json, &tuple,
                         result != PERM_REQUESTS_HANDLED ? results[result]
                         : perm_request_status_name(approve->answer.status),
                         value, &handled);
    free(handled.value);
}


static void
tell_done(void *data)
{
    perm_approve_t  *approve = data;

    (void) perm_requests_notify(&approve->notice, approve->cli->args.notify,
                                approve->cli->args.json,
                                approve->cli->args.tuple.app);
}
