
/*
 * renew: grants in use get a new term.
 */


#include <stdlib.h>
#include <string.h>

#include "cli/commands/command.h"
#include "cli/table/walk.h"
#include "cli/util/alloc.h"
#include "core/grant.h"
#include "core/renewal.h"


#define DIMENSION_GATEWAY   1    /* indexes of the words of --dimension */
#define DIMENSION_RESOURCE  2


typedef struct {
    perm_cli_t        *cli;
    const perm_row_t  *row;
    int64_t            expires;     /* before */
    int64_t            last;
    int64_t            renewed;     /* expires afterwards */
    int                renews;
    int                too_long;    /* its value would be */
    char              *value;       /* with that end */
    perm_count_t       written;
    const char        *result;
} perm_renew_item_t;


typedef struct {
    perm_cli_t         *cli;
    perm_count_t        considered;
    perm_count_t        renewed;
    perm_count_t        too_long;
    int                 gone;       /* grants were revoked meanwhile */
    perm_renew_item_t  *items;
    size_t              size;
} perm_renew_run_t;


static perm_exit_t run_renew(perm_cli_t *cli);
static void renew_rows(void *data, perm_row_t *rows, size_t n);
static void decide(perm_renew_item_t *item, const perm_grant_t *grant,
    int64_t last);
static char *new_value(perm_renew_item_t *item, perm_str_t old);
static char *change(void *data, perm_str_t old);
static void print_item(const perm_renew_item_t *item);


static const perm_option_t  renew_options[] = {
    { "--term", "SPAN", "a grant in use ends that long after its last access, "
      "180d", PERM_OPTION(TERM, term) },
    { "--dimension", "both|gateway|resource", "only grants on whole gateways, "
      "or only on resources", PERM_OPTION(WORD, dimension) },
    { "--dry-run", NULL, "change nothing, say what would be",
      PERM_OPTION(FLAG, dry_run) },
    PERM_OPTION_END
};


const perm_command_t  perm_renew_command = {
    "renew", "",
    "give grants in use a new term",
    "A grant whose last access came before its end, and less than a term\n"
    "ago counted from there, ends a term after that access. The last access\n"
    "of a grant on a whole gateway is the newest over its resources. An\n"
    "access from before the grant was given does not count.\n"
    "Permanent and unused grants stay as they are, those with --no-renew as\n"
    "well, and so does what is revoked or changed while this runs. The\n"
    "result does not depend on when or how often it runs. Exit status 1:\n"
    "grants or keys could not be read; the others are done.",
    renew_options, 1, run_renew
};


static perm_exit_t
run_renew(perm_cli_t *cli)
{
    perm_renew_run_t     run;
    perm_walk_skipped_t  skipped;

    perm_table_warn_unloaded(&cli->table);
    perm_walk_catch_interrupt();

    memset(&run, 0, sizeof(perm_renew_run_t));
    run.cli = cli;

    skipped = perm_walk(&cli->table, PERM_WALK_LAST, NULL, renew_rows, &run);
    skipped.unreadable += run.too_long;
    free(run.items);

    perm_output_warn("%s%s %llu of %s%s",
                     perm_walk_interrupted ? "interrupted: " : "",
                     cli->args.dry_run ? "would renew" : "renewed",
                     run.renewed, perm_output_count(run.considered, "grant"),
                     run.gone ? "; some were revoked meanwhile" : "");

    return perm_walk_status(skipped,
                            perm_table_found(&cli->table, run.considered));
}


static void
renew_rows(void *data, perm_row_t *rows, size_t n)
{
    size_t              i, used;
    perm_table_t       *table;
    perm_renew_run_t   *run = data;
    perm_renew_item_t  *item;

    table = &run->cli->table;
    run->items = perm_alloc_room(run->items, &run->size, n,
                                 sizeof(perm_renew_item_t));

    for (i = 0, used = 0; i < n; i++) {
        if (run->cli->args.dimension
            && run->cli->args.dimension
               != (rows[i].tuple.resource.len ? DIMENSION_RESOURCE
                                              : DIMENSION_GATEWAY))
        {
            continue;
        }

        item = &run->items[used++];
        memset(item, 0, sizeof(perm_renew_item_t));
        item->cli = run->cli;
        item->row = &rows[i];
        decide(item, &rows[i].grant, rows[i].last);
        item->value = item->renews ? new_value(item, rows[i].value) : NULL;

        if (item->renews && !run->cli->args.dry_run) {
            perm_table_write(table, rows[i].key, rows[i].field, rows[i].value,
                             perm_str(item->value), &item->written);
        }
    }

    perm_client_wait(table->client);

    for (i = 0; i < used; i++) {
        item = &run->items[i];
        free(item->value);

        /* another writer was first: read and decide again */

        if (item->renews && !item->written && !run->cli->args.dry_run) {
            perm_table_change(table, item->row->key, item->row->field,
                              change, item);
        }

        run->considered++;
        run->renewed += item->renews;
        run->too_long += item->too_long;
        run->gone |= item->expires < 0;
        print_item(item);
    }

    perm_output_progress("looked at", run->considered, 0);
}


static void
decide(perm_renew_item_t *item, const perm_grant_t *grant, int64_t last)
{
    perm_renewal_t     renewal;
    const perm_cli_t  *cli;

    cli = item->cli;
    renewal = perm_renewal_decide(grant, last, cli->table.now, cli->args.term,
                                  &item->renewed);

    item->expires = grant->expires;
    item->last = last;
    item->renews = (renewal == PERM_RENEWED);
    item->result = perm_renewal_name(renewal);
}


/* NULL: it would be too long to be read, and stays as it is */

static char *
new_value(perm_renew_item_t *item, perm_str_t old)
{
    char                *value;
    perm_grant_change_t  change;

    memset(&change, 0, sizeof(perm_grant_change_t));
    change.expires = item->renewed;
    change.granted = PERM_GRANT_ABSENT;
    change.type = "auto_renew";

    value = perm_alloc_check(perm_grant_rewrite(old, &change));

    if (strlen(value) > PERM_GRANT_VALUE_MAX) {
        perm_output_warn("\"%s\", field \"%s\": not renewed, its value would "
                         "be longer than 64 KiB",
                         perm_output_safe(item->row->key),
                         perm_output_safe(item->row->field));
        free(value);
        value = NULL;

        item->result = "too_long";
        item->renewed = item->expires;
        item->renews = 0;
        item->too_long = 1;
    }

    return value;
}


static char *
change(void *data, perm_str_t old)
{
    perm_grant_t        grant;
    perm_renew_item_t  *item = data;

    grant = perm_grant_read(old);

    if (grant.expires < 0) {
        item->result = old.data ? "unreadable" : "gone";
        item->expires = PERM_GRANT_ABSENT;
        item->renewed = PERM_GRANT_ABSENT;
        item->renews = 0;
        return NULL;
    }

    decide(item, &grant, perm_table_last(&item->cli->table, &item->row->tuple));

    return item->renews ? new_value(item, old) : NULL;
}


static void
print_item(const perm_renew_item_t *item)
{
    int                 would;
    const perm_row_t   *row;
    const perm_args_t  *args;

    row = item->row;
    args = &item->cli->args;
    would = args->dry_run && item->renews;

    if (args->json) {
        perm_output_json(stdout, "{%t,'result':%s,'last_access':%n,"
                         "'expires_before':%n,'expires':%n}\n", &row->tuple,
                         would ? "would_renew" : item->result, item->last,
                         item->expires, item->renewed);

    } else if (would) {
        perm_output_results();
        printf("%.*s %.*s %.*s: %s -> %s\n",
               (int) row->tuple.gateway.len, row->tuple.gateway.data,
               (int) row->field.len, row->field.data,
               (int) row->tuple.app.len, row->tuple.app.data,
               perm_output_time(item->expires),
               perm_output_time(item->renewed));
    }
}
