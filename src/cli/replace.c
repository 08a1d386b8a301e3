
#include "cli/replace.h"

#include <string.h>

#include "cli/table.h"


typedef struct {
    perm_prints_t  *prints;
    uint64_t        seen;
    uint64_t        removed;
} perm_replace_t;


static perm_request_t  request;


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
    perm_call_t      grant;
    perm_replace_t  *replace = data;

    for (i = 0; i < n && !perm_interrupted; i++) {
        grant.gateway = rows[i].gateway;
        grant.resource = rows[i].resource;
        grant.app = rows[i].app;

        if (perm_prints_has(replace->prints, &grant)) {
            continue;
        }

        perm_request_begin(&request, "HDEL");
        perm_request_key(&request, rows[i].key);
        perm_request_add(&request, rows[i].field);
        perm_store_send(cli->store, NULL, &request, 0, count,
                        &replace->removed);
    }

    perm_store_wait(cli->store);

    replace->seen += n;
    perm_progress("compared", replace->seen, 0);
}


uint64_t
perm_replace(perm_cli_t *cli, perm_prints_t *prints)
{
    perm_walk_t     walk;
    perm_replace_t  replace;

    memset(&replace, 0, sizeof(perm_replace_t));
    replace.prints = prints;

    memset(&walk, 0, sizeof(perm_walk_t));
    walk.unreadable = 1;
    walk.rows = replace_rows;
    walk.data = &replace;

    (void) perm_table_walk(cli, &walk);

    return replace.removed;
}
