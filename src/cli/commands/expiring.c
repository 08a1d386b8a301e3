
/*
 * expiring: grants that end soon, for the mails to those who use them.
 */


#include <stdlib.h>
#include <string.h>

#include "cli/commands/command.h"
#include "cli/table/policies.h"
#include "cli/table/walk.h"
#include "cli/util/alloc.h"
#include "cli/util/columns.h"
#include "cli/util/notify.h"
#include "core/grant.h"
#include "core/notice.h"
#include "core/renewal.h"


#define DAY  86400


/* a grant that ends */

typedef struct {
    perm_tuple_t        tuple;      /* allocated, and NUL-terminated */
    perm_grant_t        grant;
    int64_t             last;
    int64_t             notice;     /* days: the one that is due */
    const char         *renewal;    /* why it is not renewed */
    int                 told;       /* the notice was given already */
} perm_ending_t;


typedef struct {
    perm_cli_t         *cli;
    perm_policies_t    *policies;   /* or NULL */
    perm_count_t        seen;       /* grants, ending or not */
    perm_walk_skipped_t skipped;
    perm_ending_t      *list;
    size_t              n;
    size_t              size;
    perm_count_t        told;       /* of the list, as it was read */
} perm_expiring_t;


static perm_exit_t run_expiring(perm_cli_t *cli);
static void read_rows(void *data, perm_row_t *rows, size_t n);
static int is_due(const perm_expiring_t *expiring, const perm_row_t *row,
    perm_ending_t *ending);
static int64_t end_of(const perm_cli_t *cli, const perm_grant_t *grant,
    int64_t last, const char **renewal);
static void keep(perm_expiring_t *expiring, const perm_row_t *row,
    const perm_ending_t *found);
static void read_told(perm_expiring_t *expiring);
static void drop_told(perm_expiring_t *expiring);
static size_t count_key(const perm_expiring_t *expiring, size_t first);
static void ask_told(perm_expiring_t *expiring, size_t first, size_t n,
    redisReply **reply);
static void try_to_mark(perm_expiring_t *expiring, size_t first);
static int tried(void *data, redisReply *reply);
static void mark_told(perm_expiring_t *expiring, const perm_ending_t *list,
    size_t n);
static void free_ending(perm_ending_t *ending);
static void copy(perm_str_t *name);
static perm_exit_t report(perm_expiring_t *expiring);
static void print_sum(const perm_expiring_t *expiring, perm_count_t apps,
    perm_count_t failed);
static void add_lines(perm_columns_t *columns, const perm_cli_t *cli,
    const perm_ending_t *list, size_t n);
static int compare(const void *a, const void *b);
static int report_app(const perm_cli_t *cli, const perm_ending_t *list,
    size_t n);
static void print_app(const perm_cli_t *cli, FILE *file,
    const perm_ending_t *list, size_t n);


static const perm_option_t  expiring_options[] = {
    { "--days", "LIST", "notices, in whole days left, 0,1,3,7,15",
      PERM_OPTION(DAY_LIST, day_list) },
    { "--term", "SPAN", "of renewal, 180d", PERM_OPTION(TERM, term) },
    { "--policies", "FILE", "lines of a map: nobody is told of resources that "
      "are open or off there", PERM_OPTION(TEXT, policies) },
    { "--notify", "CMD", "run once for each app with its object on standard "
      "input", PERM_OPTION(TEXT, notify) },
    PERM_OPTION_END
};


const perm_command_t  perm_expiring_command = {
    "expiring", "",
    "grants that end soon, by app, for mails",
    "Lists the grants that \"renew\" will not save and whose notice is due,\n"
    "the smallest of --days that is not less than the whole days left. With\n"
    "--json there is a line for each app:\n"
    "\n"
    "  {\"app\":\"a\",\"grants\":[{\"gateway\":\"g\",\"resource\":null,\n"
    "   \"expires\":1800000000,\"expires_at\":\"2027-01-15T08:00:00Z\",\n"
    "   \"days_left\":2,\"notice\":3,\"renewal\":\"unused\",\n"
    "   \"granted\":1784448000,\"last_access\":null}]}\n"
    "\n"
    "\"renewal\" says why it is not renewed: unused since it was granted;\n"
    "current, as the last use is too long ago; or no_renew. A grant on a\n"
    "resource is left out when the one on its gateway ends later. Without\n"
    "--notify nothing is kept, and notices that were given already are\n"
    "listed too: TOLD is yes, and in JSON \"told\" is true. With --notify,\n"
    "CMD is run by /bin/sh once for each app with that line on standard\n"
    "input, in place of standard output, and each notice is given\n"
    "once for each end. With --json what CMD writes to its standard output\n"
    "goes to standard error. What fails for one app does not stop the\n"
    "others, and is tried again the next time; the exit status is then 1.\n"
    "Where Redis would not keep that an app was told, nobody is told.",
    expiring_options, 0, run_expiring
};


static perm_exit_t
run_expiring(perm_cli_t *cli)
{
    const char       *notify;
    perm_exit_t       status;
    perm_expiring_t   expiring;

    notify = cli->args.notify;

    memset(&expiring, 0, sizeof(perm_expiring_t));
    expiring.cli = cli;
    expiring.policies = cli->args.policies
                        ? perm_policies_read(cli->args.policies) : NULL;

    perm_table_connect(&cli->table, &cli->servers);
    perm_table_warn_unloaded(&cli->table);

    expiring.skipped = perm_walk(&cli->table, PERM_WALK_LAST, NULL, read_rows,
                                 &expiring);

    if (expiring.n) {
        qsort(expiring.list, expiring.n, sizeof(perm_ending_t), compare);
    }

    read_told(&expiring);

    if (notify != NULL) {
        drop_told(&expiring);
    }

    status = report(&expiring);
    status = perm_walk_status(expiring.skipped, status);

    perm_policies_free(expiring.policies);
    free(expiring.list);

    return status;
}


static void
read_rows(void *data, perm_row_t *rows, size_t n)
{
    size_t            i;
    perm_ending_t     ending;
    perm_expiring_t  *expiring = data;

    expiring->seen += n;

    for (i = 0; i < n; i++) {
        if (is_due(expiring, &rows[i], &ending)) {
            keep(expiring, &rows[i], &ending);
        }
    }
}


/*
 * 1 when a notice is due, and neither renewal, nor the grant on the gateway,
 * nor the policy of the resource makes up for the end
 */

static int
is_due(const perm_expiring_t *expiring, const perm_row_t *row,
    perm_ending_t *ending)
{
    int64_t             expires;
    const char         *unused;
    const perm_cli_t   *cli;
    const perm_days_t  *list;

    static const perm_days_t  defaults = { 5, { 0, 1, 3, 7, 15 } };

    cli = expiring->cli;
    expires = row->grant.expires;
    list = cli->args.day_list.n ? &cli->args.day_list : &defaults;
    ending->notice = perm_notice_due(expires, cli->table.now, list->days,
                                     list->n);

    if (ending->notice == PERM_NOTICE_NONE || expires >= PERM_GRANT_PERMANENT
        || end_of(cli, &row->grant, row->last, &ending->renewal) != expires)
    {
        return 0;
    }

    if (row->tuple.resource.len == 0) {
        return 1;
    }

    return (row->gateway.expires < 0
            || end_of(cli, &row->gateway, row->gateway_last, &unused)
               <= expires)
           && (expiring->policies == NULL
               || !perm_policies_open(expiring->policies, &row->tuple));
}


/* when the grant ends after the next renewal */

static int64_t
end_of(const perm_cli_t *cli, const perm_grant_t *grant, int64_t last,
    const char **renewal)
{
    int64_t  renewed;

    *renewal = perm_renewal_name(perm_renewal_decide(grant, last,
                                                     cli->table.now,
                                                     cli->args.term,
                                                     &renewed));

    return renewed;
}


static void
keep(perm_expiring_t *expiring, const perm_row_t *row,
    const perm_ending_t *found)
{
    perm_ending_t  *ending;

    expiring->list = perm_alloc_room(expiring->list, &expiring->size,
                                     expiring->n + 1, sizeof(perm_ending_t));

    ending = &expiring->list[expiring->n++];
    *ending = *found;
    ending->told = 0;
    ending->tuple = row->tuple;
    ending->grant = row->grant;
    ending->last = row->last;

    copy(&ending->tuple.app);
    copy(&ending->tuple.gateway);
    copy(&ending->tuple.resource);
}


/* the list is sorted */

static void
read_told(perm_expiring_t *expiring)
{
    char            key[PERM_KEY_MAX];
    size_t          i, n, first;
    perm_str_t      text;
    redisReply    **replies;
    perm_table_t   *table;
    perm_ending_t  *list;

    list = expiring->list;
    table = &expiring->cli->table;
    replies = perm_alloc_check(calloc(expiring->n + 1, sizeof(redisReply *)));

    for (first = 0; first < expiring->n; first += n) {
        n = count_key(expiring, first);
        ask_told(expiring, first, n, &replies[first]);

        if (expiring->cli->args.notify != NULL) {
            try_to_mark(expiring, first);
        }
    }

    perm_client_wait(table->client);

    for (first = 0; first < expiring->n; first += n) {
        n = count_key(expiring, first);
        text = perm_table_key(table, key, PERM_KEY_NOTICES,
                              &list[first].tuple);
        expiring->skipped.wrong_types +=
            (perm_count_t) perm_table_wrong_type(replies[first], &text);

        for (i = first; i < first + n; i++) {
            text = perm_table_bytes(perm_table_element(replies[first],
                                                       i - first));
            list[i].told = perm_notice_told(text, list[i].grant.expires,
                                            list[i].notice);
            expiring->told += (perm_count_t) list[i].told;
        }

        freeReplyObject(replies[first]);
    }

    free(replies);
}


static void
drop_told(perm_expiring_t *expiring)
{
    size_t  i, kept;

    for (i = 0, kept = 0; i < expiring->n; i++) {
        if (expiring->list[i].told) {
            free_ending(&expiring->list[i]);
        } else {
            expiring->list[kept++] = expiring->list[i];
        }
    }

    expiring->n = kept;
}


/* how many of the list from that one on have the same gateway and app */

static size_t
count_key(const perm_expiring_t *expiring, size_t first)
{
    size_t               n;
    const perm_tuple_t  *one, *two;

    one = &expiring->list[first].tuple;

    for (n = 1; first + n < expiring->n; n++) {
        two = &expiring->list[first + n].tuple;

        if (!perm_str_equal(one->app, two->app)
            || !perm_str_equal(one->gateway, two->gateway))
        {
            break;
        }
    }

    return n;
}


static void
ask_told(perm_expiring_t *expiring, size_t first, size_t n,
    redisReply **reply)
{
    char           text[PERM_KEY_MAX];
    size_t         i;
    perm_table_t  *table;

    table = &expiring->cli->table;

    perm_client_command(table->client, "HMGET %k",
                        perm_table_key(table, text, PERM_KEY_NOTICES,
                                       &expiring->list[first].tuple));

    for (i = first; i < first + n; i++) {
        perm_client_word(table->client,
                         perm_table_field(&expiring->list[i].tuple));
    }

    perm_client_send(table->client, NULL, PERM_ERRORS_TOO, perm_client_keep,
                     reply);
}


/*
 * Nobody is told where that could not be kept, and would be told again by each
 * run.  Redis looks at the user's rights, and whether it takes writes at all,
 * before HSET finds that one word is missing.
 */

static void
try_to_mark(perm_expiring_t *expiring, size_t first)
{
    char           text[PERM_KEY_MAX];
    perm_table_t  *table;

    table = &expiring->cli->table;

    perm_client_command(table->client, "HSET %k " PERM_GATEWAY_FIELD " 0 0",
                        perm_table_key(table, text, PERM_KEY_NOTICES,
                                       &expiring->list[first].tuple));
    perm_client_send(table->client, NULL, PERM_ERRORS_TOO, tried, NULL);
}


static int
tried(void *data, redisReply *reply)
{
    (void) data;

    if (reply->type == REDIS_REPLY_ERROR
        && strstr(reply->str, "wrong number of arguments") == NULL)
    {
        perm_output_warn("nobody was told: notices could not be kept, and "
                         "would be given again by each run");
        perm_client_refused(reply->str);
    }

    return 0;
}


/*
 * After CMD: a run that is killed in between tells twice, which is better than
 * never.  A key of another type has been named.
 */

static void
mark_told(perm_expiring_t *expiring, const perm_ending_t *list, size_t n)
{
    char           key[PERM_KEY_MAX], text[PERM_NOTICE_SIZE];
    size_t         i;
    perm_table_t  *table;

    table = &expiring->cli->table;

    for (i = 0; i < n; i++) {
        (void) perm_notice_write(text, list[i].grant.expires, list[i].notice);
        perm_client_command(table->client, "HSET %k %b %s",
                            perm_table_key(table, key, PERM_KEY_NOTICES,
                                           &list[i].tuple),
                            perm_table_field(&list[i].tuple), text);
        perm_client_send(table->client, NULL, PERM_ERRORS_TOO,
                         perm_table_ignore_type, NULL);
    }

    perm_client_wait(table->client);
}


static void
free_ending(perm_ending_t *ending)
{
    free((char *) ending->tuple.app.data);
    free((char *) ending->tuple.gateway.data);
    free((char *) ending->tuple.resource.data);
}


static void
copy(perm_str_t *name)
{
    name->data = perm_alloc_check(strndup(name->data, name->len));
}


static perm_exit_t
report(perm_expiring_t *expiring)
{
    size_t           i, first;
    perm_count_t     apps, failed;
    perm_ending_t   *list;
    perm_columns_t   columns;

    static const char *const  titles[] = {
        "APP", "GATEWAY", "RESOURCE", "EXPIRES", "DAYS", "NOTICE", "TOLD",
        "RENEWAL", "LAST ACCESS", NULL
    };

    memset(&columns, 0, sizeof(perm_columns_t));
    columns.titles = titles;
    list = expiring->list;
    apps = 0;
    failed = 0;

    for (first = 0; first < expiring->n; first = i) {
        for (i = first; i < expiring->n; i++) {
            if (strcmp(list[i].tuple.app.data, list[first].tuple.app.data)
                != 0)
            {
                break;
            }
        }

        apps++;

        if (expiring->cli->args.notify == NULL
            && !expiring->cli->args.json)
        {
            add_lines(&columns, expiring->cli, &list[first], i - first);

        } else if (report_app(expiring->cli, &list[first], i - first) != 0) {
            failed++;

        } else if (expiring->cli->args.notify != NULL) {
            mark_told(expiring, &list[first], i - first);
        }
    }

    perm_columns_print(&columns, 0);

    print_sum(expiring, apps, failed);

    for (i = 0; i < expiring->n; i++) {
        free_ending(&list[i]);
    }

    return failed ? PERM_EXIT_NO
                  : perm_table_found(&expiring->cli->table, expiring->seen);
}


static void
print_sum(const perm_expiring_t *expiring, perm_count_t apps,
    perm_count_t failed)
{
    if (expiring->n == 0) {
        perm_output_warn("no notice is due%s", expiring->told
                         ? " that was not given already" : "");

    } else if (expiring->cli->args.notify == NULL) {
        perm_output_warn("%s due, for the grants of %s%s%s",
                         perm_output_plural(expiring->n, "notice is",
                                            "notices are"),
                         perm_output_count(apps, "app"),
                         expiring->told ? "; " : "", expiring->told
                         ? perm_output_plural(expiring->told,
                                              "of them was given already",
                                              "of them were given already")
                         : "");

    } else if (failed) {
        perm_output_warn("%s told; %s not be told, and will be tried again by "
                         "the next run",
                         perm_output_plural(apps - failed, "app was",
                                            "apps were"),
                         perm_output_plural(failed, "app could",
                                            "apps could"));

    } else {
        perm_output_warn("%s told of %s",
                         perm_output_plural(apps, "app was", "apps were"),
                         perm_output_plural(expiring->n, "grant that ends",
                                            "grants that end"));
    }
}


/* a line for people for each grant of an app */

static void
add_lines(perm_columns_t *columns, const perm_cli_t *cli,
    const perm_ending_t *list, size_t n)
{
    char         days[24], notice[24];
    size_t       i;
    const char  *cells[PERM_COLUMNS_MAX];

    for (i = 0; i < n; i++) {
        snprintf(days, sizeof(days), "%lld", (long long)
                 ((list[i].grant.expires - cli->table.now) / DAY));
        snprintf(notice, sizeof(notice), "%lld", (long long) list[i].notice);

        cells[0] = list[i].tuple.app.data;
        cells[1] = list[i].tuple.gateway.data;
        cells[2] = list[i].tuple.resource.len ? list[i].tuple.resource.data
                                              : PERM_GATEWAY_FIELD;
        cells[3] = perm_output_time(list[i].grant.expires);
        cells[4] = days;
        cells[5] = notice;
        cells[6] = list[i].told ? "yes" : "-";
        cells[7] = list[i].renewal;
        cells[8] = perm_output_time(list[i].last);

        perm_columns_add(columns, cells);
    }
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
        perm_output_check();
        return 0;
    }

    file = perm_alloc_check(open_memstream(&text, &len));
    print_app(cli, file, list, n);

    perm_alloc_close(file, &text);

    status = perm_notify_run(cli->args.notify, cli->args.json,
                             list->tuple.app, text, len);
    free(text);

    return status;
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
        tuple = list[i].tuple;
        tuple.app.len = 0;

        perm_output_json(file, i ? ",{%t," : "{%t,", &tuple);
        perm_output_json(file, "'expires':%n,'expires_at':%s,'days_left':%n,"
                         "'notice':%n,'renewal':%s,'granted':%n,"
                         "'last_access':%n", list[i].grant.expires,
                         perm_output_time(list[i].grant.expires),
                         (list[i].grant.expires - cli->table.now) / DAY,
                         list[i].notice, list[i].renewal,
                         list[i].grant.granted, list[i].last);
        perm_output_json(file, cli->args.notify != NULL ? "}" : list[i].told
                         ? ",'told':true}" : ",'told':false}");
    }

    fputs("]}\n", file);
}
