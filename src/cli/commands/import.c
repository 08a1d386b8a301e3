
/*
 * import: grants out of a file into the table.
 */


#include <stdlib.h>
#include <string.h>

#include "cli/commands/import_priv.h"
#include "cli/util/alloc.h"
#include "core/grant.h"
#include "core/json.h"


static perm_exit_t run_import(perm_cli_t *cli);
static void gather(perm_import_t *import);
static void take_items(perm_import_t *import);
static void take_item(perm_import_t *import);
static void refuse_item(perm_import_t *import,
    const perm_grant_line_error_t *error);
static void refuse_written(void *data, perm_count_t number, const char *wrong);
static void print_changed(void *data, const perm_tuple_t *grant,
    perm_str_t old, perm_str_t value);
static void write_batch(perm_import_t *import, perm_count_t last);
static perm_exit_t finish(perm_import_t *import);
static void report_repeats(const perm_import_t *import);
static void warn_stopped(void *data);
static void report(const perm_import_t *import);


static const perm_option_t  import_options[] = {
    { "--replace", NULL, "remove every grant that is not in the file",
      PERM_OPTION(FLAG, replace) },
    { "--max-bad", "N", "remove none when more lines were refused, 0",
      PERM_OPTION(NUMBER, max_bad) },
    { "--max-removals", "N|P%", "remove none when more would go, 20% and at "
      "least 100", PERM_OPTION(LIMIT, max_removals) },
    { "--allow-empty", NULL, "take a file without a grant for a table without "
      "one", PERM_OPTION(FLAG, allow_empty) },
    { "--dry-run", NULL, "write nothing, and say what would be",
      PERM_OPTION(FLAG, dry_run) },
    PERM_OPTION_END
};


const perm_command_t  perm_import_command = {
    "import", "[FILE]",
    "write grants from JSON lines",
    "Reads a grant a line from FILE or standard input:\n"
    "\n"
    "  {\"gateway\":\"g\",\"resource\":\"r\",\"app\":\"a\","
    "\"expires\":1800000000,\n"
    "   \"type\":\"apply\"}\n"
    "\n"
    "(on one line). Without \"resource\" it is for the whole gateway; null is\n"
    "refused. \"expires\" may be a date or RFC 3339 in a string; \"type\" may "
    "be\n"
    "absent; any other member is kept with the grant. The JSON array that\n"
    "the dashboard of the BlueKing gateway exports is taken, too. A bad\n"
    "line is reported with its number and refused, and the rest is done;\n"
    "the exit status is then 1. With --replace the grants that are not in\n"
    "the file are removed after all of it is written. With --dry-run and\n"
    "--json there is a line for each grant that would be added, changed or\n"
    "removed, or kept as the removal is refused; the last line says why\n"
    "(\"error\"). An older copy shortens grants that were renewed since, and\n"
    "brings back those that were revoked: it is counted what ends earlier\n"
    "than before (\"shortened\"), and what had ended and lives again\n"
    "(\"revived\").",
    import_options, 0, run_import
};


static perm_exit_t
run_import(perm_cli_t *cli)
{
    perm_exit_t     status;
    perm_import_t  *import;

    import = perm_alloc(sizeof(perm_import_t));
    memset(import, 0, sizeof(perm_import_t));
    import->cli = cli;

    import->conf.dry_run = cli->args.dry_run;
    import->conf.data = import;
    import->conf.refused = refuse_written;

    if (cli->args.dry_run && cli->args.json) {
        import->conf.changed = print_changed;
    }

    import->file = perm_grant_file_open(cli->args.file);
    perm_table_connect(&cli->table, &cli->servers);

    import->bad.file = import->file->name;
    import->batch = perm_batch_new(&import->conf);
    import->grants = perm_grant_set_new();

    perm_walk_catch_interrupt();
    perm_output_at_fatal(warn_stopped, import);

    gather(import);
    take_items(import);
    perm_bad_lines_report(&import->bad);

    if (perm_walk_interrupted) {
        warn_stopped(import);
        status = PERM_EXIT_NO;

    } else {
        status = finish(import);
    }

    perm_output_at_fatal(NULL, NULL);
    report(import);

    perm_grant_set_free(import->grants);
    perm_grant_file_close(import->file);
    free(import->batch);
    free(import);

    return status;
}


/* which grants come again: an end that a later line replaces is not written */

static void
gather(perm_import_t *import)
{
    perm_grant_line_t         line;
    perm_grant_line_error_t   error;

    while (perm_grant_file_next(import->file, &import->item)) {

        if (import->item.wrong == NULL
            && perm_grant_line_parse(import->item.text, &line, &error) == 0)
        {
            perm_grant_set_add(import->grants, &line.tuple, line.expires,
                               ++import->total);
        }
    }

    import->item.line = 0;
    perm_grant_set_sort(import->grants, &import->repeats);
    perm_grant_file_rewind(import->file);
}


static void
take_items(perm_import_t *import)
{
    perm_count_t             last;
    perm_grant_line_error_t  error;

    last = 0;

    while (perm_grant_file_next(import->file, &import->item)) {
        last = import->item.line;

        if (import->item.wrong == NULL) {
            take_item(import);
            continue;
        }

        memset(&error, 0, sizeof(error));
        error.wrong = import->item.wrong;
        refuse_item(import, &error);
    }

    /* not item.line: an interrupt leaves there a line that was not taken */

    write_batch(import, last);

    if (import->number != import->total && !perm_walk_interrupted) {
        perm_output_fatal(PERM_EXIT_NO, "\"%s\" changed while it was read: "
                          "import it again",
                          perm_output_safe_text(import->file->name));
    }
}


static void
take_item(perm_import_t *import)
{
    char                      end[32], *value;
    int64_t                   expires;
    perm_grant_line_t         line;
    const perm_grant_item_t  *item;
    perm_grant_line_error_t   error;

    item = &import->item;
    value = NULL;

    if (perm_grant_line_parse(item->text, &line, &error) != 0) {
        refuse_item(import, &error);
        return;
    }

    import->good++;
    import->number++;

    if (import->number == import->repeats.first) {
        import->first = item->line;

    } else if (import->number == import->repeats.second) {
        import->second = item->line;
    }

    if (import->repeats.lines
        && perm_grant_set_later(import->grants, &line.tuple, import->number,
                                &expires))
    {
        /* its members count, but its end does not */

        if (import->conf.dry_run) {
            import->counts.unchanged++;
            return;
        }

        sprintf(end, "{\"expires\":%lld}", (long long) expires);
        value = perm_alloc_check(perm_json_merge(line.value, perm_str(end)));
        line.value = perm_str(value);
    }

    while (!perm_batch_add(&import->cli->table, import->batch, &line,
                           item->line))
    {
        write_batch(import, item->line - 1);
    }

    free(value);
}


/* the place of the error is in the text of the item, which may have lines */

static void
refuse_item(perm_import_t *import, const perm_grant_line_error_t *error)
{
    size_t                    i, column;
    perm_count_t              line;
    const perm_grant_item_t  *item;

    item = &import->item;
    line = item->line;
    column = item->column;

    for (i = 0; i < error->at; i++, column++) {
        if (item->text.data[i] == '\n') {
            line++;
            column = 0;
        }
    }

    import->cut |= import->file->open;
    perm_bad_lines_add(&import->bad, line, column, error);
}


static void
refuse_written(void *data, perm_count_t number, const char *wrong)
{
    perm_import_t            *import = data;
    perm_grant_line_error_t   error;

    memset(&error, 0, sizeof(error));
    error.wrong = wrong;

    import->good--;
    perm_bad_lines_add(&import->bad, number, 0, &error);
}


static void
print_changed(void *data, const perm_tuple_t *grant, perm_str_t old,
    perm_str_t value)
{
    const perm_import_t  *import = data;

    static const char *const  ends[] = {
        [PERM_BATCH_END_OTHER] = "",
        [PERM_BATCH_SHORTENED] = ",'shortened':true",
        [PERM_BATCH_REVIVED] = ",'revived':true"
    };

    perm_output_json(stdout, "{'result':%s,%g,'expires':%n",
                     old.data ? "changed" : "new", grant,
                     perm_grant_expires(value));

    if (old.data != NULL) {
        perm_output_json(stdout, ",'was':%n", perm_grant_expires(old));
        perm_output_json(stdout, ends[perm_batch_end(old, value,
                                                import->cli->table.now)]);
    }

    perm_output_json(stdout, "}\n");
}


/* last: the number of the last line that is in the batch */

static void
write_batch(perm_import_t *import, perm_count_t last)
{
    perm_grant_file_t  *file;

    file = import->file;
    perm_batch_write(&import->cli->table, import->batch, &import->counts);

    if (import->conf.changed != NULL) {
        perm_output_check();
    }

    import->settled = last;
    perm_output_progress("imported", import->good, file->offset
                         ? (double) import->good * file->size / file->offset
                         : 0);
}


/* all lines are written: now the grants that are not in the file go */

static perm_exit_t
finish(perm_import_t *import)
{
    perm_table_t       *table;
    const perm_args_t  *args;

    args = &import->cli->args;
    table = &import->cli->table;

    if (import->good == 0 && !args->allow_empty) {
        perm_import_refuse(import, "the file holds no grant: nothing was "
                           "done; --allow-empty takes it as it is%s",
                           args->replace ? ", and with \"--max-removals 100%\" "
                                           "all grants are removed" : "");
        return PERM_EXIT_NO;
    }

    report_repeats(import);

    if (args->replace) {
        perm_import_replace(import);
    }

    if (table->loaded || perm_walk_interrupted) {
        /* it is, or stays as it is */

    } else if (import->cut) {
        perm_import_refuse(import, "the table is not marked as loaded: the "
                           "file ends within a line, so that grants may be "
                           "missing");

    } else if (args->dry_run) {
        perm_output_warn("the table would be marked as loaded");

    } else {
        perm_table_mark(table);
    }

    return (import->bad.n || import->error[0]) ? PERM_EXIT_NO : PERM_EXIT_DONE;
}


static void
report_repeats(const perm_import_t *import)
{
    if (import->repeats.other_ends) {
        perm_output_warn("%s: %s a grant of an earlier line with another end, "
                         "as line %llu does that of line %llu: the last one "
                         "counts",
                         perm_output_safe_text(import->file->name),
                         perm_output_plural(import->repeats.other_ends,
                                            "line repeats", "lines repeat"),
                         import->second, import->first);
    }
}


static void
warn_stopped(void *data)
{
    char                  lines[64];
    const perm_import_t  *import = data;

    if (import->conf.dry_run) {
        return;
    }

    snprintf(lines, sizeof(lines), import->settled ? "all lines to %llu are"
             : "no line is known to be", import->settled);

    perm_output_warn("the import stopped: %s done, %s removed; it can be run "
                     "again", lines, import->removed
                     ? perm_output_plural(import->removed, "grant was",
                                          "grants were") : "nothing was");
}


static void
report(const perm_import_t *import)
{
    char                        ends[128];
    perm_count_t                removed;
    const perm_batch_counts_t  *counts;

    counts = &import->counts;
    ends[0] = '\0';

    if (counts->shortened || counts->revived) {
        snprintf(ends, sizeof(ends), " (%llu shortened, %s)",
                 counts->shortened,
                 perm_output_plural(counts->revived, "ended one lives again",
                                    "ended ones live again"));
    }

    if (counts->shortened) {
        perm_output_warn("%s earlier than before: is the file an older copy? "
                         "It undoes renewals since then, and brings back "
                         "grants that were revoked; --dry-run --json names "
                         "them", perm_output_plural(counts->shortened,
                                                    "grant ends",
                                                    "grants end"));
    }

    removed = import->conf.dry_run && import->removals >= import->absent
              ? import->absent : import->removed;

    perm_output_warn("%s%s%s: %llu new, %llu changed%s, %llu as they were; %s "
                     "refused, %s%s removed",
                     perm_walk_interrupted ? "interrupted: " : "",
                     import->conf.dry_run ? "dry run, nothing was written: "
                                          : "imported ",
                     perm_output_count(import->good, "grant"), counts->added,
                     counts->changed, ends, counts->unchanged,
                     perm_output_count(import->bad.n, "line"),
                     perm_output_count(removed, "grant"),
                     import->conf.dry_run ? " would be" : "");

    if (import->cli->args.json) {
        perm_output_json(stdout, "{'grants':%n,'new':%n,'changed':%n,"
                         "'shortened':%n,'revived':%n,'unchanged':%n,"
                         "'refused':%n,'removed':%n",
                         import->good, counts->added, counts->changed,
                         counts->shortened, counts->revived,
                         counts->unchanged, import->bad.n, removed);
        perm_output_json(stdout, import->error[0] ? ",'error':%s}\n" : "}\n",
                         import->error);
    }
}
