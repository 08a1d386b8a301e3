
/*
 * expiring: grants that end soon, for the mails to those who use them.
 */


#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "cli/commands/command.h"
#include "cli/table/walk.h"
#include "cli/util/alloc.h"
#include "core/grant.h"
#include "core/renewal.h"


#define DAY  86400


/* a grant that ends */

typedef struct {
    perm_tuple_t        tuple;      /* allocated, and NUL-terminated */
    int64_t             expires;
    int64_t             last;
} perm_ending_t;


typedef struct {
    perm_cli_t         *cli;
    perm_count_t        seen;       /* grants, ending or not */
    perm_ending_t      *list;
    size_t              n;
    size_t              size;
} perm_expiring_t;


static perm_exit_t run_expiring(perm_cli_t *cli);
static void read_rows(void *data, perm_row_t *rows, size_t n);
static int is_due(const perm_cli_t *cli, const perm_row_t *row);
static int64_t end_of(const perm_cli_t *cli, const perm_grant_t *grant,
    int64_t last);
static void keep(perm_expiring_t *expiring, const perm_row_t *row);
static void copy(perm_str_t *name);
static perm_exit_t report(perm_expiring_t *expiring);
static int compare(const void *a, const void *b);
static int report_app(const perm_cli_t *cli, const perm_ending_t *list,
    size_t n);
static int run_notify(const perm_cli_t *cli, const char *text, size_t len);
static void print_app(const perm_cli_t *cli, FILE *file,
    const perm_ending_t *list, size_t n);


static const perm_option_t  expiring_options[] = {
    { "--days", "LIST", "whole days left, 0,1,3,7,15",
      PERM_OPTION(DAY_LIST, day_list) },
    { "--term", "SPAN", "of renewal, 180d", PERM_OPTION(TERM, term) },
    { "--notify", "CMD", "run once for each app with its object on standard "
      "input", PERM_OPTION(TEXT, notify) },
    PERM_OPTION_END
};


const perm_command_t  perm_expiring_command = {
    "expiring", "",
    "grants that end soon, by app, for mails",
    "Writes a line for each app with grants that end in that many whole\n"
    "days and that \"renew\" will not save:\n"
    "\n"
    "  {\"app\":\"a\",\"grants\":[{\"gateway\":\"g\",\"resource\":null,\n"
    "   \"expires\":1800000000,\"expires_at\":\"2027-01-15T08:00:00Z\",\n"
    "   \"days_left\":3,\"last_access\":null}]}\n"
    "\n"
    "A grant on a resource is left out when the one on its gateway ends\n"
    "later. With --notify, CMD is run by /bin/sh once for each app with\n"
    "that line on standard input, in place of standard output; with --json\n"
    "what CMD writes to its standard output goes to standard error. What\n"
    "fails for one app does not stop the others; the exit status is then 1.",
    expiring_options, 1, run_expiring
};


static perm_exit_t
run_expiring(perm_cli_t *cli)
{
    const char      *notify;
    perm_exit_t      status;
    perm_expiring_t  expiring;
    perm_walk_skipped_t  skipped;

    notify = cli->args.notify;

    if (notify != NULL && notify[strspn(notify, " \t\n")] == '\0') {
        perm_output_fatal(PERM_EXIT_USAGE, "--notify \"%s\": no command, "
                          "which would tell nobody", notify);
    }

    perm_table_warn_unloaded(&cli->table);

    memset(&expiring, 0, sizeof(perm_expiring_t));
    expiring.cli = cli;

    skipped = perm_walk(&cli->table, PERM_WALK_LAST, NULL, read_rows,
                        &expiring);

    status = perm_walk_status(skipped, report(&expiring));

    free(expiring.list);

    return status;
}


static void
read_rows(void *data, perm_row_t *rows, size_t n)
{
    size_t            i;
    perm_expiring_t  *expiring = data;

    expiring->seen += n;

    for (i = 0; i < n; i++) {
        if (is_due(expiring->cli, &rows[i])) {
            keep(expiring, &rows[i]);
        }
    }
}


/* 1 when neither renewal nor the grant on the gateway makes up for its end */

static int
is_due(const perm_cli_t *cli, const perm_row_t *row)
{
    int64_t             left;
    unsigned            i;
    const perm_days_t  *list;

    static const perm_days_t  defaults = { 5, { 0, 1, 3, 7, 15 } };

    if (!perm_grant_live(row->grant.expires, cli->table.now)
        || row->grant.expires >= PERM_GRANT_PERMANENT
        || end_of(cli, &row->grant, row->last) != row->grant.expires
        || (row->tuple.resource.len && row->gateway.expires >= 0
            && end_of(cli, &row->gateway, row->gateway_last)
               > row->grant.expires))
    {
        return 0;
    }

    list = cli->args.day_list.n ? &cli->args.day_list : &defaults;
    left = (row->grant.expires - cli->table.now) / DAY;

    for (i = 0; i < list->n && list->days[i] != left; i++) { /* void */ }

    return i < list->n;
}


/* when the grant ends after the next renewal */

static int64_t
end_of(const perm_cli_t *cli, const perm_grant_t *grant, int64_t last)
{
    int64_t  renewed;

    (void) perm_renewal_decide(grant, last, cli->table.now, cli->args.term,
                               &renewed);

    return renewed;
}


static void
keep(perm_expiring_t *expiring, const perm_row_t *row)
{
    perm_ending_t  *ending;

    expiring->list = perm_alloc_room(expiring->list, &expiring->size,
                                     expiring->n + 1, sizeof(perm_ending_t));

    ending = &expiring->list[expiring->n++];
    ending->tuple = row->tuple;
    ending->expires = row->grant.expires;
    ending->last = row->last;

    copy(&ending->tuple.app);
    copy(&ending->tuple.gateway);
    copy(&ending->tuple.resource);
}


static void
copy(perm_str_t *name)
{
    name->data = perm_alloc_check(strndup(name->data, name->len));
}


static perm_exit_t
report(perm_expiring_t *expiring)
{
    size_t          i, first;
    perm_count_t    apps, failed;
    perm_ending_t  *list;

    list = expiring->list;
    apps = 0;
    failed = 0;

    if (expiring->n) {
        qsort(list, expiring->n, sizeof(perm_ending_t), compare);
    }

    for (first = 0; first < expiring->n; first = i) {
        for (i = first; i < expiring->n; i++) {
            if (strcmp(list[i].tuple.app.data, list[first].tuple.app.data)) {
                break;
            }
        }

        failed += report_app(expiring->cli, &list[first], i - first);
        apps++;
    }

    perm_output_warn("%llu grants of %llu apps end; %llu apps could not be "
                     "told", (perm_count_t) expiring->n, apps, failed);

    for (i = 0; i < expiring->n; i++) {
        free((char *) list[i].tuple.app.data);
        free((char *) list[i].tuple.gateway.data);
        free((char *) list[i].tuple.resource.data);
    }

    return failed ? PERM_EXIT_NO
                  : perm_table_found(&expiring->cli->table, expiring->seen);
}


static int
compare(const void *a, const void *b)
{
    int                  order;
    const perm_tuple_t  *one, *two;

    one = &((const perm_ending_t *) a)->tuple;
    two = &((const perm_ending_t *) b)->tuple;

    order = strcmp(one->app.data, two->app.data);

    if (order == 0) {
        order = strcmp(one->gateway.data, two->gateway.data);
    }

    return order ? order : strcmp(one->resource.data, two->resource.data);
}


/* prints the object of an app or gives it to CMD; 1 when CMD failed */

static int
report_app(const perm_cli_t *cli, const perm_ending_t *list, size_t n)
{
    int     status;
    FILE   *file;
    char   *text;
    size_t  len;

    if (cli->args.notify == NULL) {
        print_app(cli, stdout, list, n);
        return 0;
    }

    file = perm_alloc_check(open_memstream(&text, &len));
    print_app(cli, file, list, n);

    if (fclose(file) != 0) {
        perm_output_fatal(PERM_EXIT_REDIS, "out of memory");
    }

    status = run_notify(cli, text, len);
    free(text);

    if (status == -1) {
        perm_output_warn("--notify failed for app %s: cannot be started: %m",
                         list->tuple.app.data);

    } else if (WIFSIGNALED(status)) {
        perm_output_warn("--notify failed for app %s: ended by signal %d",
                         list->tuple.app.data, WTERMSIG(status));

    } else if (status != 0) {
        perm_output_warn("--notify failed for app %s: exit status %d",
                         list->tuple.app.data, WEXITSTATUS(status));
    }

    return status != 0;
}


/*
 * Runs CMD with the text on its standard input, and returns its status or -1.
 * A command that does not read its input is no error.
 */

static int
run_notify(const perm_cli_t *cli, const char *text, size_t len)
{
    FILE  *input;
    char  *script;

    fflush(stdout);

    script = perm_alloc(sizeof("exec >&2\n") + strlen(cli->args.notify));
    sprintf(script, "%s%s", cli->args.json ? "exec >&2\n" : "",
            cli->args.notify);

    /* the command gets the default SIGPIPE, which this program ignores */

    signal(SIGPIPE, SIG_DFL);
    input = popen(script, "we");
    signal(SIGPIPE, SIG_IGN);

    free(script);

    if (input == NULL) {
        return -1;
    }

    /* without a buffer pclose() has nothing left to write, and cannot fail */

    setvbuf(input, NULL, _IONBF, 0);
    (void) fwrite(text, 1, len, input);

    return pclose(input);
}


/* the object of one app: what a mail to its developers needs */

static void
print_app(const perm_cli_t *cli, FILE *file, const perm_ending_t *list,
    size_t n)
{
    size_t         i;
    perm_tuple_t   tuple;

    perm_output_json(file, "{'app':%b,'grants':[", list->tuple.app);

    for (i = 0; i < n; i++) {

        /* a grant may be seen twice while Redis resizes its hash */

        if (i && compare(&list[i], &list[i - 1]) == 0) {
            continue;
        }

        tuple = list[i].tuple;
        tuple.app.len = 0;

        perm_output_json(file, i ? ",{%t," : "{%t,", &tuple);
        perm_output_json(file, "'expires':%n,'expires_at':%s,'days_left':%n,"
                         "'last_access':%n}", list[i].expires,
                         perm_output_time(list[i].expires),
                         (list[i].expires - cli->table.now) / DAY,
                         list[i].last);
    }

    fputs("]}\n", file);
}
