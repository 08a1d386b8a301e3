
/*
 * import: grants out of a file into the table.
 */


#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <openssl/evp.h>

#include "cli/commands/command.h"
#include "cli/table/batch.h"
#include "cli/util/alloc.h"


#define FINGERPRINT_SIZE  16   /* bytes of SHA-256 that stand for a grant */


typedef struct {
    unsigned char          bytes[FINGERPRINT_SIZE];
} perm_fingerprint_t;


typedef struct {
    perm_cli_t            *cli;
    FILE                  *file;
    perm_count_t           size;        /* of the file, or 0 */
    perm_count_t           offset;      /* bytes read */
    perm_count_t           number;      /* of the line, from 1 */
    perm_count_t           settled;     /* lines done for good */
    perm_count_t           good;        /* lines */
    perm_count_t           bad;
    perm_count_t           compared;    /* grants of the table */
    perm_count_t           removed;
    perm_batch_counts_t    counts;
    perm_batch_t          *batch;
    perm_fingerprint_t    *grants;      /* of the file, with --replace */
    size_t                 ngrants;
    size_t                 room;        /* for grants */
    char                   line[PERM_LINE_MAX + 1];
} perm_import_t;


static perm_exit_t run_import(perm_cli_t *cli);
static void open_file(perm_import_t *import, const char *name);
static void take_lines(perm_import_t *import);
static int read_line(perm_import_t *import, size_t *len);
static void take_line(perm_import_t *import, perm_str_t text);
static void refuse_line(perm_import_t *import, const char *wrong);
static void write_batch(perm_import_t *import, perm_count_t last);
static perm_exit_t finish(perm_import_t *import);
static void remove_rows(void *data, perm_row_t *rows, size_t n);
static perm_fingerprint_t fingerprint(const perm_tuple_t *grant);
static int compare(const void *a, const void *b);
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
    import_options, 1, run_import
};


static perm_exit_t
run_import(perm_cli_t *cli)
{
    perm_exit_t     status;
    perm_import_t  *import;

    import = perm_alloc(sizeof(perm_import_t));
    memset(import, 0, sizeof(perm_import_t));
    import->cli = cli;

    open_file(import, cli->args.file);
    import->batch = perm_batch_new();

    perm_walk_catch_interrupt();
    perm_output_at_fatal(warn_stopped, import);

    take_lines(import);

    if (perm_walk_interrupted) {
        warn_stopped(import);
        status = PERM_EXIT_NO;

    } else {
        status = finish(import);
    }

    perm_output_at_fatal(NULL, NULL);
    report(import);

    free(import->batch);
    free(import->grants);
    free(import);

    return status;
}


static void
open_file(perm_import_t *import, const char *name)
{
    struct stat  st;

    import->file = (name == NULL || strcmp(name, "-") == 0)
                   ? stdin : fopen(name, "re");

    if (import->file == NULL) {
        perm_output_fatal(PERM_EXIT_USAGE, "cannot open \"%s\": %m",
                          perm_output_safe_text(name));
    }

    if (fstat(fileno(import->file), &st) != 0) {
        return;
    }

    if (S_ISDIR(st.st_mode)) {
        perm_output_fatal(PERM_EXIT_USAGE, "\"%s\" is a directory",
                          name ? perm_output_safe_text(name)
                               : "standard input");
    }

    if (S_ISREG(st.st_mode)) {
        import->size = (perm_count_t) st.st_size;
    }
}


static void
take_lines(perm_import_t *import)
{
    size_t      len;
    perm_str_t  line;

    while (!perm_walk_interrupted && read_line(import, &len)) {

        if (len > PERM_LINE_MAX) {
            refuse_line(import, "longer than 1 MiB");
            continue;
        }

        line.data = import->line;
        line.len = len;
        import->line[len] = '\0';

        if (strspn(line.data, " \t\r") != len) {
            take_line(import, line);
        }
    }

    write_batch(import, import->number);
}


/*
 * Reads the next line, and at most PERM_LINE_MAX bytes of it into
 * import->line; *len is its length.  Returns 0 at the end of the file and
 * after an interrupt.
 */

static int
read_line(perm_import_t *import, size_t *len)
{
    int  c;

    *len = 0;

    while ((c = getc_unlocked(import->file)) != EOF && c != '\n') {
        if (*len < PERM_LINE_MAX) {
            import->line[*len] = (char) c;
        }

        (*len)++;
    }

    if (c == EOF && ferror(import->file)) {
        if (!perm_walk_interrupted) {
            perm_output_fatal(PERM_EXIT_NO, "cannot read the file: %m");
        }

        return 0;
    }

    if (c == EOF && *len == 0) {
        return 0;
    }

    import->offset += *len + 1;
    import->number++;

    return 1;
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
                           import->number))
    {
        write_batch(import, import->number - 1);
    }

    if (import->cli->args.replace) {
        import->grants = perm_alloc_room(import->grants, &import->room,
                                         import->ngrants + 1,
                                         sizeof(perm_fingerprint_t));
        import->grants[import->ngrants++] = fingerprint(&line.tuple);
    }
}


static void
refuse_line(perm_import_t *import, const char *wrong)
{
    import->bad++;
    perm_output_warn("line %llu: %s: refused", import->number, wrong);
}


/* last: the number of the last line that is in the batch */

static void
write_batch(perm_import_t *import, perm_count_t last)
{
    perm_batch_write(&import->cli->table, import->batch, &import->counts);

    import->good -= import->counts.refused;
    import->bad += import->counts.refused;
    import->counts.refused = 0;

    import->settled = last;
    perm_output_progress("imported", last, import->offset
                         ? (double) last * import->size / import->offset : 0);
}


/* all lines are written: now the grants that are not in the file go */

static perm_exit_t
finish(perm_import_t *import)
{
    const perm_args_t  *args;

    args = &import->cli->args;

    if (import->good == 0 && !args->allow_empty) {
        perm_output_warn("the file holds no grant: nothing was done; "
                         "--allow-empty takes it as it is");
        return PERM_EXIT_NO;
    }

    if (args->replace && import->bad) {
        perm_output_warn("nothing was removed, as lines were refused");

    } else if (args->replace) {
        if (import->ngrants) {
            qsort(import->grants, import->ngrants, sizeof(perm_fingerprint_t),
                  compare);
        }

        (void) perm_walk(&import->cli->table,
                         PERM_WALK_UNREADABLE | PERM_WALK_REPEATS, NULL,
                         remove_rows, import);
    }

    if (!perm_walk_interrupted && !import->cli->table.loaded) {
        perm_table_mark(&import->cli->table);
    }

    return import->bad ? PERM_EXIT_NO : PERM_EXIT_DONE;
}


static void
remove_rows(void *data, perm_row_t *rows, size_t n)
{
    size_t               i;
    perm_import_t       *import = data;
    perm_table_t        *table = &import->cli->table;
    perm_fingerprint_t   wanted;

    for (i = 0; i < n && !perm_walk_interrupted; i++) {
        wanted = fingerprint(&rows[i].tuple);

        if (import->ngrants == 0
            || bsearch(&wanted, import->grants, import->ngrants,
                       sizeof(perm_fingerprint_t), compare) == NULL)
        {
            perm_client_command(table->client, "HDEL %k %b", rows[i].key,
                                rows[i].field);
            perm_client_send(table->client, NULL, 0, perm_table_count,
                             &import->removed);
        }
    }

    perm_client_wait(table->client);

    import->compared += n;
    perm_output_progress("compared", import->compared, 0);
}


/* of the names with a NUL between them, as no name holds one */

static perm_fingerprint_t
fingerprint(const perm_tuple_t *grant)
{
    char                text[PERM_TUPLE_MAX + 3];
    size_t              len;
    unsigned char       digest[EVP_MAX_MD_SIZE];
    perm_fingerprint_t  print;

    len = (size_t) snprintf(text, sizeof(text), "%.*s%c%.*s%c%.*s",
                            (int) grant->gateway.len, grant->gateway.data, 0,
                            (int) grant->app.len, grant->app.data, 0,
                            (int) grant->resource.len, grant->resource.data);

    if (EVP_Digest(text, len, digest, NULL, EVP_sha256(), NULL) != 1) {
        perm_output_fatal(PERM_EXIT_NO, "OpenSSL cannot compute SHA-256");
    }

    memcpy(print.bytes, digest, FINGERPRINT_SIZE);

    return print;
}


static int
compare(const void *a, const void *b)
{
    return memcmp(a, b, FINGERPRINT_SIZE);
}


static void
warn_stopped(void *data)
{
    char                  removed[64];
    const perm_import_t  *import = data;

    snprintf(removed, sizeof(removed), "%llu grants were", import->removed);
    perm_output_warn("the import stopped: all lines to %llu are done, %s "
                     "removed; it can be run again", import->settled,
                     import->removed ? removed : "nothing was");
}


static void
report(const perm_import_t *import)
{
    const perm_batch_counts_t  *counts;

    counts = &import->counts;

    perm_output_warn("%simported %llu grants: %llu new, %llu changed, %llu as "
                     "they were; %llu lines refused, %llu grants removed",
                     perm_walk_interrupted ? "interrupted: " : "",
                     import->good, counts->added, counts->changed,
                     counts->unchanged, import->bad, import->removed);

    if (import->cli->args.json) {
        perm_output_json(stdout, "{'grants':%n,'new':%n,'changed':%n,"
                         "'unchanged':%n,'refused':%n,'removed':%n}\n",
                         import->good, counts->added, counts->changed,
                         counts->unchanged, import->bad, import->removed);
    }
}
