
/*
 * import: grants out of a file into the table.
 */


#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/commands/command.h"
#include "cli/table/batch.h"
#include "cli/util/fingerprints.h"
#include "cli/util/line_reader.h"


typedef struct {
    perm_cli_t            *cli;
    perm_line_reader_t     lines;
    uint64_t               size;        /* of the file, or 0 */
    uint64_t               good;        /* lines */
    uint64_t               bad;
    uint64_t               settled;     /* lines done for good */
    uint64_t               compared;    /* grants of the table */
    uint64_t               removed;
    perm_batch_counts_t    counts;
    perm_batch_t          *batch;
    perm_fingerprints_t    grants;      /* of the file, with --replace */
} perm_import_t;


static perm_exit_t run_import(perm_cli_t *cli);
static void open_file(perm_import_t *import, const char *name);
static void take_lines(perm_import_t *import);
static int is_blank(perm_str_t line);
static void take_line(perm_import_t *import, perm_str_t text);
static void refuse_line(perm_import_t *import, const char *wrong);
static void write_batch(perm_import_t *import);
static perm_exit_t finish(perm_import_t *import);
static void replace(perm_import_t *import);
static void remove_rows(void *data, perm_row_t *rows, size_t n);
static void warn_stopped(void *data);
static void report(const perm_import_t *import);


static const perm_option_t  import_options[] = {
    { "--replace", NULL, "remove every grant that is not in the file",
      PERM_OPTION(FLAG, replace) },
    { "--allow-empty", NULL, "take a file without a grant for a table without "
      "one", PERM_OPTION(FLAG, allow_empty) },
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
    "(on one line). Without \"resource\", or with null, it is for the whole\n"
    "gateway; \"expires\" may be RFC 3339 in a string; \"type\" may be\n"
    "absent; any other member is kept with the grant. A bad line is\n"
    "reported with its number and refused, and the rest is done; the exit\n"
    "status is then 1. With --replace, when every line was good, the\n"
    "grants that are not in the file are removed after all of it is\n"
    "written.",
    import_options, 1, 1, run_import
};


static perm_exit_t
run_import(perm_cli_t *cli)
{
    perm_exit_t    status;
    perm_import_t  import;

    memset(&import, 0, sizeof(perm_import_t));
    import.cli = cli;

    open_file(&import, cli->args.file);
    import.batch = perm_batch_new();

    perm_walk_catch_interrupt();
    perm_output_at_fatal(warn_stopped, &import);

    take_lines(&import);

    if (perm_walk_interrupted) {
        warn_stopped(&import);
        status = PERM_EXIT_NO;

    } else {
        status = finish(&import);
    }

    perm_output_at_fatal(NULL, NULL);
    report(&import);

    perm_line_reader_free(&import.lines);
    perm_batch_free(import.batch);
    free(import.grants.list);

    return status;
}


static void
open_file(perm_import_t *import, const char *name)
{
    int          fd;
    struct stat  st;

    fd = STDIN_FILENO;

    if (name != NULL && strcmp(name, "-") != 0) {
        fd = open(name, O_RDONLY | O_CLOEXEC);

        if (fd == -1) {
            perm_output_fatal(PERM_EXIT_USAGE, "cannot open \"%s\": %m",
                              perm_output_safe_text(name));
        }
    }

    if (fstat(fd, &st) == 0) {
        if (S_ISDIR(st.st_mode)) {
            perm_output_fatal(PERM_EXIT_USAGE, "\"%s\" is a directory",
                              name ? perm_output_safe_text(name)
                                   : "standard input");
        }

        if (S_ISREG(st.st_mode)) {
            import->size = (uint64_t) st.st_size;
        }
    }

    perm_line_reader_init(&import->lines, fd, PERM_LINE_MAX);
}


static void
take_lines(perm_import_t *import)
{
    perm_str_t                 line;
    perm_line_reader_status_t  status;

    while (!perm_walk_interrupted) {
        status = perm_line_reader_next(&import->lines, &line);

        if (status == PERM_LINE_READER_END) {
            break;
        }

        if (status == PERM_LINE_READER_ERROR && errno == EINTR) {
            continue;
        }

        if (status == PERM_LINE_READER_ERROR) {
            perm_output_fatal(PERM_EXIT_NO, "cannot read the file: %m");
        }

        if (status == PERM_LINE_READER_TOO_LONG) {
            refuse_line(import, "longer than 1 MiB");

        } else if (!is_blank(line)) {
            take_line(import, line);
        }
    }

    write_batch(import);
}


static int
is_blank(perm_str_t line)
{
    while (line.len && memchr(" \t\r", line.data[line.len - 1], 3)) {
        line.len--;
    }

    return line.len == 0;
}


static void
take_line(perm_import_t *import, perm_str_t text)
{
    const char         *wrong;
    perm_grant_line_t   line;

    wrong = perm_grant_line_parse(text, &line);

    if (wrong != NULL) {
        refuse_line(import, wrong);
        return;
    }

    import->good++;

    while (!perm_batch_add(&import->cli->table, import->batch, &line,
                           import->lines.number))
    {
        write_batch(import);
    }

    if (import->cli->args.replace) {
        perm_fingerprints_add(&import->grants, &line.tuple);
    }
}


static void
refuse_line(perm_import_t *import, const char *wrong)
{
    import->bad++;
    perm_output_warn("line %llu: %s: refused",
                     (unsigned long long) import->lines.number, wrong);
}


static void
write_batch(perm_import_t *import)
{
    uint64_t  total;

    perm_batch_write(&import->cli->table, import->batch, &import->counts);

    import->good -= import->counts.refused;
    import->bad += import->counts.refused;
    import->counts.refused = 0;

    import->settled = import->lines.number;
    total = 0;

    if (import->size && import->lines.offset) {
        total = (uint64_t) ((double) import->settled * (double) import->size
                            / (double) import->lines.offset);
    }

    perm_output_progress("imported", import->settled, total);
}


/* every line is written: what is not in the file may go */

static perm_exit_t
finish(perm_import_t *import)
{
    if (import->good == 0 && !import->cli->args.allow_empty) {
        perm_output_warn("the file holds no grant: nothing was done; "
                         "--allow-empty takes it as it is");
        return PERM_EXIT_NO;
    }

    if (import->cli->args.replace && import->bad) {
        perm_output_warn("nothing was removed, as lines were refused");

    } else if (import->cli->args.replace) {
        replace(import);
    }

    if (!perm_walk_interrupted) {
        perm_table_mark(&import->cli->table);
    }

    return import->bad ? PERM_EXIT_NO : PERM_EXIT_DONE;
}


/* removes every grant of the table that is not in the file */

static void
replace(perm_import_t *import)
{
    perm_walk_t  walk;

    perm_fingerprints_sort(&import->grants);

    memset(&walk, 0, sizeof(perm_walk_t));
    walk.unreadable = 1;
    walk.rows = remove_rows;
    walk.data = import;

    (void) perm_walk(&import->cli->table, &walk);
}


static void
remove_rows(void *data, perm_row_t *rows, size_t n)
{
    size_t          i;
    perm_import_t  *import = data;
    perm_table_t   *table = &import->cli->table;

    for (i = 0; i < n && !perm_walk_interrupted; i++) {
        if (!perm_fingerprints_has(&import->grants, &rows[i].tuple)) {
            perm_table_send(table, 0, perm_table_count, &import->removed,
                            "HDEL %k %b", rows[i].key, rows[i].field);
        }
    }

    perm_client_wait(table->client);

    import->compared += n;
    perm_output_progress("compared", import->compared, 0);
}


static void
warn_stopped(void *data)
{
    const perm_import_t  *import = data;

    fprintf(stderr, "app-permission: the import stopped: all lines to %llu "
            "are done, ", (unsigned long long) import->settled);

    if (import->removed) {
        fprintf(stderr, "%llu grants were removed",
                (unsigned long long) import->removed);
    } else {
        fprintf(stderr, "nothing was removed");
    }

    fprintf(stderr, "; it can be run again\n");
}


static void
report(const perm_import_t *import)
{
    const perm_batch_counts_t  *counts;

    counts = &import->counts;

    perm_output_warn("%simported %llu grants: %llu new, %llu changed, %llu as "
                     "they were; %llu lines refused, %llu grants removed",
                     perm_walk_interrupted ? "interrupted: " : "",
                     (unsigned long long) import->good,
                     (unsigned long long) counts->added,
                     (unsigned long long) counts->changed,
                     (unsigned long long) counts->unchanged,
                     (unsigned long long) import->bad,
                     (unsigned long long) import->removed);

    if (import->cli->args.json) {
        perm_output_open(stdout, NULL, '{');
        perm_output_number(stdout, "grants", (int64_t) import->good);
        perm_output_number(stdout, "new", (int64_t) counts->added);
        perm_output_number(stdout, "changed", (int64_t) counts->changed);
        perm_output_number(stdout, "unchanged", (int64_t) counts->unchanged);
        perm_output_number(stdout, "refused", (int64_t) import->bad);
        perm_output_number(stdout, "removed", (int64_t) import->removed);
        perm_output_close(stdout, '}');
    }
}
