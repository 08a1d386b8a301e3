
/*
 * init: a new table, or one that was written without this program, counts as
 * loaded from now on.
 */


#include "cli/commands/command.h"
#include "cli/table/walk.h"


static perm_exit_t run_init(perm_cli_t *cli);
static void count_rows(void *data, perm_row_t *rows, size_t n);


static const perm_option_t  init_options[] = { PERM_OPTION_END };


const perm_command_t  perm_init_command = {
    "init", "",
    "begin a new table: mark it as loaded",
    "Marks the table as loaded, and says how many grants are in it. From then\n"
    "on every app without a grant is refused, where before nothing was known\n"
    "and calls got 503 or went on by what the gateways remember. If a table\n"
    "was lost, import a copy of it instead: import marks the table, too. A\n"
    "table that is loaded already stays as it is.",
    init_options, 1, run_init
};


static perm_exit_t
run_init(perm_cli_t *cli)
{
    int            loaded, named;
    perm_count_t   grants, unreadable;
    perm_table_t  *table;

    table = &cli->table;
    loaded = table->loaded;
    named = table->named;
    grants = 0;

    unreadable = perm_walk(table, PERM_WALK_UNREADABLE, NULL, count_rows,
                           &grants).unreadable;
    perm_table_mark(table);

    if (cli->args.json) {
        perm_output_json(stdout, "{'result':%s,'grants':%n,'unreadable':%n}\n",
                         loaded ? "unchanged" : "marked",
                         (int64_t) grants,
                         (int64_t) unreadable);
    }

    perm_output_warn("%s: it has %s, of which %llu cannot be read%s",
                     !loaded ? "the table is marked as loaded" : named
                     ? "the table is loaded already, nothing was changed"
                     : "the table is loaded already, and has an id now",
                     perm_output_count(grants, "grant"), unreadable,
                     loaded ? "" : ". From now on every app without a grant is "
                     "refused");

    return PERM_EXIT_DONE;
}


static void
count_rows(void *data, perm_row_t *rows, size_t n)
{
    perm_count_t  *grants = data;

    (void) rows;
    *grants += n;

    perm_output_progress("counted", *grants, 0);
}
