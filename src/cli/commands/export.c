
/*
 * export: the grant table as lines that import takes.
 */


#include <string.h>

#include "cli/commands/command.h"
#include "cli/table/grant_line.h"
#include "cli/util/atomic_file.h"


typedef struct {
    perm_atomic_file_t  out;
    perm_count_t            written;
    perm_count_t            skipped;  /* too long for a line */
    perm_count_t            cut;      /* with members that a line cannot have */
} perm_export_t;


static perm_exit_t run_export(perm_cli_t *cli);
static void write_rows(void *data, perm_row_t *rows, size_t n);


const perm_command_t  perm_export_command = {
    "export", "[FILE]",
    "write all grants as JSON lines",
    "Writes a line for each grant, as import takes them, to FILE or to\n"
    "standard output:\n"
    "\n"
    "  {\"gateway\":\"g\",\"resource\":null,\"app\":\"a\","
    "\"expires\":1800000000,\n"
    "   \"type\":\"apply\"}\n"
    "\n"
    "(on one line) with every other member of the value in Redis. FILE\n"
    "appears when all of it is written. Unreadable values are named and\n"
    "left out, and so is what a line cannot hold; the exit status is then 1\n"
    "if a readable grant is missing.",
    NULL, 1, 1, run_export
};


static perm_exit_t
run_export(perm_cli_t *cli)
{
    perm_count_t       unreadable;
    perm_export_t  export;

    memset(&export, 0, sizeof(perm_export_t));

    perm_table_warn_unloaded(&cli->table);
    perm_walk_catch_interrupt();
    perm_atomic_file_open(&export.out, cli->args.file);

    unreadable = perm_walk(&cli->table, 0, &perm_walk_all, write_rows,
                           &export);

    if (perm_walk_interrupted) {
        perm_atomic_file_abandon(&export.out);
        perm_output_warn("interrupted after %llu grants; no file was written",
                         export.written);
        return PERM_EXIT_NO;
    }

    perm_atomic_file_commit(&export.out);

    if (export.cut) {
        perm_output_warn("%llu grants have members named \"gateway\", "
                         "\"resource\" or \"app\", which a line cannot have: "
                         "they are left out", export.cut);
    }

    if (export.skipped) {
        perm_output_warn("%llu grants are not in the output as they are too "
                         "long for a line; \"import --replace\" of it would "
                         "remove them", export.skipped);
    }

    perm_output_warn("exported %llu grants, skipped %llu unreadable ones",
                     export.written, unreadable);

    return export.skipped ? PERM_EXIT_NO
                          : perm_table_found(&cli->table,
                                             export.written + unreadable);
}


static void
write_rows(void *data, perm_row_t *rows, size_t n)
{
    int             rc;
    size_t          i;
    perm_export_t  *export = data;

    for (i = 0; i < n; i++) {
        rc = perm_grant_line_print(export->out.file, &rows[i]);

        if (rc >= 0) {
            export->written++;
            export->cut += (perm_count_t) rc;
            continue;
        }

        export->skipped++;
        perm_output_warn("\"%s\", field \"%s\": too long, or too many "
                         "members, for a line; skipped",
                         perm_output_safe(rows[i].key),
                         perm_output_safe(rows[i].field));
    }

    if (ferror(export->out.file)) {
        perm_output_fatal(PERM_EXIT_NO, "cannot write \"%s\": %m",
                          perm_output_safe_text(export->out.name));
    }

    perm_output_progress("exported", export->written, 0);
}
