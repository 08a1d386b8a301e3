
/*
 * purge: grants that ended long ago, accesses that belong to no grant, and what
 * is as old of handled requests, notices and histories.
 */


#include <stdlib.h>
#include <string.h>

#include "cli/commands/command.h"
#include "cli/table/walk.h"
#include "cli/util/alloc.h"
#include "core/request.h"


typedef struct {
    perm_cli_t    *cli;
    perm_table_t  *table;
    int            dry_run;
    int64_t        before;     /* grants that ended until then go */
    perm_count_t   seen;
    perm_count_t   grants;     /* removed */
    perm_count_t   accesses;   /* removed, as the next three */
    perm_count_t   requests;
    perm_count_t   notices;
    perm_count_t   history;    /* entries */
} perm_purge_t;


static perm_exit_t run_purge(perm_cli_t *cli);
static void purge_grants(void *data, perm_row_t *rows, size_t n);
static void purge_accesses(void *data, perm_row_t *rows, size_t n);
static int count_grant(void *data, redisReply *reply);
static int count_notice(void *data, redisReply *reply);
static int count_removed(void *data, redisReply *reply);
static void print_grant(const perm_purge_t *purge, const perm_row_t *row);
static void count_accesses(void *data, perm_row_t *rows, size_t n);
static void purge_requests(void *data, perm_row_t *rows, size_t n);
static void purge_notices(void *data, perm_row_t *rows, size_t n);
static int is_old_notice(const perm_purge_t *purge, const char *notice);
static void remove_field(perm_purge_t *purge, const perm_row_t *row,
    perm_count_t *removed);
static void purge_history(void *data, perm_str_t *keys, size_t n);
static void print_result(const perm_purge_t *purge);
static int remains(const perm_purge_t *purge, const redisReply *grant);


/*
 * KEYS: grants, notices; ARGV: field, value that was read.  2: with its notice.
 * Notices that are of another type do no harm.
 */

static const char  purge_script[] =
    PERM_TABLE_LUA_READ
    "if v~=ARGV[2] then return 0 end "
    "redis.call('HDEL',KEYS[1],ARGV[1]) "
    "return redis.pcall('HDEL',KEYS[2],ARGV[1])==1 and 2 or 1";


/* KEYS: accesses, grants; ARGV: resources.  Removes those without a grant. */

static const char  orphans_script[] =
    "if redis.call('HEXISTS',KEYS[2],'-')==1 then return 0 end "
    "local n=0 for _,r in ipairs(ARGV) do "
    "if redis.call('HEXISTS',KEYS[2],r)==0 then "
    "n=n+redis.call('ZREM',KEYS[1],r) end end return n";


/* KEYS: history; ARGV: the first milliseconds that stay.  An empty one goes. */

static const char  trim_script[] =
    "local n=redis.call('XTRIM',KEYS[1],'MINID',ARGV[1]) "
    "if #redis.call('XRANGE',KEYS[1],'-','+','COUNT','1')==0 then "
    "redis.call('DEL',KEYS[1]) end return n";


static const perm_option_t  purge_options[] = {
    { "--expired-for", "SPAN", "what ended, was handled or was done that long "
      "ago, 365d",
      PERM_OPTION(SPAN, expired_for) },
    { "--dry-run", NULL, "remove nothing, and say what would be removed",
      PERM_OPTION(FLAG, dry_run) },
    PERM_OPTION_END
};


const perm_command_t  perm_purge_command = {
    "purge", "",
    "remove old grants, accesses, requests and history",
    "Removes grants that ended at least that long ago, each only if it is\n"
    "still what was read, with the notice of its end, and then the last\n"
    "accesses of resources that the app has no grant for any more, neither\n"
    "on the resource nor on the gateway. Requests that were handled, notices\n"
    "of ends and entries of the history that are as old go too, of grants\n"
    "that last as well: --expired-for 30d leaves a history of 30 days.\n"
    "Pending requests stay. --dry-run counts each of these.",
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

    (void) perm_walk(&cli->table, PERM_WALK_REQUESTS, NULL, purge_requests,
                     &purge);
    (void) perm_walk(&cli->table, PERM_WALK_NOTICES, NULL, purge_notices,
                     &purge);
    perm_walk_keys(&cli->table, PERM_KEY_HISTORY, 0, NULL, purge_history,
                   &purge);

    print_result(&purge);

    return PERM_EXIT_DONE;
}


static void
purge_grants(void *data, perm_row_t *rows, size_t n)
{
    char           text[PERM_KEY_MAX];
    size_t         i;
    perm_str_t     notices;
    perm_purge_t  *purge = data;
    perm_table_t  *table = purge->table;

    for (i = 0; i < n; i++) {
        if (rows[i].grant.expires > purge->before) {
            continue;
        }

        notices = perm_table_key(table, text, PERM_KEY_NOTICES,
                                 &rows[i].tuple);

        if (purge->dry_run) {
            purge->grants++;
            print_grant(purge, &rows[i]);
            perm_client_command(table->client, "HGET %k %b", notices,
                                rows[i].field);
            perm_client_send(table->client, NULL, PERM_ERRORS_TOO,
                             count_notice, purge);

        } else {
            perm_client_command(table->client, "EVAL %s 2 %k %b %b %b",
                                purge_script, rows[i].key, notices,
                                rows[i].field, rows[i].value);
            perm_client_send(table->client, NULL, 0, count_grant, purge);
        }
    }

    perm_client_wait(purge->table->client);

    purge->seen += n;
    perm_output_progress("looked at grants", purge->seen, 0);
}


static int
count_grant(void *data, redisReply *reply)
{
    perm_purge_t  *purge = data;

    purge->grants += (reply->integer > 0);
    purge->notices += (reply->integer == 2);

    return 0;
}


/* dry run: purge_notices() counts the old ones */

static int
count_notice(void *data, redisReply *reply)
{
    perm_str_t     notice;
    perm_purge_t  *purge = data;

    notice = perm_table_bytes(reply);
    purge->notices += (notice.data != NULL
                       && !is_old_notice(purge, notice.data));

    return 0;
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


static void
purge_requests(void *data, perm_row_t *rows, size_t n)
{
    size_t           i;
    perm_purge_t    *purge = data;
    perm_request_t   request;

    for (i = 0; i < n; i++) {
        request = perm_request_read(rows[i].value);

        if ((request.status == PERM_REQUEST_APPROVED
             || request.status == PERM_REQUEST_REJECTED)
            && request.handled_at <= purge->before)
        {
            remove_field(purge, &rows[i], &purge->requests);
        }
    }

    perm_client_wait(purge->table->client);
}


/* "<expires>:<days>" */

static void
purge_notices(void *data, perm_row_t *rows, size_t n)
{
    size_t         i;
    perm_purge_t  *purge = data;

    for (i = 0; i < n; i++) {
        if (is_old_notice(purge, rows[i].value.data)) {
            remove_field(purge, &rows[i], &purge->notices);
        }
    }

    perm_client_wait(purge->table->client);
}


static int
is_old_notice(const perm_purge_t *purge, const char *notice)
{
    char       *end;
    long long   expires;

    expires = strtoll(notice, &end, 10);

    return *end == ':' && expires <= purge->before;
}


/* unless it is another by now */

static void
remove_field(perm_purge_t *purge, const perm_row_t *row, perm_count_t *removed)
{
    perm_str_t  none;

    if (purge->dry_run) {
        (*removed)++;
        return;
    }

    none.data = NULL;
    none.len = 0;
    perm_table_write(purge->table, row->key, row->field, row->value, none,
                     removed);
}


static void
purge_history(void *data, perm_str_t *keys, size_t n)
{
    char            first[32], last[32];
    size_t          i;
    redisReply    **replies;
    perm_purge_t   *purge = data;
    perm_client_t  *client = purge->table->client;

    snprintf(first, sizeof(first), "%lld000", (long long) purge->before + 1);
    snprintf(last, sizeof(last), "%lld999", (long long) purge->before);
    replies = perm_alloc_check(calloc(n + 1, sizeof(redisReply *)));

    for (i = 0; purge->before >= 0 && i < n; i++) {

        if (purge->dry_run) {
            perm_client_command(client, "XRANGE %k - %s", keys[i], last);
        } else {
            perm_client_command(client, "EVAL %s 1 %k %s", trim_script,
                                keys[i], first);
        }

        perm_client_send(client, NULL, PERM_ERRORS_TOO, perm_client_keep,
                         &replies[i]);
    }

    perm_client_wait(client);

    for (i = 0; i < n; i++) {
        if (replies[i] != NULL && !perm_table_wrong_type(replies[i], &keys[i]))
        {
            purge->history += purge->dry_run
                              ? replies[i]->elements
                              : (perm_count_t) replies[i]->integer;
        }

        freeReplyObject(replies[i]);
    }

    free(replies);
}


static void
print_result(const perm_purge_t *purge)
{
    perm_output_warn("%s%s %s, %s, %s, %s and %s; old is what ended or was "
                     "done until %s",
                     perm_walk_interrupted ? "interrupted: " : "",
                     purge->dry_run
                     ? "dry run, nothing was removed: would purge" : "purged",
                     perm_output_count(purge->grants, "grant"),
                     perm_output_plural(purge->accesses, "access", "accesses"),
                     perm_output_count(purge->requests, "handled request"),
                     perm_output_count(purge->notices, "notice"),
                     perm_output_plural(purge->history, "entry of the history",
                                        "entries of the history"),
                     perm_output_time(purge->before < 0 ? 0 : purge->before));

    if (purge->cli->args.json) {
        perm_output_json(stdout, "{'grants':%n,'accesses':%n,'requests':%n,"
                         "'notices':%n,'history':%n}\n", purge->grants,
                         purge->accesses, purge->requests, purge->notices,
                         purge->history);
    }
}
