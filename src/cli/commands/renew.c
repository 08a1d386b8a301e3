
/*
 * renew: grants in use get a new term.
 */


#include <stdlib.h>
#include <string.h>

#include "cli/table/table.h"
#include "core/grant.h"
#include "core/renewal.h"


#define OFFSET(member)  offsetof(perm_args_t, member)
#define ATTEMPTS_MAX    100

#define DIMENSION_GATEWAY   1
#define DIMENSION_RESOURCE  2


static const perm_option_t  renew_options[] = {
    { "--term", "SPAN", "a grant in use ends that long after its last access, "
      "180d", PERM_ARG_SPAN, OFFSET(term), 0 },
    { "--dimension", "both|gateway|resource", "only grants on whole gateways, "
      "or only on resources", PERM_ARG_WORD, OFFSET(dimension), 0 },
    { "--dry-run", NULL, "change nothing, say what would be",
      PERM_ARG_FLAG, OFFSET(dry_run), 0 },
    PERM_OPTION_END
};


typedef struct {
    const perm_row_t  *row;
    int64_t            expires;    /* before */
    int64_t            last;
    int64_t            renewed;
    char              *value;
    int                written;
    const char        *result;
} perm_renew_item_t;


typedef struct {
    int64_t            term;
    uint64_t           considered;
    uint64_t           renewed;
    uint64_t           gone;
    perm_renew_item_t *items;
    size_t             size;
} perm_renew_run_t;


static int
take_written(void *data, redisReply *reply)
{
    int  *written = data;

    *written = (reply->type == REDIS_REPLY_INTEGER && reply->integer == 1);

    return 0;
}


static int
in_dimension(const perm_cli_t *cli, const perm_row_t *row)
{
    switch (cli->args.dimension) {
    case DIMENSION_GATEWAY:
        return row->resource.len == 0;
    case DIMENSION_RESOURCE:
        return row->resource.len != 0;
    default:
        return 1;
    }
}


/* sends the new value, against the one that was read */

static void
send_renewal(perm_cli_t *cli, perm_renew_item_t *item, perm_str_t old)
{
    item->value = perm_grant_rewrite(old, item->renewed, "auto_renew",
                                     PERM_GRANT_ABSENT);

    if (item->value == NULL) {
        perm_fatal(PERM_EXIT_REDIS, "out of memory");
    }

    perm_table_write(cli, item->row->key, item->row->field, old,
                     perm_str(item->value), take_written, &item->written);
}


/* 1 when the grant as it is has to be renewed; fills the item in */

static int
decide(const perm_renew_run_t *run, perm_renew_item_t *item, int64_t expires,
    int64_t last)
{
    perm_renewal_t  renewal;

    item->expires = expires;
    item->last = last;

    renewal = perm_renewal_decide(expires, last, run->term, &item->renewed);
    item->result = perm_renewal_name(renewal);

    return renewal == PERM_RENEWED;
}


/*
 * Somebody revoked or changed the grant between the reading and the writing:
 * that stands, and what it is now is looked at afresh.
 */

static void
renew_again(perm_cli_t *cli, perm_renew_run_t *run, perm_renew_item_t *item)
{
    int64_t            expires, last;
    unsigned           attempts;
    perm_str_t         value;
    redisReply        *reply;
    const perm_row_t  *row;

    row = item->row;

    for (attempts = 0; !item->written; attempts++) {

        if (attempts == ATTEMPTS_MAX) {
            perm_fatal(PERM_EXIT_REDIS, "\"%s\" changes too fast to be "
                       "renewed", perm_escape(row->key));
        }

        value = perm_table_value(cli, row->key, row->field, &reply);
        expires = value.data ? perm_grant_expires(value) : PERM_GRANT_ABSENT;

        if (expires < 0) {
            freeReplyObject(reply);
            item->result = value.data ? "unreadable" : "gone";
            item->expires = PERM_GRANT_ABSENT;
            item->renewed = PERM_GRANT_ABSENT;
            run->gone++;
            return;
        }

        last = perm_table_last(cli, row->gateway, row->resource, row->app);

        if (!decide(run, item, expires, last)) {
            freeReplyObject(reply);
            return;
        }

        free(item->value);
        send_renewal(cli, item, value);
        perm_client_wait(cli->client);
        freeReplyObject(reply);
    }
}


static void
print_item(const perm_cli_t *cli, const perm_renew_item_t *item)
{
    int                would;
    const perm_row_t  *row;

    row = item->row;
    would = cli->args.dry_run && item->written == 1;

    if (cli->args.json) {
        perm_object_begin(stdout);
        perm_object_string(stdout, "gateway", row->gateway);

        if (row->resource.len) {
            perm_object_string(stdout, "resource", row->resource);
        } else {
            perm_object_raw(stdout, "resource", "null");
        }

        perm_object_string(stdout, "app", row->app);
        perm_object_text(stdout, "result",
                         would ? "would_renew" : item->result);
        perm_object_number(stdout, "last_access", item->last);
        perm_object_number(stdout, "expires_before", item->expires);
        perm_object_number(stdout, "expires", item->renewed);
        perm_object_end(stdout, "\n");

    } else if (would) {
        printf("%.*s %.*s %.*s: %s -> %s\n",
               (int) row->gateway.len, row->gateway.data,
               (int) row->field.len, row->field.data,
               (int) row->app.len, row->app.data,
               perm_time_text(item->expires), perm_time_text(item->renewed));
    }
}


static void
renew_rows(perm_cli_t *cli, void *data, perm_row_t *rows, size_t n)
{
    size_t              i, used;
    perm_renew_run_t   *run = data;
    perm_renew_item_t  *item;

    if (n > run->size) {
        run->size = n;
        run->items = perm_realloc(run->items, n * sizeof(perm_renew_item_t));
    }

    for (i = 0, used = 0; i < n; i++) {
        if (!in_dimension(cli, &rows[i])) {
            continue;
        }

        item = &run->items[used++];
        memset(item, 0, sizeof(perm_renew_item_t));
        item->row = &rows[i];

        if (!decide(run, item, rows[i].expires, rows[i].last)) {
            item->written = -1;

        } else if (cli->args.dry_run) {
            item->written = 1;

        } else {
            send_renewal(cli, item, rows[i].value);
        }
    }

    perm_client_wait(cli->client);

    for (i = 0; i < used; i++) {
        item = &run->items[i];

        renew_again(cli, run, item);
        run->considered++;
        run->renewed += (item->written == 1);
        print_item(cli, item);
        free(item->value);
    }

    perm_progress("looked at", run->considered, 0);
}


static perm_exit_t
run_renew(perm_cli_t *cli)
{
    perm_walk_t       walk;
    perm_renew_run_t  run;

    memset(&run, 0, sizeof(perm_renew_run_t));
    run.term = (cli->args.term < 0) ? PERM_TERM_DEFAULT : cli->args.term;

    if (run.term == 0) {
        perm_fatal(PERM_EXIT_USAGE, "--term \"0\": a term is at least 1s");
    }

    perm_table_warn_unloaded(cli);
    perm_catch_interrupt();

    memset(&walk, 0, sizeof(perm_walk_t));
    walk.access = 1;
    walk.rows = renew_rows;
    walk.data = &run;

    (void) perm_walk(cli, &walk);
    free(run.items);

    perm_warn("%s%s %llu of %llu grants%s",
              perm_interrupted ? "interrupted: " : "",
              cli->args.dry_run ? "would renew" : "renewed",
              (unsigned long long) run.renewed,
              (unsigned long long) run.considered,
              run.gone ? "; some were revoked meanwhile" : "");

    return perm_table_found(cli, run.considered);
}


const perm_command_t  perm_renew_command = {
    "renew", "",
    "give grants in use a new term",
    "A grant whose last access came before its end, and less than a term\n"
    "ago counted from there, ends a term after that access. The last access\n"
    "of a grant on a whole gateway is the newest over its resources.\n"
    "Permanent and unused grants stay as they are, and so does what is\n"
    "revoked or changed while this runs. The result does not depend on when\n"
    "or how often it runs.",
    renew_options, 1, 0, run_renew
};
