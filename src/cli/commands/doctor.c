
/*
 * doctor: whether this Redis is fit for the grant table.
 */


#include <string.h>

#include "cli/commands/doctor_rights.h"
#include "cli/commands/doctor_server.h"
#include "cli/commands/doctor_types.h"


#define OFFSET(member)  offsetof(perm_args_t, member)


static const perm_option_t  doctor_options[] = {
    { "--for", "all|gateway|renewal|auditor", "whose rights are looked at",
      PERM_ARG_WORD, OFFSET(role), 0 },
    PERM_OPTION_END
};


static void
check_meta(perm_cli_t *cli, perm_doctor_report_t *report)
{
    char             key[PERM_KEY_MAX];
    perm_str_t       name;
    redisReply      *reply;

    static perm_wire_command_t  request;

    name.data = key;
    name.len = perm_grant_key_meta(key, cli->prefix);

    perm_wire_command_begin(&request, "HGET");
    perm_wire_command_key(&request, name);
    perm_wire_command_text(&request, PERM_SCHEMA_FIELD);

    reply = perm_client_call(cli->client, NULL, &request,
                             PERM_ERRORS_TOO);
    perm_wire_command_free(&request);

    if (reply->type == REDIS_REPLY_STRING
        && strcmp(reply->str, PERM_SCHEMA) == 0)
    {
        perm_doctor_report(report, PERM_OK, "meta", "the table is loaded");

    } else if (reply->type == REDIS_REPLY_STRING) {
        perm_doctor_report(report, PERM_ERROR, "meta", "\"%s\" says schema "
                           "\"%s\", only \"1\" is known: update app-permission", key,
                           perm_escape_text(reply->str));

    } else if (reply->type == REDIS_REPLY_NIL) {
        perm_doctor_report(report, PERM_ERROR, "meta", "\"%s\" is missing: "
                           "the table counts as not loaded; import or grant, or "
                           "check --prefix and the database", key);

    } else {
        perm_doctor_report(report, PERM_ERROR, "meta", "\"%s\" cannot be "
                           "read: %s", key,
                           reply->type == REDIS_REPLY_ERROR
                           ? perm_escape_text(reply->str) : "not a hash");
    }

    freeReplyObject(reply);
}


static perm_exit_t
run_doctor(perm_cli_t *cli)
{
    const char           *wrong;
    perm_node_t          *node;
    perm_doctor_report_t  report;

    static const unsigned  whom[] = {
        PERM_FOR_GATEWAY | PERM_FOR_RENEWAL | PERM_FOR_AUDITOR,
        PERM_FOR_GATEWAY, PERM_FOR_RENEWAL, PERM_FOR_AUDITOR
    };

    memset(&report, 0, sizeof(perm_doctor_report_t));
    report.json = cli->args.json;

    wrong = perm_cli_connect(cli);

    if (wrong != NULL) {
        perm_doctor_report(&report, PERM_ERROR, "reachable", "%s", wrong);
        return PERM_EXIT_REDIS;
    }

    for (node = perm_client_next(cli->client, NULL); node != NULL;
         node = perm_client_next(cli->client, node))
    {
        perm_doctor_server_check(cli, &report, node);
    }

    check_meta(cli, &report);
    perm_doctor_rights_check(cli, &report, whom[cli->args.role]);

    if (cli->args.role != PERM_ROLE_GATEWAY) {
        perm_doctor_types_check(cli, &report);
    }

    perm_warn("%u errors, %u warnings", report.errors,
              report.warnings);

    return report.errors ? PERM_EXIT_NO : PERM_EXIT_DONE;
}


const perm_command_t  perm_doctor_command = {
    "doctor", "",
    "is this Redis fit for the table",
    "Looks at every server: reachable, version, role, eviction, memory,\n"
    "saving to disk, the difference of the clocks, tracking; then at the\n"
    "table, at the rights of the user, by using them on keys that are\n"
    "nobody's, and at the types of all keys. Each line says ok, warning or\n"
    "error, and what to do. Exit status 1: there are errors.",
    doctor_options, 0, 0, run_doctor
};
