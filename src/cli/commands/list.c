
/*
 * list and access: grants with their last accesses, and accesses alone.
 */


#include <stdlib.h>
#include <string.h>

#include "cli/commands/command.h"
#include "cli/table/walk.h"
#include "cli/util/alloc.h"
#include "core/grant.h"


#define COLUMNS  6
#define SORTED   3      /* of them, from the left */


typedef struct {
    const perm_cli_t  *cli;
    perm_count_t       listed;

    /* for people: lines of cells, each with a NUL, and the widest of each */

    char             **lines;
    size_t             nlines;
    size_t             room;
    int                widths[COLUMNS];
} perm_list_t;


static perm_exit_t run_list(perm_cli_t *cli);
static void list_rows(void *data, perm_row_t *rows, size_t n);
static void list_grant(perm_list_t *list, const perm_row_t *row);
static void add_line(perm_list_t *list, const char *const cells[COLUMNS]);
static void print_lines(perm_list_t *list);
static int compare(const void *a, const void *b);
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
      PERM_OPTION(TIME, unused_since) },
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
      PERM_OPTION(TIME, since) },
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

    perm_table_warn_unloaded(&cli->table);

    memset(&list, 0, sizeof(perm_list_t));
    list.cli = cli;

    (void) perm_walk(&cli->table, PERM_WALK_LAST, &cli->args.tuple, list_rows,
                     &list);

    if (list.listed == 0) {
        perm_output_warn("no such grant");
        return PERM_EXIT_NO;
    }

    print_lines(&list);

    return PERM_EXIT_DONE;
}


static void
list_rows(void *data, perm_row_t *rows, size_t n)
{
    size_t              i;
    perm_list_t        *list = data;
    const perm_args_t  *args;

    args = &list->cli->args;

    for (i = 0; i < n; i++) {

        if ((args->expired
             && perm_grant_live(rows[i].grant.expires, list->cli->table.now))
            || (args->unused_since >= 0 && rows[i].last >= args->unused_since)
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
    char                  names[SORTED][PERM_RESOURCE_MAX + 1];
    const char           *cells[COLUMNS];
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
    cells[5] = perm_output_safe_text(details.type);

    add_line(list, cells);
}


static void
add_line(perm_list_t *list, const char *const cells[COLUMNS])
{
    char    *line;
    size_t   i, len;

    for (len = 0, i = 0; i < COLUMNS; i++) {
        len += strlen(cells[i]) + 1;
    }

    list->lines = perm_alloc_room(list->lines, &list->room, list->nlines + 1,
                                  sizeof(char *));
    line = perm_alloc(len);
    list->lines[list->nlines++] = line;

    for (i = 0; i < COLUMNS; i++) {
        len = strlen(cells[i]);
        memcpy(line, cells[i], len + 1);
        line += len + 1;

        if ((int) len > list->widths[i]) {
            list->widths[i] = (int) len;
        }
    }
}


static void
print_lines(perm_list_t *list)
{
    size_t       i, j, titled;
    const char  *cell;

    static const char *const  titles[COLUMNS] = {
        "GATEWAY", "RESOURCE", "APP", "EXPIRES", "LAST ACCESS", "TYPE"
    };

    if (list->nlines == 0) {
        return;
    }

    qsort(list->lines, list->nlines, sizeof(char *), compare);

    add_line(list, titles);
    titled = list->nlines - 1;

    for (i = 0; i < list->nlines; i++) {

        /* the titles have come last, and stand first */

        cell = list->lines[i ? i - 1 : titled];

        for (j = 0; j < COLUMNS; j++) {
            printf("%-*s%s", j + 1 < COLUMNS ? list->widths[j] : 0, cell,
                   j + 1 < COLUMNS ? "  " : "\n");
            cell += strlen(cell) + 1;
        }

        if (i % 1000 == 0) {
            perm_output_check();
        }
    }

    for (i = 0; i < list->nlines; i++) {
        free(list->lines[i]);
    }

    free(list->lines);
}


static int
compare(const void *a, const void *b)
{
    int          order;
    size_t       i;
    const char  *one, *two;

    one = *(const char *const *) a;
    two = *(const char *const *) b;

    for (i = 0; i < SORTED; i++) {
        order = strcmp(one, two);

        if (order) {
            return order;
        }

        one += strlen(one) + 1;
        two += strlen(two) + 1;
    }

    return 0;
}


static perm_exit_t
run_access(perm_cli_t *cli)
{
    perm_table_warn_unloaded(&cli->table);

    (void) perm_walk(&cli->table, PERM_WALK_ACCESSES, NULL, access_rows, cli);

    return PERM_EXIT_DONE;
}


static void
access_rows(void *data, perm_row_t *rows, size_t n)
{
    size_t             i;
    const perm_cli_t  *cli = data;

    for (i = 0; i < n; i++) {

        if (rows[i].last >= cli->args.since) {
            perm_output_json(stdout, "{%t,'last_access':%n}\n",
                             &rows[i].tuple, rows[i].last);
        }
    }

    perm_output_check();
}
