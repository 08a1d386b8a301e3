
/*
 * history: who changed which grant, when and why.
 */


#include <stdlib.h>
#include <string.h>

#include "cli/commands/command.h"
#include "cli/table/walk.h"
#include "cli/util/alloc.h"
#include "cli/util/columns.h"
#include "cli/util/sorted.h"
#include "core/grant.h"
#include "resp/printable.h"


#define TEXT_WIDTH  60   /* of an action or a name in the table */
#define NAME_SIZE   (PERM_KEY_MAX + 24)


typedef struct {
    perm_tuple_t    tuple;      /* the resource is any text of somebody */
    long long       at;         /* milliseconds */
    unsigned long long  turn;   /* of the entries of one millisecond */
    perm_str_t      action;
    perm_str_t      by;         /* data NULL: nobody said */
    perm_str_t      comment;
    int64_t         before;
    int64_t         expires;
} perm_history_row_t;


typedef struct {
    perm_cli_t          *cli;
    perm_sorted_t       *sorted;
    perm_columns_t       columns;
    perm_count_t         n;
    perm_walk_skipped_t  skipped;
} perm_history_run_t;


static perm_exit_t run_history(perm_cli_t *cli);
static void read_keys(void *data, perm_str_t *keys, size_t n);
static void read_entries(perm_history_run_t *run, perm_str_t key,
    const redisReply *reply);
static void read_entry(perm_history_row_t *row, const redisReply *entry);
static int64_t number(perm_str_t text);
static void add(perm_history_run_t *run, perm_str_t key,
    const perm_history_row_t *row);
static char *json_line(const perm_history_row_t *row, size_t *len);
static char *table_line(perm_history_run_t *run,
    const perm_history_row_t *row, size_t *len);
static void print(void *data, const perm_sorted_row_t *row);


static const perm_option_t  history_options[] = {
    { "--gateway", "G", "of this gateway only",
      PERM_OPTION(GATEWAY, tuple.gateway) },
    { "--app", "A", "of this app only", PERM_OPTION(APP, tuple.app) },
    { "--since", "T", "what happened at that time or later only",
      PERM_OPTION(SINCE, since) },
    PERM_OPTION_END
};


const perm_command_t  perm_history_command = {
    "history", "",
    "who changed which grant, when and why",
    "Lists what grant, extend, revoke, apply, approve and reject did, the\n"
    "oldest first: about the last 100 changes of each gateway and app.\n"
    "import and renew are not in it. A \"-\" in place of a resource is the\n"
    "whole gateway. Exit status 1: there is nothing.",
    history_options, 1, run_history
};


static perm_exit_t
run_history(perm_cli_t *cli)
{
    perm_exit_t         status;
    perm_history_run_t  run;

    static const char *const  titles[] = {
        "WHEN", "ACTION", "GATEWAY", "RESOURCE", "APP", "OLD END", "NEW END",
        "BY", "COMMENT", NULL
    };

    memset(&run, 0, sizeof(perm_history_run_t));
    run.cli = cli;
    run.columns.titles = titles;
    run.sorted = perm_sorted_create();

    perm_walk_keys(&cli->table, PERM_KEY_HISTORY, PERM_WALK_REPEATS,
                   &cli->args.tuple, read_keys, &run);

    if (run.n == 0) {
        perm_output_warn("no such change");

    } else if (!cli->args.json) {
        perm_columns_titles(&run.columns);
    }

    status = run.n ? PERM_EXIT_DONE : PERM_EXIT_NO;
    perm_sorted_end(run.sorted, print, &run);

    return perm_walk_status(run.skipped, status);
}


static void
read_keys(void *data, perm_str_t *keys, size_t n)
{
    char                 since[32];
    size_t               i;
    int64_t              from;
    redisReply         **replies;
    perm_client_t       *client;
    perm_history_run_t  *run = data;

    client = run->cli->table.client;
    replies = perm_alloc_check(calloc(n + 1, sizeof(redisReply *)));

    from = perm_args_time(&run->cli->args.since, run->cli->table.now);
    snprintf(since, sizeof(since), "%lld",
             from < 0 ? 0 : (long long) from * 1000);

    for (i = 0; i < n; i++) {
        perm_client_command(client, "XRANGE %k %s +", keys[i], since);
        perm_client_send(client, NULL, PERM_ERRORS_TOO, perm_client_keep,
                         &replies[i]);
    }

    perm_client_wait(client);

    for (i = 0; i < n; i++) {
        if (perm_table_wrong_type(replies[i], &keys[i])) {
            run->skipped.wrong_types++;
        } else {
            read_entries(run, keys[i], replies[i]);
        }

        freeReplyObject(replies[i]);
    }

    free(replies);
}


static void
read_entries(perm_history_run_t *run, perm_str_t key, const redisReply *reply)
{
    size_t              i;
    perm_history_row_t  row;

    memset(&row, 0, sizeof(perm_history_row_t));

    if (!perm_grant_key_parse(key, PERM_KEY_HISTORY, run->cli->table.prefix,
                              &row.tuple.gateway, &row.tuple.app))
    {
        return;
    }

    for (i = 0; perm_table_element(reply, i) != NULL; i++) {
        read_entry(&row, perm_table_element(reply, i));
        add(run, key, &row);
    }
}


/* [id, [name, value, ...]]; anybody may have written it */

static void
read_entry(perm_history_row_t *row, const redisReply *entry)
{
    size_t             i, m;
    perm_str_t         id, name, value, before, expires;
    const redisReply  *members;

    const struct {
        const char  *name;
        perm_str_t  *value;
    } known[] = {
        { "action", &row->action },
        { "resource", &row->tuple.resource },
        { "before", &before },
        { "expires", &expires },
        { "by", &row->by },
        { "comment", &row->comment }
    };

    for (m = 0; m < sizeof(known) / sizeof(known[0]); m++) {
        known[m].value->data = NULL;
        known[m].value->len = 0;
    }

    row->tuple.resource = perm_str(PERM_GATEWAY_FIELD);
    row->at = 0;
    row->turn = 0;

    id = perm_table_bytes(perm_table_element(entry, 0));
    (void) sscanf(id.data ? id.data : "", "%lld-%llu", &row->at, &row->turn);
    members = perm_table_element(entry, 1);

    for (i = 0; members != NULL && i + 1 < members->elements; i += 2) {
        name = perm_table_bytes(perm_table_element(members, i));
        value = perm_table_bytes(perm_table_element(members, i + 1));

        for (m = 0; m < sizeof(known) / sizeof(known[0]); m++) {
            if (name.data != NULL && value.data != NULL
                && perm_str_equal(name, perm_str(known[m].name)))
            {
                *known[m].value = value;
            }
        }
    }

    row->before = number(before);
    row->expires = number(expires);
}


static int64_t
number(perm_str_t text)
{
    char     *end;
    int64_t   seconds;

    if (text.data == NULL || text.len == 0) {
        return PERM_GRANT_ABSENT;
    }

    seconds = strtoll(text.data, &end, 10);

    return (*end == '\0' && seconds <= PERM_GRANT_EXPIRES_MAX)
           ? seconds : PERM_GRANT_ABSENT;
}


/* by time, and what one server wrote at the same time in its order */

static void
add(perm_history_run_t *run, perm_str_t key, const perm_history_row_t *row)
{
    char                name[NAME_SIZE];
    char               *line;
    perm_sorted_row_t   sorted;

    line = run->cli->args.json ? json_line(row, &sorted.text.len)
                               : table_line(run, row, &sorted.text.len);

    sorted.number = row->at;
    sorted.name.data = name;
    sorted.name.len = (size_t) snprintf(name, sizeof(name), "%020llu %.*s",
                                        row->turn, (int) key.len, key.data);
    sorted.text.data = line;

    perm_sorted_add(run->sorted, &sorted);
    run->n++;
    free(line);
}


static char *
json_line(const perm_history_row_t *row, size_t *len)
{
    char        *line;
    FILE        *file;
    perm_str_t   resource;

    file = perm_alloc_check(open_memstream(&line, len));
    resource = row->tuple.resource;

    perm_output_json(file, "{'gateway':%b,'resource':", row->tuple.gateway);
    perm_output_json(file, perm_str_equal(resource,
                                          perm_str(PERM_GATEWAY_FIELD))
                           ? "null" : "%b", resource);
    perm_output_json(file, ",'app':%b,'at':%n,'action':%b", row->tuple.app,
                     (int64_t) row->at / 1000, row->action);
    perm_output_json(file, row->by.data ? ",'by':%b" : ",'by':null", row->by);
    perm_output_json(file, row->comment.data ? ",'comment':%b"
                                             : ",'comment':null",
                     row->comment);
    perm_output_json(file, ",'expires_before':%n,'expires':%n}\n",
                     row->before, row->expires);

    perm_alloc_close(file, &line);

    return line;
}


static char *
table_line(perm_history_run_t *run, const perm_history_row_t *row, size_t *len)
{
    char                 names[2][PERM_RESOURCE_MAX + 1];
    char                 action[TEXT_WIDTH], by[TEXT_WIDTH];
    const char          *cells[PERM_COLUMNS_MAX];
    const perm_tuple_t  *tuple;

    tuple = &row->tuple;

    snprintf(names[0], sizeof(names[0]), "%.*s", (int) tuple->gateway.len,
             tuple->gateway.data);
    snprintf(names[1], sizeof(names[1]), "%.*s", (int) tuple->app.len,
             tuple->app.data);
    (void) perm_printable(action, TEXT_WIDTH, row->action, 0);
    (void) perm_printable(by, TEXT_WIDTH, row->by.data ? row->by
                                                       : perm_str("-"), 0);

    cells[0] = perm_output_time(row->at / 1000);
    cells[1] = action;
    cells[2] = names[0];
    cells[3] = tuple->resource.len ? perm_output_safe(tuple->resource)
                                   : "\"\"";
    cells[4] = names[1];
    cells[5] = perm_output_time(row->before);
    cells[6] = perm_output_time(row->expires);
    cells[7] = by;
    cells[8] = row->comment.data ? perm_output_safe(row->comment) : "-";

    return perm_columns_pack(&run->columns, cells, len);
}


static void
print(void *data, const perm_sorted_row_t *row)
{
    perm_history_run_t  *run = data;

    if (run->cli->args.json) {
        fwrite(row->text.data, 1, row->text.len, stdout);

    } else {
        perm_columns_line(&run->columns, row->text.data);
    }

    perm_output_check();
}
