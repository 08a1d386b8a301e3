
#include "cli/commands/doctor_types.h"

#include <stdlib.h>
#include <string.h>

#include "cli/table/table.h"


#define NAMED  10


typedef struct {
    perm_doctor_report_t  *report;
    perm_key_kind_t        kind;
    uint64_t               keys;
    uint64_t               wrong;
    int                    refused;
} perm_types_t;


static perm_wire_command_t  request;


static void
judge(perm_types_t *types, perm_str_t key, const redisReply *reply)
{
    types->keys++;

    if (reply->type != REDIS_REPLY_ERROR) {
        return;
    }

    if (strncmp(reply->str, "WRONGTYPE", sizeof("WRONGTYPE") - 1) != 0) {
        types->refused = 1;
        return;
    }

    if (types->wrong++ >= NAMED) {
        return;
    }

    if (types->kind == PERM_KEY_GRANTS) {
        perm_doctor_report(types->report, PERM_ERROR, "types", "\"%s\" is no hash: "
                           "calls of this app get 503; rename or remove it",
                           perm_escape(key));
    } else {
        perm_doctor_report(types->report, PERM_ERROR, "types", "\"%s\" is no sorted "
                           "set: accesses of this app are not recorded; rename or "
                           "remove it", perm_escape(key));
    }
}


static void
look(perm_cli_t *cli, void *data, perm_str_t *keys, size_t n)
{
    size_t         i;
    perm_str_t     gateway, app;
    redisReply   **replies;
    perm_types_t  *types = data;

    replies = perm_alloc(n * sizeof(redisReply *));

    for (i = 0; i < n; i++) {
        replies[i] = NULL;

        if (!perm_grant_key_parse(keys[i], types->kind, cli->prefix, &gateway,
                                  &app))
        {
            continue;
        }

        perm_wire_command_begin(&request, types->kind == PERM_KEY_GRANTS
                                     ? "HGET" : "ZSCORE");
        perm_wire_command_key(&request, keys[i]);
        perm_wire_command_text(&request, PERM_GATEWAY_FIELD);
        perm_client_send(cli->client, NULL, &request, PERM_ERRORS_TOO,
                         perm_client_keep, &replies[i]);
    }

    perm_client_wait(cli->client);

    for (i = 0; i < n; i++) {
        if (replies[i] != NULL) {
            judge(types, keys[i], replies[i]);
            freeReplyObject(replies[i]);
        }
    }

    free(replies);

    perm_progress("looked at keys", types->keys, 0);
}


static int
may_scan(perm_cli_t *cli)
{
    int          may;
    redisReply  *reply;

    perm_wire_command_begin(&request, "SCAN");
    perm_wire_command_text(&request, "0");

    reply = perm_client_call(cli->client, NULL, &request, PERM_ERRORS_TOO);
    may = (reply->type != REDIS_REPLY_ERROR);
    freeReplyObject(reply);

    return may;
}


void
perm_doctor_types_check(perm_cli_t *cli, perm_doctor_report_t *report)
{
    perm_str_t    all;
    perm_types_t  types;

    if (!may_scan(cli)) {
        return;
    }

    all.data = "";
    all.len = 0;

    memset(&types, 0, sizeof(perm_types_t));
    types.report = report;

    types.kind = PERM_KEY_GRANTS;
    perm_scan_keys(cli, types.kind, all, all, look, &types);

    types.kind = PERM_KEY_ACCESS;
    perm_scan_keys(cli, types.kind, all, all, look, &types);

    perm_wire_command_free(&request);

    if (types.wrong > NAMED) {
        perm_doctor_report(report, PERM_ERROR, "types", "%llu keys are of a wrong "
                           "type, of which the first %d are named",
                           (unsigned long long) types.wrong, NAMED);

    } else if (types.wrong == 0 && !types.refused) {
        perm_doctor_report(report, PERM_OK, "types", "%llu keys of grants and "
                           "accesses, none of a wrong type",
                           (unsigned long long) types.keys);
    }
}
