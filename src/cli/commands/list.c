
/*
 * list and access: grants with their last accesses, and accesses alone.
 */


#include <string.h>

#include "cli/commands/command.h"
#include "cli/table/walk.h"
#include "cli/util/columns.h"
#include "core/grant.h"


#define NAMES  3      /* columns of names, from the left: sorted by these */


typedef struct {
    const perm_cli_t  *cli;
    perm_count_t       listed;
    perm_columns_t     columns;   /* for people */
} perm_list_t;


static perm_exit_t run_list(perm_cli_t *cli);
static void list_rows(void *data, perm_row_t *rows, size_t n);
static void list_grant(perm_list_t *list, const perm_row_t *row);
static perm_exit_t run_access(perm_cli_t *cli);
static void access_rows(void *data, perm_row_t *rows, size_t n);


static const perm_option_t  list_options[] = {
    { "--gateway", "G", "of this gateway only",
      PERM_OPTION(GATEWAY, tuple.gateway) },
    { "--resource", "R", "on this resource only",
      PERM_OPTION(RESOURCE, tuple.resource) },
    { "--app", "A", "of this app only", PERM_OPTION(APP, tuple.app) },
    { "--expired", NULL, "those that have ended only",
      PERM_OPTION(FLAG, expired) },
    { "--unused-since", "T", "those without an access since then only",
      PERM_OPTION(SINCE, unused_since) },
    PERM_OPTION_END
};


const perm_command_t  perm_list_command = {
    "list", "",
    "grants with their last accesses",
    "Lists grants, sorted by gateway, resource and app; \"-\" in place of a\n"
    "resource is the whole gateway, whose last access is the newest over its\n"
    "resources. With --json the lines come in no order, while they are read.\n"
    "Exit status 1: there is none.",
    list_options, 1, run_list
};


static const perm_option_t  access_options[] = {
    { "--since", "T", "those at that time or later only",
      PERM_OPTION(SINCE, since) },
    PERM_OPTION_END
};


const perm_command_t  perm_access_command = {
    "access", "",
    "last accesses as JSON lines, for an outside renewal job",
    "Writes a line for each resource that an app was let through to by a\n"
    "grant, with the newest second it was:\n"
    "\n"
    "  {\"gateway\":\"g\",\"resource\":\"r\",\"app\":\"a\","
    "\"last_access\":1800000000}",
    access_options, 1, run_access
};


static perm_exit_t
run_list(perm_cli_t *cli)
{
    perm_list_t  list;

    static const char *const  titles[] = {
        "GATEWAY", "RESOURCE", "APP", "EXPIRES", "LAST ACCESS", "TYPE", NULL
    };

    perm_table_warn_unloaded(&cli->table);

    memset(&list, 0, sizeof(perm_list_t));
    list.cli = cli;
    list.columns.titles = titles;

    (void) perm_walk(&cli->table, PERM_WALK_LAST, &cli->args.tuple, list_rows,
                     &list);

    if (list.listed == 0) {
        perm_output_warn("no such grant");
        return PERM_EXIT_NO;
    }

    perm_columns_print(&list.columns, NAMES);

    return PERM_EXIT_DONE;
}


static void
list_rows(void *data, perm_row_t *rows, size_t n)
{
    size_t              i;
    int64_t             since;
    perm_list_t        *list = data;
    const perm_args_t  *args;

    args = &list->cli->args;
    since = perm_args_time(&args->unused_since, list->cli->table.now);

    for (i = 0; i < n; i++) {

        if ((args->expired
             && perm_grant_live(rows[i].grant.expires, list->cli->table.now))
            || (since >= 0 && rows[i].last >= since)
            || (args->tuple.resource.len
                && !perm_str_equal(args->tuple.resource, rows[i].field)))
        {
            continue;
        }

        list_grant(list, &rows[i]);
        list->listed++;
    }

    perm_output_check();
}


static void
list_grant(perm_list_t *list, const perm_row_t *row)
{
    char                  names[NAMES][PERM_RESOURCE_MAX + 1];
    const char           *cells[6];
    perm_grant_details_t  details;

    perm_grant_details(row->value, &details);

    if (list->cli->args.json) {
        perm_output_json(stdout, "{%t,'expires':%n%d,'last_access':%n}\n",
                         &row->tuple, row->grant.expires, &details, row->last);
        return;
    }

    snprintf(names[0], sizeof(names[0]), "%.*s", (int) row->tuple.gateway.len,
             row->tuple.gateway.data);
    snprintf(names[1], sizeof(names[1]), "%.*s", (int) row->field.len,
             row->field.data);
    snprintf(names[2], sizeof(names[2]), "%.*s", (int) row->tuple.app.len,
             row->tuple.app.data);

    cells[0] = names[0];
    cells[1] = names[1];
    cells[2] = names[2];
    cells[3] = perm_output_time(row->grant.expires);
    cells[4] = perm_output_time(row->last);
    cells[5] = details.type[0] ? perm_output_safe_text(details.type) : "-";

    perm_columns_add(&list->columns, cells);
}


static perm_exit_t
run_access(perm_cli_t *cli)
{
    perm_list_t  list;

    perm_table_warn_unloaded(&cli->table);

    memset(&list, 0, sizeof(perm_list_t));
    list.cli = cli;

    (void) perm_walk(&cli->table, PERM_WALK_ACCESSES, NULL, access_rows, &list);

    if (list.listed == 0) {
        perm_output_warn("no such access");
    }

    return perm_table_found(&cli->table, list.listed);
}


static void
access_rows(void *data, perm_row_t *rows, size_t n)
{
    size_t        i;
    int64_t       since;
    perm_list_t  *list = data;

    since = perm_args_time(&list->cli->args.since, list->cli->table.now);

    for (i = 0; i < n; i++) {

        if (rows[i].last >= since) {
            perm_output_json(stdout, "{%t,'last_access':%n}\n",
                             &rows[i].tuple, rows[i].last);
            list->listed++;
        }
    }

    perm_output_check();
}
