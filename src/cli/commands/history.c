
/*
 * history: who changed which grant, when and why.
 */


#include <stdlib.h>
#include <string.h>

#include "cli/commands/command.h"
#include "cli/table/walk.h"
#include "cli/util/alloc.h"
#include "core/grant.h"


/* what the texts of an entry lie in */

typedef struct {
    char          *key;
    redisReply    *reply;
} perm_history_part_t;



typedef struct {
    perm_tuple_t   tuple;
    int64_t        at;          /* unix seconds */
    perm_str_t     id;          /* of the stream, "milliseconds-number" */
    perm_str_t     action;
    perm_str_t     by;          /* data NULL: nobody said */
    perm_str_t     comment;
    int64_t        before;
    int64_t        expires;
} perm_history_row_t;


typedef struct {
    perm_cli_t          *cli;
    perm_history_row_t  *rows;
    size_t               n;
    size_t               size;
    perm_history_part_t *parts;
    size_t               nparts;
    size_t               parts_size;
    perm_walk_skipped_t  skipped;
} perm_history_run_t;


static perm_exit_t run_history(perm_cli_t *cli);
static void read_keys(void *data, perm_str_t *keys, size_t n);
static void read_entries(perm_history_run_t *run, perm_str_t key,
    redisReply *reply);
static void read_entry(perm_history_row_t *row, const redisReply *entry);
static int64_t number(perm_str_t text);
static int compare(const void *a, const void *b);
static void print_row(const perm_cli_t *cli, const perm_history_row_t *row);


static const perm_option_t  history_options[] = {
    { "--gateway", "G", "of this gateway only",
      PERM_OPTION(GATEWAY, tuple.gateway) },
    { "--app", "A", "of this app only", PERM_OPTION(APP, tuple.app) },
    { "--since", "T", "what happened at that time or later only",
      PERM_OPTION(TIME, since) },
    PERM_OPTION_END
};


const perm_command_t  perm_history_command = {
    "history", "",
    "who changed which grant, when and why",
    "Lists what grant, extend, revoke, apply, approve and reject did, the\n"
    "oldest first: about the last 100 changes of each gateway and app.\n"
    "import and renew are not in it. Exit status 1: there is nothing.",
    history_options, 1, run_history
};


static perm_exit_t
run_history(perm_cli_t *cli)
{
    size_t              i;
    perm_history_run_t  run;

    memset(&run, 0, sizeof(perm_history_run_t));
    run.cli = cli;

    perm_walk_keys(&cli->table, PERM_KEY_HISTORY, 0, &cli->args.tuple,
                   read_keys, &run);

    if (run.n) {
        qsort(run.rows, run.n, sizeof(perm_history_row_t), compare);

    } else {
        perm_output_warn("no such change");
    }

    if (run.n && !cli->args.json) {
        printf("%-20s %-8s %-16s %-24s %-20s %-20s %-20s %-12s %s\n", "WHEN",
               "ACTION", "GATEWAY", "RESOURCE", "APP", "EXPIRED BEFORE",
               "EXPIRES", "BY", "COMMENT");
    }

    for (i = 0; i < run.n; i++) {
        print_row(cli, &run.rows[i]);
    }

    for (i = 0; i < run.nparts; i++) {
        free(run.parts[i].key);
        freeReplyObject(run.parts[i].reply);
    }

    free(run.parts);
    free(run.rows);

    return perm_walk_status(run.skipped,
                            run.n ? PERM_EXIT_DONE : PERM_EXIT_NO);
}


static void
read_keys(void *data, perm_str_t *keys, size_t n)
{
    char                 since[32];
    size_t               i;
    redisReply         **replies;
    perm_client_t       *client;
    perm_history_run_t  *run = data;

    client = run->cli->table.client;
    replies = perm_alloc_check(calloc(n + 1, sizeof(redisReply *)));

    if (run->cli->args.since >= 0) {
        snprintf(since, sizeof(since), "%lld",
                 (long long) run->cli->args.since * 1000);
    } else {
        strcpy(since, "-");
    }

    for (i = 0; i < n; i++) {
        perm_client_command(client, "XRANGE %k %s +", keys[i], since);
        perm_client_send(client, NULL, PERM_ERRORS_TOO, perm_client_keep,
                         &replies[i]);
    }

    perm_client_wait(client);

    for (i = 0; i < n; i++) {
        if (perm_table_wrong_type(replies[i], &keys[i])) {
            run->skipped.wrong_types++;
            freeReplyObject(replies[i]);

        } else {
            read_entries(run, keys[i], replies[i]);
        }
    }

    free(replies);
}


/* keeps the reply, and the name of its key */

static void
read_entries(perm_history_run_t *run, perm_str_t key, redisReply *reply)
{
    char                *name;
    size_t               i;
    perm_tuple_t         tuple;
    perm_history_row_t  *row;

    memset(&tuple, 0, sizeof(perm_tuple_t));
    name = perm_alloc(key.len);
    key.data = memcpy(name, key.data, key.len);

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements == 0
        || !perm_grant_key_parse(key, PERM_KEY_HISTORY,
                                 run->cli->table.prefix, &tuple.gateway,
                                 &tuple.app))
    {
        free(name);
        freeReplyObject(reply);
        return;
    }

    run->rows = perm_alloc_room(run->rows, &run->size,
                                run->n + reply->elements,
                                sizeof(perm_history_row_t));
    run->parts = perm_alloc_room(run->parts, &run->parts_size, run->nparts + 1,
                                 sizeof(perm_history_part_t));
    run->parts[run->nparts].key = name;
    run->parts[run->nparts++].reply = reply;

    for (i = 0; i < reply->elements; i++) {
        row = &run->rows[run->n++];
        memset(row, 0, sizeof(perm_history_row_t));
        row->tuple = tuple;
        read_entry(row, reply->element[i]);
    }
}


/* [id, [name, value, ...]]; anybody may have written it */

static void
read_entry(perm_history_row_t *row, const redisReply *entry)
{
    size_t             i, m;
    perm_str_t         name, value, before, expires, resource;
    const redisReply  *members;

    const struct {
        const char  *name;
        perm_str_t  *value;
    } known[] = {
        { "action", &row->action },
        { "resource", &resource },
        { "before", &before },
        { "expires", &expires },
        { "by", &row->by },
        { "comment", &row->comment }
    };

    before.data = NULL;
    expires.data = NULL;
    resource = perm_str(PERM_GATEWAY_FIELD);

    row->id = perm_table_bytes(perm_table_element(entry, 0));
    row->at = row->id.data ? strtoll(row->id.data, NULL, 10) / 1000 : 0;
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

    if (perm_name_resource_valid(resource)) {
        row->tuple.resource = resource;
    }
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

static int
compare(const void *a, const void *b)
{
    const perm_history_row_t  *one = a, *two = b;
    unsigned long long         x[2], y[2];

    x[0] = x[1] = y[0] = y[1] = 0;
    (void) sscanf(one->id.data ? one->id.data : "", "%llu-%llu", &x[0], &x[1]);
    (void) sscanf(two->id.data ? two->id.data : "", "%llu-%llu", &y[0], &y[1]);

    return (x[0] != y[0]) ? (x[0] < y[0] ? -1 : 1)
           : (x[1] != y[1]) ? (x[1] < y[1] ? -1 : 1) : 0;
}


static void
print_row(const perm_cli_t *cli, const perm_history_row_t *row)
{
    const perm_tuple_t  *tuple;

    tuple = &row->tuple;

    if (cli->args.json) {
        perm_output_json(stdout, "{%t,'at':%n,'action':%b", tuple, row->at,
                         row->action);
        perm_output_json(stdout, row->by.data ? ",'by':%b" : ",'by':null",
                         row->by);
        perm_output_json(stdout, row->comment.data ? ",'comment':%b"
                                                   : ",'comment':null",
                         row->comment);
        perm_output_json(stdout, ",'expires_before':%n,'expires':%n}\n",
                         row->before, row->expires);
        return;
    }

    printf("%-20s %-8s %-16.*s %-24.*s %-20.*s %-20s %-20s ",
           perm_output_time(row->at), perm_output_safe(row->action),
           (int) tuple->gateway.len, tuple->gateway.data,
           tuple->resource.len ? (int) tuple->resource.len : 1,
           tuple->resource.len ? tuple->resource.data : PERM_GATEWAY_FIELD,
           (int) tuple->app.len, tuple->app.data,
           perm_output_time(row->before), perm_output_time(row->expires));
    printf("%-12s %s\n", row->by.data ? perm_output_safe(row->by) : "-",
           perm_output_safe(row->comment));
    perm_output_check();
}
