
#include "cli/commands/import_replace.h"

#include <string.h>

#include "cli/table/table.h"


typedef struct {
    perm_fingerprints_t  *prints;
    uint64_t              seen;
    uint64_t              removed;
} perm_replace_t;


static perm_wire_command_t  request;


static int
count(void *data, redisReply *reply)
{
    uint64_t  *removed = data;

    if (reply->type == REDIS_REPLY_INTEGER && reply->integer > 0) {
        (*removed)++;
    }

    return 0;
}


static void
replace_rows(perm_cli_t *cli, void *data, perm_row_t *rows, size_t n)
{
    size_t           i;
    perm_tuple_t     grant;
    perm_replace_t  *replace = data;

    for (i = 0; i < n && !perm_interrupted; i++) {
        grant.gateway = rows[i].gateway;
        grant.resource = rows[i].resource;
        grant.app = rows[i].app;

        if (perm_fingerprints_has(replace->prints, &grant)) {
            continue;
        }

        perm_wire_command_begin(&request, "HDEL");
        perm_wire_command_key(&request, rows[i].key);
        perm_wire_command_add(&request, rows[i].field);
        perm_client_send(cli->client, NULL, &request, 0, count,
                         &replace->removed);
    }

    perm_client_wait(cli->client);

    replace->seen += n;
    perm_progress("compared", replace->seen, 0);
}


uint64_t
perm_import_replace(perm_cli_t *cli, perm_fingerprints_t *prints)
{
    perm_walk_t     walk;
    perm_replace_t  replace;

    memset(&replace, 0, sizeof(perm_replace_t));
    replace.prints = prints;

    memset(&walk, 0, sizeof(perm_walk_t));
    walk.unreadable = 1;
    walk.rows = replace_rows;
    walk.data = &replace;

    (void) perm_walk(cli, &walk);

    return replace.removed;
}
