
/*
 * access: the last accesses as JSON lines, for another renewal job.
 */


#include "cli/commands/command.h"
#include "cli/table/walk.h"


static perm_exit_t run_access(perm_cli_t *cli);
static void print_rows(void *data, perm_row_t *rows, size_t n);


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
    access_options, 1, 0, run_access
};


static perm_exit_t
run_access(perm_cli_t *cli)
{
    perm_table_warn_unloaded(&cli->table);

    (void) perm_walk(&cli->table, PERM_WALK_ACCESSES, NULL, print_rows, cli);

    return PERM_EXIT_DONE;
}


static void
print_rows(void *data, perm_row_t *rows, size_t n)
{
    size_t             i;
    const perm_cli_t  *cli = data;

    for (i = 0; i < n; i++) {

        if (rows[i].last >= cli->args.since) {
            perm_output_open(stdout, NULL, '{');
            perm_output_tuple(stdout, &rows[i].tuple);
            perm_output_number(stdout, "last_access", rows[i].last);
            perm_output_close(stdout, '}');
        }
    }

    perm_output_check();
}
