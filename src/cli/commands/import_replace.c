
#include "cli/commands/import_priv.h"

#include <stdarg.h>
#include <string.h>


#define REMOVALS_PERCENT  20    /* of --max-removals, when it is absent */
#define REMOVALS_LEAST    100


static int may_replace(perm_import_t *import);
static void count_absent(perm_import_t *import, unsigned flags);
static void refuse_removals(perm_import_t *import, const char *nothing);
static void count_rows(void *data, perm_row_t *rows, size_t n);
static void print_rows(void *data, perm_row_t *rows, size_t n);
static void remove_rows(void *data, perm_row_t *rows, size_t n);


void
perm_import_refuse(perm_import_t *import, const char *fmt, ...)
{
    char     text[sizeof(import->error)];
    va_list  args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);

    perm_output_warn("%s", text);

    if (import->error[0] == '\0') {
        strcpy(import->error, text);
    }
}


void
perm_import_replace(perm_import_t *import)
{
    int            removes;
    perm_table_t  *table;

    table = &import->cli->table;
    removes = may_replace(import);
    import->compared = 0;

    if (perm_walk_interrupted) {
        return;
    }

    if (import->conf.changed != NULL) {
        (void) perm_walk(table, PERM_WALK_UNREADABLE, NULL, print_rows, import);

    } else if (removes && !import->conf.dry_run) {
        (void) perm_walk(table, PERM_WALK_UNREADABLE | PERM_WALK_REPEATS, NULL,
                         remove_rows, import);
    }
}


/* 0: it was said why not */

static int
may_replace(perm_import_t *import)
{
    const char    *nothing;
    perm_count_t   written;

    nothing = import->conf.dry_run ? "nothing would be removed"
                                   : "nothing was removed";

    written = import->counts.added + import->counts.changed;

    if (import->cut) {
        perm_import_refuse(import, "%s: the file ends within a line, so that "
                           "grants may be missing; %s written, and %llu "
                           "stay as they were", nothing,
                           import->conf.dry_run
                           ? perm_output_plural(written,
                                                "grant before it would be",
                                                "grants before it would be")
                           : perm_output_plural(written,
                                                "grant before it was",
                                                "grants before it were"),
                           import->counts.unchanged);
        return 0;
    }

    if (import->bad.n > (perm_count_t) import->cli->args.max_bad) {
        perm_import_refuse(import, "%s, as %s refused, and --max-bad is %lld",
                           nothing, perm_output_plural(import->bad.n,
                                                       "line was",
                                                       "lines were"),
                           (long long) import->cli->args.max_bad);
        return 0;
    }

    /* grants that come twice may only make it too careful: look again then */

    count_absent(import, PERM_WALK_REPEATS);

    if (import->absent > import->removals || import->conf.changed != NULL) {
        count_absent(import, 0);
    }

    if (import->absent <= import->removals || perm_walk_interrupted) {
        return 1;
    }

    refuse_removals(import, nothing);

    return 0;
}


/* ... and how many of them may go: a share of the grants before the import */

static void
count_absent(perm_import_t *import, unsigned flags)
{
    perm_count_t         least, percent;
    const perm_limit_t  *limit;

    import->compared = 0;
    import->absent = 0;

    (void) perm_walk(&import->cli->table, PERM_WALK_UNREADABLE | flags, NULL,
                     count_rows, import);

    import->before = import->compared;

    if (!import->conf.dry_run && import->before > import->counts.added) {
        import->before -= import->counts.added;
    }

    limit = &import->cli->args.max_removals;
    least = (limit->n < 0) ? REMOVALS_LEAST : 0;
    percent = (limit->n < 0) ? REMOVALS_PERCENT : (perm_count_t) limit->n;

    import->removals = (limit->n >= 0 && !limit->percent)
                       ? (perm_count_t) limit->n
                       : import->before * percent / 100;

    if (import->removals < least) {
        import->removals = least;
    }
}


static void
refuse_removals(perm_import_t *import, const char *nothing)
{
    char                 allowed[64];
    const perm_limit_t  *limit;

    limit = &import->cli->args.max_removals;

    snprintf(allowed, sizeof(allowed), limit->n < 0
             ? "20 %% and at least 100" : limit->percent ? "%lld %%" : "%lld",
             (long long) limit->n);

    perm_import_refuse(import, "%s: %llu of %s would go, and --max-removals "
                       "allows %s; is the file whole?", nothing,
                       import->absent, perm_output_count(import->before,
                                                         "grant"), allowed);
}


static void
count_rows(void *data, perm_row_t *rows, size_t n)
{
    size_t          i;
    perm_import_t  *import = data;

    for (i = 0; i < n; i++) {
        import->absent += !perm_grant_set_has(import->grants, &rows[i].tuple);
    }

    import->compared += n;
    perm_output_progress("compared", import->compared, 0);
}


/* dry run: the grants that would go, or stay as their removal is refused */

static void
print_rows(void *data, perm_row_t *rows, size_t n)
{
    size_t          i;
    perm_import_t  *import = data;

    for (i = 0; i < n; i++) {
        if (!perm_grant_set_has(import->grants, &rows[i].tuple)) {
            perm_output_json(stdout, "{'result':%s,%g,'was':%n}\n",
                             import->error[0] ? "kept" : "removed",
                             &rows[i].tuple, rows[i].grant.expires);
        }
    }

    perm_output_check();
}


/* grants may have come since they were counted: the limit holds for them */

static void
remove_rows(void *data, perm_row_t *rows, size_t n)
{
    size_t          i;
    perm_count_t    sent;
    perm_import_t  *import = data;
    perm_table_t   *table = &import->cli->table;

    sent = import->removed;

    for (i = 0; i < n && !perm_walk_interrupted; i++) {

        if (sent < import->removals
            && !perm_grant_set_has(import->grants, &rows[i].tuple))
        {
            sent++;
            perm_table_forget_notice(table, &rows[i].tuple);
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
