
/*
 * list: grants with their last accesses.
 */


#include <stdlib.h>
#include <string.h>

#include "cli/table/table.h"
#include "core/decision.h"


#define OFFSET(member)  offsetof(perm_args_t, member)


static const perm_option_t  list_options[] = {
    { "--gateway", "G", "of this gateway only",
      PERM_ARG_GATEWAY, OFFSET(gateway), 0 },
    { "--app", "A", "of this app only", PERM_ARG_APP, OFFSET(app), 0 },
    { "--expired", NULL, "those that have ended only",
      PERM_ARG_FLAG, OFFSET(expired), 0 },
    { "--unused-since", "T", "those without an access since then only",
      PERM_ARG_TIME, OFFSET(unused_since), 0 },
    PERM_OPTION_END
};


static int
wanted(const perm_cli_t *cli, const perm_row_t *row)
{
    if (cli->args.expired && perm_grant_live(row->expires, cli->now)) {
        return 0;
    }

    return cli->args.unused_since < 0 || row->last < cli->args.unused_since;
}


static void
print_json(const perm_row_t *row, const char *type, int64_t granted)
{
    perm_object_begin(stdout);
    perm_object_string(stdout, "gateway", row->gateway);

    if (row->resource.len) {
        perm_object_string(stdout, "resource", row->resource);
    } else {
        perm_object_raw(stdout, "resource", "null");
    }

    perm_object_string(stdout, "app", row->app);
    perm_object_number(stdout, "expires", row->expires);

    if (type[0] != '\0') {
        perm_object_text(stdout, "type", type);
    }

    if (granted >= 0) {
        perm_object_number(stdout, "granted", granted);
    }

    perm_object_number(stdout, "last_access", row->last);
    perm_object_end(stdout, "\n");
}


static void
print_text(const perm_row_t *row, const char *type)
{
    int  resource;

    resource = (int) row->resource.len;

    printf("%-16.*s %-24.*s %-20.*s %-20s %-20s %s\n",
           (int) row->gateway.len, row->gateway.data,
           resource ? resource : 1, resource ? row->resource.data : "-",
           (int) row->app.len, row->app.data, perm_time_text(row->expires),
           perm_time_text(row->last), perm_escape_text(type));
}


static void
list_rows(perm_cli_t *cli, void *data, perm_row_t *rows, size_t n)
{
    char       type[128];
    size_t     i;
    int64_t    granted;
    uint64_t  *listed = data;

    for (i = 0; i < n; i++) {
        if (!wanted(cli, &rows[i])) {
            continue;
        }

        perm_grant_details(rows[i].value, type, sizeof(type), &granted);

        if (cli->args.json) {
            print_json(&rows[i], type, granted);

        } else {
            if (*listed == 0) {
                printf("%-16s %-24s %-20s %-20s %-20s %s\n", "GATEWAY",
                       "RESOURCE", "APP", "EXPIRES", "LAST ACCESS", "TYPE");
            }

            print_text(&rows[i], type);
        }

        (*listed)++;
    }

    if (ferror(stdout)) {
        perm_fatal(PERM_EXIT_NO, "cannot write the output: %m");
    }
}


static perm_exit_t
run_list(perm_cli_t *cli)
{
    uint64_t     listed;
    perm_walk_t  walk;

    perm_table_warn_unloaded(cli);

    memset(&walk, 0, sizeof(perm_walk_t));
    walk.gateway = cli->args.gateway;
    walk.app = cli->args.app;
    walk.access = 1;
    walk.rows = list_rows;
    walk.data = &listed;

    listed = 0;
    (void) perm_walk(cli, &walk);

    if (listed == 0) {
        perm_warn("no such grant");
        return PERM_EXIT_NO;
    }

    return PERM_EXIT_DONE;
}


const perm_command_t  perm_list_command = {
    "list", "",
    "grants with their last accesses",
    "Lists grants; \"-\" in place of a resource is the whole gateway, whose\n"
    "last access is the newest over its resources. Exit status 1: there is\n"
    "none.",
    list_options, 1, 0, run_list
};
