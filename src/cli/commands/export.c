
/*
 * export: the grant table as lines that import takes.
 */


#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/commands/command.h"
#include "cli/table/grant_line.h"
#include "cli/util/alloc.h"


/*
 * The file is written beside its place, and renamed when it is complete.
 * Standard output, and what is no regular file, is written in place.
 */

typedef struct {
    FILE          *file;
    const char    *name;        /* for messages */
    char          *target;
    char          *temporary;   /* NULL: written in place */
    perm_count_t   written;     /* grants */
    perm_count_t   skipped;     /* too long for a line */
    perm_count_t   cut;         /* with members that a line cannot have */
} perm_export_t;


static perm_exit_t run_export(perm_cli_t *cli);
static void write_rows(void *data, perm_row_t *rows, size_t n);
static void open_file(perm_export_t *export, const char *name);
static void commit(perm_export_t *export);
static void remove_temporary(void *data);
static void fail(const perm_export_t *export, perm_exit_t status,
    const char *doing);


static const perm_option_t  export_options[] = { PERM_OPTION_END };


const perm_command_t  perm_export_command = {
    "export", "[FILE]",
    "write all grants as JSON lines",
    "Writes a line for each grant, as import takes them, to FILE or to\n"
    "standard output:\n"
    "\n"
    "  {\"gateway\":\"g\",\"resource\":\"r\",\"app\":\"a\","
    "\"expires\":1800000000,\n"
    "   \"type\":\"apply\"}\n"
    "\n"
    "(on one line), without \"resource\" for the whole gateway, and with\n"
    "every other member of the value in Redis. FILE appears when all of it\n"
    "is written; one that is not empty is not replaced by a table without a\n"
    "grant. Unreadable values are named and left out, and so is what a\n"
    "line cannot hold; the exit status is then 1 if a readable grant is\n"
    "missing.",
    export_options, 0, run_export
};


static perm_exit_t
run_export(perm_cli_t *cli)
{
    struct stat    old;
    perm_count_t   unreadable;
    perm_export_t  export;

    memset(&export, 0, sizeof(perm_export_t));

    perm_walk_catch_interrupt();
    perm_output_at_fatal(remove_temporary, &export);
    open_file(&export, cli->args.file);

    perm_table_connect(&cli->table, &cli->servers);
    perm_table_warn_unloaded(&cli->table);

    /* the last good copy may be there, which repairs a table that is lost */

    if (!cli->table.loaded && export.target != NULL) {
        remove_temporary(&export);
        perm_output_warn("\"%s\" is not written: the copy of a table that is "
                         "not loaded would take the place of a good one",
                         perm_output_safe_text(export.target));
        return PERM_EXIT_NO;
    }

    unreadable = perm_walk(&cli->table, 0, NULL, write_rows, &export)
                 .unreadable;

    if (perm_walk_interrupted) {
        remove_temporary(&export);
        perm_output_warn("interrupted after %s; no file was written",
                         perm_output_count(export.written, "grant"));
        return PERM_EXIT_NO;
    }

    if (export.written == 0 && export.target != NULL
        && stat(export.target, &old) == 0 && old.st_size > 0)
    {
        remove_temporary(&export);
        perm_output_warn("\"%s\" is not replaced: no grant was exported, and "
                         "it may be the last copy of those that were in the "
                         "table. Give another FILE, or remove this one first",
                         perm_output_safe_text(export.target));
        return PERM_EXIT_NO;
    }

    commit(&export);

    if (export.cut) {
        perm_output_warn("%s members named \"gateway\", \"resource\", "
                         "\"app\", \"expires_before\" or "
                         "\"gateway_expires\", which a line cannot have: they "
                         "are left out",
                         perm_output_plural(export.cut, "grant has",
                                            "grants have"));
    }

    if (export.skipped) {
        perm_output_warn("%s not in the output, too long for a line: \"import "
                         "--replace\" of it would remove them",
                         perm_output_plural(export.skipped, "grant is",
                                            "grants are"));
    }

    perm_output_warn("exported %s, skipped %llu that cannot be read",
                     perm_output_count(export.written, "grant"), unreadable);

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
        rc = perm_grant_line_print(export->file, &rows[i]);

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

    if (export->file == stdout) {
        perm_output_check();

    } else if (ferror(export->file)) {
        fail(export, PERM_EXIT_NO, "write");
    }

    perm_output_progress("exported", export->written, 0);
}


static void
open_file(perm_export_t *export, const char *name)
{
    int          fd, exists;
    char        *path;
    mode_t       mask;
    struct stat  old;

    export->file = stdout;
    export->name = "standard output";

    if (name == NULL || strcmp(name, "-") == 0) {
        return;
    }

    export->name = name;
    exists = (stat(name, &old) == 0);

    /* in place: no regular file, and a symbolic link to no file yet */

    if (exists ? !S_ISREG(old.st_mode) : lstat(name, &old) == 0) {
        export->file = fopen(name, "we");

        if (export->file == NULL) {
            fail(export, PERM_EXIT_USAGE, "open");
        }

        return;
    }

    /* behind a symbolic link the file is replaced, not the link */

    path = exists ? realpath(name, NULL) : NULL;
    export->target = path ? path : perm_alloc_check(strdup(name));

    path = perm_alloc(strlen(export->target) + sizeof(".XXXXXX"));
    sprintf(path, "%s.XXXXXX", export->target);

    fd = mkostemp(path, O_CLOEXEC);

    if (fd == -1) {
        fail(export, PERM_EXIT_USAGE, "write a temporary file beside");
    }

    export->temporary = path;
    export->file = perm_alloc_check(fdopen(fd, "w"));

    /* the rights of the file that is replaced, or those of any new file */

    mask = umask(0);
    (void) umask(mask);
    (void) fchmod(fd, exists ? old.st_mode & 07777 : 0666 & ~mask);
}


static void
commit(perm_export_t *export)
{
    if (export->file == stdout) {
        perm_output_check();
        return;
    }

    if (fflush(export->file) != 0 || ferror(export->file)
        || (export->temporary != NULL && fsync(fileno(export->file)) != 0)
        || fclose(export->file) != 0)
    {
        fail(export, PERM_EXIT_NO, "write");
    }

    if (export->temporary != NULL) {
        if (rename(export->temporary, export->target) != 0) {
            fail(export, PERM_EXIT_NO, "replace");
        }

        free(export->target);
        free(export->temporary);
        export->temporary = NULL;
    }
}


static void
remove_temporary(void *data)
{
    const perm_export_t  *export = data;

    if (export->temporary != NULL) {
        (void) unlink(export->temporary);
    }
}


static void
fail(const perm_export_t *export, perm_exit_t status, const char *doing)
{
    perm_output_fatal(status, "cannot %s \"%s\": %m", doing,
                      perm_output_safe_text(export->name));
}
