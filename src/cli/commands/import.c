
/*
 * import: grants out of a file into the table.
 */


#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/table/batch.h"
#include "cli/util/line_reader.h"
#include "cli/util/fingerprints.h"


#define OFFSET(member)  offsetof(perm_args_t, member)


static const perm_option_t  import_options[] = {
    { "--replace", NULL, "remove every grant that is not in the file",
      PERM_ARG_FLAG, OFFSET(replace), 0 },
    { "--allow-empty", NULL, "take a file without a grant for a table without "
      "one", PERM_ARG_FLAG, OFFSET(allow_empty), 0 },
    PERM_OPTION_END
};


typedef struct {
    perm_line_reader_t    lines;
    uint64_t              size;        /* of the file, or 0 */
    uint64_t              good;
    uint64_t              bad;
    uint64_t              compared;    /* grants of the table */
    uint64_t              removed;
    uint64_t              settled;     /* lines done for good */
    perm_batch_counts_t   counts;
    perm_batch_t         *batch;
    perm_fingerprints_t   grants;      /* of the file, with --replace */
} perm_import_t;


static perm_wire_command_t  request;


static void
tell_stopped(void *data)
{
    perm_import_t  *import = data;

    fprintf(stderr, "app-permission: the import stopped: all lines to %llu are "
            "done, nothing was removed; it can be run again\n",
            (unsigned long long) import->settled);
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
            perm_fatal(PERM_EXIT_USAGE, "cannot open \"%s\": %m",
                       perm_escape_text(name));
        }
    }

    if (fstat(fd, &st) == 0) {
        if (S_ISDIR(st.st_mode)) {
            perm_fatal(PERM_EXIT_USAGE, "\"%s\" is a directory",
                       name ? perm_escape_text(name) : "standard input");
        }

        if (S_ISREG(st.st_mode)) {
            import->size = (uint64_t) st.st_size;
        }
    }

    perm_line_reader_init(&import->lines, fd, PERM_LINE_MAX);
}


static void
write_batch(perm_cli_t *cli, perm_import_t *import)
{
    uint64_t  total;

    perm_batch_write(cli, import->batch, &import->counts);

    import->good -= import->counts.refused;
    import->bad += import->counts.refused;
    import->counts.refused = 0;

    import->settled = import->lines.number;
    total = 0;

    if (import->size && import->lines.offset) {
        total = (uint64_t) ((double) import->settled * (double) import->size
                            / (double) import->lines.offset);
    }

    perm_progress("imported", import->settled, total);
}


static void
refuse_line(perm_import_t *import, const char *wrong)
{
    import->bad++;
    perm_warn("line %llu: %s: refused",
              (unsigned long long) import->lines.number, wrong);
}


static void
take_line(perm_cli_t *cli, perm_import_t *import, perm_str_t text)
{
    const char         *wrong;
    perm_tuple_t        grant;
    perm_grant_line_t   line;

    wrong = perm_grant_line_parse(text, &line);

    if (wrong != NULL) {
        refuse_line(import, wrong);
        return;
    }

    import->good++;

    while (!perm_batch_add(cli, import->batch, &line, import->lines.number)) {
        write_batch(cli, import);
    }

    if (cli->args.replace) {
        grant.gateway = line.gateway;
        grant.resource = line.resource;
        grant.app = line.app;
        perm_fingerprints_add(&import->grants, &grant);
    }
}


static int
blank(perm_str_t line)
{
    size_t  i;

    for (i = 0; i < line.len; i++) {
        if (line.data[i] != ' ' && line.data[i] != '\t' && line.data[i] != '\r')
        {
            return 0;
        }
    }

    return 1;
}


static void
take_lines(perm_cli_t *cli, perm_import_t *import)
{
    perm_str_t                 line;
    perm_line_reader_status_t  status;

    while (!perm_interrupted) {
        status = perm_line_reader_next(&import->lines, &line);

        if (status == PERM_LINE_READER_END) {
            break;
        }

        if (status == PERM_LINE_READER_ERROR) {
            if (errno == EINTR) {
                continue;
            }

            perm_fatal(PERM_EXIT_NO, "cannot read the file: %m");
        }

        if (status == PERM_LINE_READER_TOO_LONG) {
            refuse_line(import, "longer than 1 MiB");

        } else if (!blank(line)) {
            take_line(cli, import, line);
        }
    }

    write_batch(cli, import);
}


static void
report(const perm_cli_t *cli, const perm_import_t *import)
{
    const perm_batch_counts_t  *counts;

    counts = &import->counts;

    perm_warn("%simported %llu grants: %llu new, %llu changed, %llu as they "
              "were; %llu lines refused, %llu grants removed",
              perm_interrupted ? "interrupted: " : "",
              (unsigned long long) import->good,
              (unsigned long long) counts->added,
              (unsigned long long) counts->changed,
              (unsigned long long) counts->unchanged,
              (unsigned long long) import->bad,
              (unsigned long long) import->removed);

    if (cli->args.json) {
        perm_object_begin(stdout);
        perm_object_number(stdout, "grants", (int64_t) import->good);
        perm_object_number(stdout, "new", (int64_t) counts->added);
        perm_object_number(stdout, "changed", (int64_t) counts->changed);
        perm_object_number(stdout, "unchanged", (int64_t) counts->unchanged);
        perm_object_number(stdout, "refused", (int64_t) import->bad);
        perm_object_number(stdout, "removed", (int64_t) import->removed);
        perm_object_end(stdout, "\n");
    }
}


static int
count_removed(void *data, redisReply *reply)
{
    uint64_t  *removed = data;

    *removed += (reply->type == REDIS_REPLY_INTEGER && reply->integer > 0);

    return 0;
}


static void
remove_rows(perm_cli_t *cli, void *data, perm_row_t *rows, size_t n)
{
    size_t          i;
    perm_tuple_t    grant;
    perm_import_t  *import = data;

    for (i = 0; i < n && !perm_interrupted; i++) {
        grant.gateway = rows[i].gateway;
        grant.resource = rows[i].resource;
        grant.app = rows[i].app;

        if (perm_fingerprints_has(&import->grants, &grant)) {
            continue;
        }

        perm_wire_command_begin(&request, "HDEL");
        perm_wire_command_key(&request, rows[i].key);
        perm_wire_command_add(&request, rows[i].field);
        perm_client_send(cli->client, NULL, &request, 0, count_removed,
                         &import->removed);
    }

    perm_client_wait(cli->client);

    import->compared += n;
    perm_progress("compared", import->compared, 0);
}


/* removes every grant of the table that is not in the file */

static void
replace(perm_cli_t *cli, perm_import_t *import)
{
    perm_walk_t  walk;

    perm_fingerprints_sort(&import->grants);

    memset(&walk, 0, sizeof(perm_walk_t));
    walk.unreadable = 1;
    walk.rows = remove_rows;
    walk.data = import;

    (void) perm_walk(cli, &walk);
}


/* the rest of the file's lines are written: what is not in it may go */

static perm_exit_t
finish(perm_cli_t *cli, perm_import_t *import)
{
    int  complete;

    complete = 1;

    if (import->good == 0 && !cli->args.allow_empty) {
        perm_warn("the file holds no grant: nothing was done; --allow-empty "
                  "takes it as it is");
        return PERM_EXIT_NO;
    }

    if (cli->args.replace) {
        if (import->bad) {
            perm_warn("nothing was removed, as lines were refused");
            complete = 0;

        } else {
            replace(cli, import);
        }
    }

    if (!perm_interrupted) {
        perm_table_mark(cli);
    }

    return (complete && import->bad == 0) ? PERM_EXIT_DONE : PERM_EXIT_NO;
}


static perm_exit_t
run_import(perm_cli_t *cli)
{
    perm_exit_t    status;
    perm_import_t  import;

    memset(&import, 0, sizeof(perm_import_t));

    open_file(&import, cli->args.file);
    import.batch = perm_batch_new();

    perm_catch_interrupt();
    perm_at_fatal(tell_stopped, &import);

    take_lines(cli, &import);

    if (perm_interrupted) {
        tell_stopped(&import);
        status = PERM_EXIT_NO;

    } else {
        status = finish(cli, &import);
    }

    perm_at_fatal(NULL, NULL);
    report(cli, &import);

    perm_line_reader_free(&import.lines);
    perm_batch_free(import.batch);

    free(import.grants.list);

    return status;
}


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
