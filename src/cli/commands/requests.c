
/*
 * requests: what apps have applied for.
 */


#include <stdlib.h>
#include <string.h>

#include "cli/commands/command.h"
#include "cli/table/requests.h"
#include "cli/table/walk.h"
#include "cli/util/alloc.h"
#include "cli/util/columns.h"
#include "cli/util/sorted.h"
#include "resp/printable.h"


#define TEXT_WIDTH  60   /* of a reason or a comment in the table */
#define NAME_SIZE   (PERM_TUPLE_MAX + 4)


typedef struct {
    perm_cli_t      *cli;
    perm_sorted_t   *sorted;
    perm_columns_t   columns;
    perm_count_t     n;
    perm_count_t     unreadable;
} perm_requests_run_t;


static perm_exit_t run_requests(perm_cli_t *cli);
static void read_rows(void *data, perm_row_t *rows, size_t n);
static int is_wanted(perm_requests_run_t *run, const perm_row_t *row);
static void ask_grants(perm_requests_run_t *run, const perm_row_t *rows,
    size_t n, redisReply **reply);
static void add(perm_requests_run_t *run, const perm_row_t *row,
    int64_t expires, int64_t gateway);
static char *json_line(const perm_row_t *row, int64_t expires,
    int64_t gateway, size_t *len);
static char *table_line(perm_requests_run_t *run, const perm_row_t *row,
    int64_t expires, int64_t gateway, size_t *len);
static void text_cell(const cJSON *json, perm_str_t value, const char *name,
    char cell[TEXT_WIDTH]);
static void print(void *data, const perm_sorted_row_t *row);


static const perm_option_t  requests_options[] = {
    { "--gateway", "G", "of this gateway only",
      PERM_OPTION(GATEWAY, tuple.gateway) },
    { "--app", "A", "of this app only", PERM_OPTION(APP, tuple.app) },
    { "--status", "pending|approved|rejected|all",
      "those in that state only, pending",
      PERM_OPTION(WORD, status) },
    PERM_OPTION_END
};


const perm_command_t  perm_requests_command = {
    "requests", "",
    "what apps have applied for",
    "Lists requests, the oldest first, with what the app has today: until\n"
    "when it has the permission that it asks for, or the one on the whole\n"
    "gateway. A \"-\" is the whole gateway. Long texts are cut, except with\n"
    "--json. Exit status 1: there is none, or some cannot be read.",
    requests_options, 1, run_requests
};


static perm_exit_t
run_requests(perm_cli_t *cli)
{
    perm_exit_t           status;
    perm_requests_run_t   run;
    perm_walk_skipped_t   skipped;

    static const char *const  titles[] = {
        "ASKED", "STATUS", "GATEWAY", "RESOURCE", "APP", "DAYS", "HAS UNTIL",
        "BY", "REASON", "HANDLED BY", "COMMENT", NULL
    };

    memset(&run, 0, sizeof(perm_requests_run_t));
    run.cli = cli;
    run.columns.titles = titles;
    run.sorted = perm_sorted_create();

    skipped = perm_walk(&cli->table, PERM_WALK_REQUESTS | PERM_WALK_REPEATS,
                        &cli->args.tuple, read_rows, &run);

    if (run.n == 0) {
        perm_table_warn_unloaded(&cli->table);
        perm_output_warn("no such request");

    } else if (!cli->args.json) {
        perm_columns_titles(&run.columns);
    }

    status = (run.n && run.unreadable == 0) ? PERM_EXIT_DONE : PERM_EXIT_NO;
    perm_sorted_end(run.sorted, print, &run);

    return perm_walk_status(skipped, status);
}


static void
read_rows(void *data, perm_row_t *rows, size_t n)
{
    size_t                 i, m, first;
    redisReply           **replies;
    perm_requests_run_t   *run = data;

    for (i = 0, m = 0; i < n; i++) {
        if (is_wanted(run, &rows[i])) {
            rows[m++] = rows[i];
        }
    }

    replies = perm_alloc_check(calloc(m + 1, sizeof(redisReply *)));

    for (first = 0, i = 0; i < m; i++) {
        if (i + 1 == m || rows[i + 1].key.data != rows[first].key.data) {
            ask_grants(run, &rows[first], i + 1 - first, &replies[first]);
            first = i + 1;
        }
    }

    perm_client_wait(run->cli->table.client);

    for (first = 0, i = 0; i < m; i++) {
        if (rows[i].key.data != rows[first].key.data) {
            first = i;
        }

        add(run, &rows[i],
            perm_grant_expires(perm_table_bytes(
                perm_table_element(replies[first], i + 1 - first))),
            perm_grant_expires(perm_table_bytes(
                perm_table_element(replies[first], 0))));
    }

    for (i = 0; i < m; i++) {
        freeReplyObject(replies[i]);
    }

    free(replies);
}


static int
is_wanted(perm_requests_run_t *run, const perm_row_t *row)
{
    unsigned         status;
    perm_request_t   request;

    status = run->cli->args.status;
    request = perm_request_read(row->value);

    if (request.status == PERM_REQUEST_UNREADABLE) {
        run->unreadable++;
        perm_requests_warn_unreadable(row->key, row->field);
        return 0;
    }

    return status > PERM_REQUEST_REJECTED || request.status == status;
}


/* of one key: on the gateway, and those of the rows */

static void
ask_grants(perm_requests_run_t *run, const perm_row_t *rows, size_t n,
    redisReply **reply)
{
    char           text[PERM_KEY_MAX];
    size_t         i;
    perm_table_t  *table;

    table = &run->cli->table;
    perm_client_command(table->client, "HMGET %k " PERM_GATEWAY_FIELD,
                        perm_table_key(table, text, PERM_KEY_GRANTS,
                                       &rows->tuple));

    for (i = 0; i < n; i++) {
        perm_client_word(table->client, rows[i].field);
    }

    perm_client_send(table->client, NULL, PERM_ERRORS_TOO, perm_client_keep,
                     reply);
}


static void
add(perm_requests_run_t *run, const perm_row_t *row, int64_t expires,
    int64_t gateway)
{
    char                 name[NAME_SIZE];
    char                *line;
    const perm_tuple_t  *tuple;
    perm_sorted_row_t    sorted;

    tuple = &row->tuple;
    line = run->cli->args.json
           ? json_line(row, expires, gateway, &sorted.text.len)
           : table_line(run, row, expires, gateway, &sorted.text.len);

    sorted.number = perm_request_read(row->value).at;
    sorted.name.data = name;
    sorted.name.len = (size_t) snprintf(name, sizeof(name), "%.*s %.*s %.*s",
                                        (int) tuple->gateway.len,
                                        tuple->gateway.data,
                                        (int) tuple->app.len, tuple->app.data,
                                        (int) row->field.len,
                                        row->field.data);
    sorted.text.data = line;

    perm_sorted_add(run->sorted, &sorted);
    run->n++;
    free(line);
}


static char *
json_line(const perm_row_t *row, int64_t expires, int64_t gateway, size_t *len)
{
    char  *line;
    FILE  *file;

    file = perm_alloc_check(open_memstream(&line, len));

    perm_output_json(file, "{%t", &row->tuple);
    perm_requests_print(file, row->value);
    perm_output_json(file, ",'expires':%n,'gateway_expires':%n}\n", expires,
                     gateway);

    perm_alloc_close(file, &line);

    return line;
}


static char *
table_line(perm_requests_run_t *run, const perm_row_t *row, int64_t expires,
    int64_t gateway, size_t *len)
{
    char                *line, days[24];
    char                 names[3][PERM_RESOURCE_MAX + 1];
    char                 texts[4][TEXT_WIDTH];
    cJSON               *json;
    unsigned             i;
    const char          *cells[PERM_COLUMNS_MAX];
    perm_request_t       request;

    static const char *const  members[4] = {
        "by", "reason", "handled_by", "comment"
    };

    request = perm_request_read(row->value);
    json = perm_json_parse(row->value);

    snprintf(names[0], sizeof(names[0]), "%.*s",
             (int) row->tuple.gateway.len, row->tuple.gateway.data);
    snprintf(names[1], sizeof(names[1]), "%.*s", (int) row->field.len,
             row->field.data);
    snprintf(names[2], sizeof(names[2]), "%.*s", (int) row->tuple.app.len,
             row->tuple.app.data);
    snprintf(days, sizeof(days), "%lld", (long long) request.days);

    for (i = 0; i < 4; i++) {
        text_cell(json, row->value, members[i], texts[i]);
    }

    cells[0] = perm_output_time(request.at ? request.at : -1);
    cells[1] = perm_request_status_name(request.status);
    cells[2] = names[0];
    cells[3] = names[1];
    cells[4] = names[2];
    cells[5] = request.days ? days : "permanent";
    cells[6] = perm_output_time(expires > gateway ? expires : gateway);
    cells[7] = texts[0];
    cells[8] = texts[1];
    cells[9] = texts[2];
    cells[10] = texts[3];

    line = perm_columns_pack(&run->columns, cells, len);
    cJSON_Delete(json);

    return line;
}


/*
 * A text as it is shown on a terminal, or "-": what cJSON would cut at a NUL is
 * taken from the value, with its escapes
 */

static void
text_cell(const cJSON *json, perm_str_t value, const char *name,
    char cell[TEXT_WIDTH])
{
    perm_str_t           text;
    const cJSON         *item;
    perm_json_member_t   member;

    item = cJSON_GetObjectItemCaseSensitive(json, name);
    text = perm_str("-");

    if (cJSON_IsString(item) && *item->valuestring != '\0') {
        text = perm_str(item->valuestring);
    }

    for (member = perm_json_members(json, value); perm_json_next(&member); ) {
        if (member.item == item && perm_json_has_nul(member.value)) {
            text = member.value;
        }
    }

    (void) perm_printable(cell, TEXT_WIDTH, text, 0);
}


static void
print(void *data, const perm_sorted_row_t *row)
{
    perm_requests_run_t  *run = data;

    if (run->cli->args.json) {
        fwrite(row->text.data, 1, row->text.len, stdout);

    } else {
        perm_columns_line(&run->columns, row->text.data);
    }

    perm_output_check();
}
