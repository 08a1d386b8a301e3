
/*
 * purge: grants that ended long ago, and accesses that belong to no grant.
 */


#include <string.h>

#include "cli/commands/command.h"
#include "cli/table/walk.h"


typedef struct {
    perm_cli_t    *cli;
    perm_table_t  *table;
    int            dry_run;
    int64_t        before;     /* grants that ended until then go */
    perm_count_t   seen;
    perm_count_t   grants;     /* removed */
    perm_count_t   accesses;   /* removed */
} perm_purge_t;


static perm_exit_t run_purge(perm_cli_t *cli);
static void purge_grants(void *data, perm_row_t *rows, size_t n);
static void purge_accesses(void *data, perm_row_t *rows, size_t n);
static int count_removed(void *data, redisReply *reply);
static void print_grant(const perm_purge_t *purge, const perm_row_t *row);
static void count_accesses(void *data, perm_row_t *rows, size_t n);
static int remains(const perm_purge_t *purge, const redisReply *grant);


/* KEYS: accesses, grants; ARGV: resources.  Removes those without a grant. */

static const char  orphans_script[] =
    "if redis.call('HEXISTS',KEYS[2],'-')==1 then return 0 end "
    "local n=0 for _,r in ipairs(ARGV) do "
    "if redis.call('HEXISTS',KEYS[2],r)==0 then "
    "n=n+redis.call('ZREM',KEYS[1],r) end end return n";


static const perm_option_t  purge_options[] = {
    { "--expired-for", "SPAN", "grants that ended that long ago, 365d",
      PERM_OPTION(SPAN, expired_for) },
    { "--dry-run", NULL, "remove nothing, and say what would be removed",
      PERM_OPTION(FLAG, dry_run) },
    PERM_OPTION_END
};


const perm_command_t  perm_purge_command = {
    "purge", "",
    "remove grants that ended long ago, and their accesses",
    "Removes grants that ended at least that long ago, each only if it is\n"
    "still what was read, and then the last accesses of resources that the\n"
    "app has no grant for any more, neither on the resource nor on the\n"
    "gateway.",
    purge_options, 1, run_purge
};


static perm_exit_t
run_purge(perm_cli_t *cli)
{
    perm_purge_t  purge;

    if (!cli->table.loaded) {
        perm_table_warn_unloaded(&cli->table);
        perm_output_warn("nothing was purged");
        return PERM_EXIT_NO;
    }

    memset(&purge, 0, sizeof(perm_purge_t));
    purge.cli = cli;
    purge.table = &cli->table;
    purge.dry_run = cli->args.dry_run;
    purge.before = cli->table.now - cli->args.expired_for;

    perm_walk_catch_interrupt();

    (void) perm_walk(&cli->table, 0, NULL, purge_grants, &purge);

    purge.seen = 0;
    (void) perm_walk(&cli->table, PERM_WALK_ACCESSES | PERM_WALK_UNREADABLE,
                     NULL, purge.dry_run ? count_accesses : purge_accesses,
                     &purge);

    perm_output_warn("%s%s %s and %s",
                     perm_walk_interrupted ? "interrupted: " : "",
                     purge.dry_run ? "dry run, nothing was removed: would purge"
                                   : "purged",
                     perm_output_count(purge.grants, "grant"),
                     perm_output_plural(purge.accesses, "access", "accesses"));

    if (cli->args.json) {
        perm_output_json(stdout, "{'grants':%n,'accesses':%n}\n",
                         purge.grants, purge.accesses);
    }

    return PERM_EXIT_DONE;
}


static void
purge_grants(void *data, perm_row_t *rows, size_t n)
{
    size_t         i;
    perm_str_t     none;
    perm_purge_t  *purge = data;

    none.data = NULL;
    none.len = 0;

    for (i = 0; i < n; i++) {
        if (rows[i].grant.expires > purge->before) {
            continue;
        }

        if (purge->dry_run) {
            purge->grants++;
            print_grant(purge, &rows[i]);

        } else {
            perm_table_write(purge->table, rows[i].key, rows[i].field,
                             rows[i].value, none, &purge->grants);
        }
    }

    perm_client_wait(purge->table->client);

    purge->seen += n;
    perm_output_progress("looked at grants", purge->seen, 0);
}


static void
purge_accesses(void *data, perm_row_t *rows, size_t n)
{
    char           text[PERM_KEY_MAX];
    size_t         i;
    perm_str_t     grants;
    perm_purge_t  *purge = data;
    perm_table_t  *table = purge->table;

    for (i = 0; i < n; i++) {

        if (i == 0 || rows[i].key.data != rows[i - 1].key.data) {
            grants = perm_table_key(table, text, PERM_KEY_GRANTS,
                                    &rows[i].tuple);
            perm_client_command(table->client, "EVAL %s 2 %k %b",
                                orphans_script, rows[i].key, grants);
        }

        perm_client_word(table->client, rows[i].field);

        if (i + 1 == n || rows[i].key.data != rows[i + 1].key.data) {
            perm_client_send(table->client, NULL, PERM_ERRORS_TOO,
                             count_removed, &purge->accesses);
        }
    }

    perm_client_wait(table->client);

    purge->seen += n;
    perm_output_progress("looked at accesses", purge->seen, 0);
}


/* accesses stay where the grants are of another type */

static int
count_removed(void *data, redisReply *reply)
{
    return perm_table_wrong_type(reply, NULL) ? 0
                                              : perm_table_count(data, reply);
}


static void
print_grant(const perm_purge_t *purge, const perm_row_t *row)
{
    if (purge->cli->args.json) {
        perm_output_json(stdout, "{'result':'removed',%g,'was':%n}\n",
                         &row->tuple, row->grant.expires);
        perm_output_check();
    }
}


/* dry run: the grants that would be purged are still there */

static void
count_accesses(void *data, perm_row_t *rows, size_t n)
{
    char           text[PERM_KEY_MAX];
    size_t         i, j, first;
    perm_str_t     grants;
    redisReply    *reply;
    perm_purge_t  *purge = data;
    perm_table_t  *table = purge->table;

    for (first = 0; first < n; first = i) {
        grants = perm_table_key(table, text, PERM_KEY_GRANTS,
                                &rows[first].tuple);
        perm_client_command(table->client, "HMGET %k " PERM_GATEWAY_FIELD,
                            grants);

        for (i = first; i < n && rows[i].key.data == rows[first].key.data; i++)
        {
            perm_client_word(table->client, rows[i].field);
        }

        reply = NULL;
        perm_client_send(table->client, NULL, PERM_ERRORS_TOO,
                         perm_client_keep, &reply);
        perm_client_wait(table->client);

        if (!perm_table_wrong_type(reply, NULL)
            && !remains(purge, perm_table_element(reply, 0)))
        {
            for (j = 1; j <= i - first; j++) {
                purge->accesses += !remains(purge,
                                            perm_table_element(reply, j));
            }
        }

        freeReplyObject(reply);
    }
}


static int
remains(const perm_purge_t *purge, const redisReply *grant)
{
    perm_str_t  value;
    int64_t     expires;

    value = perm_table_bytes(grant);
    expires = value.data ? perm_grant_expires(value) : PERM_GRANT_UNREADABLE;

    return value.data != NULL && (expires < 0 || expires > purge->before);
}
