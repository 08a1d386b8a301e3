
/*
 * expiring: who has to be told that a grant ends.
 */


#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/util/notify.h"
#include "cli/table/table.h"
#include "core/decision.h"
#include "core/grant.h"
#include "core/renewal.h"


#define OFFSET(member)  offsetof(perm_args_t, member)
#define DAY             86400


static const perm_option_t  expiring_options[] = {
    { "--days", "LIST", "whole days left, 0,1,3,7,15",
      PERM_ARG_DAY_LIST, OFFSET(day_list), 0 },
    { "--term", "SPAN", "of renewal, 180d", PERM_ARG_SPAN, OFFSET(term), 0 },
    { "--notify", "CMD", "run once for each app with its object on standard "
      "input", PERM_ARG_TEXT, OFFSET(notify), 0 },
    PERM_OPTION_END
};


/* a grant that ends, copied: names with their NUL behind each other */

typedef struct {
    char               *names;
    const char         *app;
    const char         *gateway;
    const char         *resource;   /* "": the whole gateway */
    int64_t             expires;
    int64_t             last;
} perm_ending_t;


typedef struct {
    int64_t             term;
    uint64_t            seen;       /* grants, ending or not */
    perm_ending_t      *list;
    size_t              n;
    size_t              size;
    redisReply        **gateways;   /* of the rows at hand */
    size_t              ngateways;
} perm_expiring_t;


static const perm_days_t  default_days = { 5, { 0, 1, 3, 7, 15 } };

static perm_wire_command_t  request;


static int
days_wanted(const perm_cli_t *cli, int64_t expires)
{
    int64_t             left;
    unsigned            i;
    const perm_days_t  *list;

    list = cli->args.day_list.n ? &cli->args.day_list : &default_days;

    if (!perm_grant_live(expires, cli->now)
        || expires >= PERM_GRANT_PERMANENT)
    {
        return 0;
    }

    left = (expires - cli->now) / DAY;

    for (i = 0; i < list->n; i++) {
        if (list->days[i] == left) {
            return 1;
        }
    }

    return 0;
}


/* when it ends after the next renewal */

static int64_t
end_of(const perm_expiring_t *expiring, int64_t expires, int64_t last)
{
    int64_t  renewed;

    (void) perm_renewal_decide(expires, last, expiring->term, &renewed);

    return renewed;
}


static char *
copy(char *p, perm_str_t text)
{
    memcpy(p, text.data, text.len);
    p[text.len] = '\0';

    return p + text.len + 1;
}


static void
remember(perm_expiring_t *expiring, const perm_row_t *row)
{
    char           *p;
    perm_ending_t  *ending;

    if (expiring->n == expiring->size) {
        expiring->size = expiring->size ? expiring->size * 2 : 64;
        expiring->list = perm_realloc(expiring->list, expiring->size
                                                      * sizeof(perm_ending_t));
    }

    ending = &expiring->list[expiring->n++];

    p = perm_alloc(row->app.len + row->gateway.len + row->resource.len + 3);
    ending->names = p;
    ending->app = p;
    p = copy(p, row->app);
    ending->gateway = p;
    p = copy(p, row->gateway);
    ending->resource = p;
    (void) copy(p, row->resource);

    ending->expires = row->expires;
    ending->last = row->last;
}


/* two replies for a grant on a resource: its gateway's, and that one's use */

static void
ask_gateway(perm_cli_t *cli, const perm_row_t *row, redisReply **replies)
{
    char        text[PERM_KEY_MAX];
    perm_str_t  key;

    perm_wire_command_begin(&request, "HGET");
    perm_wire_command_key(&request, row->key);
    perm_wire_command_text(&request, PERM_GATEWAY_FIELD);
    perm_client_send(cli->client, NULL, &request, 0, perm_client_keep,
                     &replies[0]);

    key.data = text;
    key.len = perm_grant_key(text, PERM_KEY_ACCESS, cli->prefix, row->gateway,
                             row->app);

    perm_wire_command_begin(&request, "ZREVRANGE");
    perm_wire_command_key(&request, key);
    perm_wire_command_number(&request, 0);
    perm_wire_command_number(&request, 0);
    perm_wire_command_text(&request, "WITHSCORES");
    perm_client_send(cli->client, NULL, &request, PERM_ERRORS_TOO,
                     perm_client_keep, &replies[1]);
}


/* 1 when the gateway's grant outlives the resource's */

static int
covered(const perm_expiring_t *expiring, const perm_row_t *row,
    redisReply **replies)
{
    int64_t     expires;
    perm_str_t  value;

    if (replies[0] == NULL || replies[0]->type != REDIS_REPLY_STRING) {
        return 0;
    }

    value.data = replies[0]->str;
    value.len = replies[0]->len;
    expires = perm_grant_expires(value);

    return expires >= 0
           && end_of(expiring, expires, perm_table_newest(replies[1]))
              > row->expires;
}


static void
drop(redisReply *reply)
{
    if (reply != NULL) {
        freeReplyObject(reply);
    }
}


static void
expiring_rows(perm_cli_t *cli, void *data, perm_row_t *rows, size_t n)
{
    size_t            i, used;
    perm_expiring_t  *expiring = data;

    expiring->seen += n;

    /* what ends and is not saved by renewal comes to the front */

    for (i = 0, used = 0; i < n; i++) {
        if (days_wanted(cli, rows[i].expires)
            && end_of(expiring, rows[i].expires, rows[i].last)
               == rows[i].expires)
        {
            rows[used++] = rows[i];
        }
    }

    if (2 * used > expiring->ngateways) {
        expiring->ngateways = 2 * used;
        expiring->gateways = perm_realloc(expiring->gateways,
                                          2 * used * sizeof(redisReply *));
    }

    for (i = 0; i < used; i++) {
        expiring->gateways[2 * i] = NULL;
        expiring->gateways[2 * i + 1] = NULL;

        if (rows[i].resource.len) {
            ask_gateway(cli, &rows[i], &expiring->gateways[2 * i]);
        }
    }

    perm_client_wait(cli->client);

    for (i = 0; i < used; i++) {
        if (!covered(expiring, &rows[i], &expiring->gateways[2 * i])) {
            remember(expiring, &rows[i]);
        }

        drop(expiring->gateways[2 * i]);
        drop(expiring->gateways[2 * i + 1]);
    }
}


static int
compare(const void *a, const void *b)
{
    int                   order;
    const perm_ending_t  *one = a, *two = b;

    order = strcmp(one->app, two->app);

    if (order == 0) {
        order = strcmp(one->gateway, two->gateway);
    }

    return order ? order : strcmp(one->resource, two->resource);
}


/* the object of one app: what a mail to its developers needs */

static void
print_app(const perm_cli_t *cli, FILE *file, const perm_ending_t *list,
    size_t n)
{
    size_t                i;
    const char           *after;
    const perm_ending_t  *ending;

    perm_object_begin(file);
    perm_object_text(file, "app", list->app);
    perm_object_raw(file, "grants", "[");

    for (i = 0; i < n; i++) {
        ending = &list[i];

        /* one that was seen twice while its hash was resized */

        if (i && compare(ending, ending - 1) == 0) {
            continue;
        }

        after = i ? "," : "";
        fputs(after, file);

        perm_object_begin(file);
        perm_object_text(file, "gateway", ending->gateway);

        if (ending->resource[0]) {
            perm_object_text(file, "resource", ending->resource);
        } else {
            perm_object_raw(file, "resource", "null");
        }

        perm_object_number(file, "expires", ending->expires);
        perm_object_text(file, "expires_at", perm_time_text(ending->expires));
        perm_object_number(file, "days_left",
                           (ending->expires - cli->now) / DAY);
        perm_object_number(file, "last_access", ending->last);
        perm_object_end(file, "");
    }

    fputc(']', file);
    perm_object_end(file, "\n");
}


/* 1 when the app could not be told */

static int
tell_app(const perm_cli_t *cli, const perm_ending_t *list, size_t n)
{
    FILE        *file;
    char        *text;
    size_t       len;
    const char  *wrong;

    if (cli->args.notify == NULL) {
        print_app(cli, stdout, list, n);
        return 0;
    }

    file = open_memstream(&text, &len);

    if (file == NULL) {
        perm_fatal(PERM_EXIT_REDIS, "out of memory");
    }

    print_app(cli, file, list, n);

    if (fclose(file) != 0) {
        perm_fatal(PERM_EXIT_REDIS, "out of memory");
    }

    wrong = perm_notify(cli->args.notify, text, len,
                        cli->args.json ? STDERR_FILENO : STDOUT_FILENO);
    free(text);

    if (wrong != NULL) {
        perm_warn("--notify failed for app %s: %s", list->app, wrong);
    }

    return wrong != NULL;
}


static uint64_t
tell_apps(const perm_cli_t *cli, perm_expiring_t *expiring, uint64_t *apps)
{
    size_t    i, first;
    uint64_t  failed;

    if (expiring->n) {
        qsort(expiring->list, expiring->n, sizeof(perm_ending_t), compare);
    }

    failed = 0;
    *apps = 0;

    for (first = 0; first < expiring->n; first = i) {
        for (i = first; i < expiring->n; i++) {
            if (strcmp(expiring->list[i].app, expiring->list[first].app)) {
                break;
            }
        }

        failed += (uint64_t) tell_app(cli, &expiring->list[first], i - first);
        (*apps)++;
    }

    return failed;
}


static int
is_blank(const char *text)
{
    return text[strspn(text, " \t\n")] == '\0';
}


static perm_exit_t
run_expiring(perm_cli_t *cli)
{
    size_t           i;
    uint64_t         apps, failed;
    perm_walk_t      walk;
    perm_expiring_t  expiring;

    memset(&expiring, 0, sizeof(perm_expiring_t));
    expiring.term = (cli->args.term < 0) ? PERM_TERM_DEFAULT : cli->args.term;

    if (expiring.term == 0) {
        perm_fatal(PERM_EXIT_USAGE, "--term \"0\": a term is at least 1s");
    }

    if (cli->args.notify != NULL && is_blank(cli->args.notify)) {
        perm_fatal(PERM_EXIT_USAGE, "--notify \"%s\": no command, which would "
                   "tell nobody", cli->args.notify);
    }

    perm_table_warn_unloaded(cli);

    memset(&walk, 0, sizeof(perm_walk_t));
    walk.access = 1;
    walk.rows = expiring_rows;
    walk.data = &expiring;

    (void) perm_walk(cli, &walk);

    failed = tell_apps(cli, &expiring, &apps);

    perm_warn("%llu grants of %llu apps end; %llu apps could not be told",
              (unsigned long long) expiring.n, (unsigned long long) apps,
              (unsigned long long) failed);

    for (i = 0; i < expiring.n; i++) {
        free(expiring.list[i].names);
    }

    free(expiring.list);
    free(expiring.gateways);

    return failed ? PERM_EXIT_NO : perm_table_found(cli, expiring.seen);
}


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
    expiring_options, 1, 0, run_expiring
};
