
/*
 * purge: what ended long ago, and accesses that belong to no grant.
 */


#include <stdlib.h>
#include <string.h>

#include "cli/table/scan.h"
#include "core/grant.h"


#define OFFSET(member)        offsetof(perm_args_t, member)
#define EXPIRED_FOR_DEFAULT   (365 * 86400)
#define CHUNK                 128
#define MEMBERS               256   /* ZSCAN COUNT */


static const perm_option_t  purge_options[] = {
    { "--expired-for", "SPAN", "grants that ended that long ago, 365d",
      PERM_ARG_SPAN, OFFSET(expired_for), 0 },
    PERM_OPTION_END
};


typedef struct {
    int64_t            before;    /* what ended until then goes */
    uint64_t           seen;
    uint64_t           grants;
    uint64_t           accesses;
    perm_wrong_type_t  wrong_type;      /* in place of accesses */
} perm_purge_t;


/* KEYS: accesses, grants; ARGV: resources.  All or nothing of one page. */

static const char  orphans_script[] =
    "if redis.call('HEXISTS',KEYS[2],'-')==1 then return 0 end "
    "local n=0 for _,r in ipairs(ARGV) do "
    "if redis.call('HEXISTS',KEYS[2],r)==0 then "
    "n=n+redis.call('ZREM',KEYS[1],r) end end return n";


static perm_wire_command_t  request;


static int
count(void *data, redisReply *reply)
{
    uint64_t  *sum = data;

    if (reply->type == REDIS_REPLY_INTEGER && reply->integer > 0) {
        *sum += (uint64_t) reply->integer;
    }

    return 0;
}


/* grants of another type, which were told of, leave the accesses as they are */

static int
count_orphans(void *data, redisReply *reply)
{
    if (reply->type == REDIS_REPLY_ERROR
        && strstr(reply->str, "WRONGTYPE") == NULL)
    {
        perm_client_refused(NULL, reply->str);
    }

    return count(data, reply);
}


static void
purge_rows(perm_cli_t *cli, void *data, perm_row_t *rows, size_t n)
{
    size_t         i;
    perm_str_t     none;
    perm_purge_t  *purge = data;

    none.data = NULL;
    none.len = 0;

    for (i = 0; i < n; i++) {
        if (rows[i].expires <= purge->before) {
            perm_table_write(cli, rows[i].key, rows[i].field, rows[i].value,
                             none, count, &purge->grants);
        }
    }

    perm_client_wait(cli->client);

    purge->seen += n;
    perm_progress("looked at grants", purge->seen, 0);
}


/* sends away the members of a page that have no grant */

static void
purge_members(perm_cli_t *cli, perm_str_t access, perm_str_t grants,
    const redisReply *items, perm_purge_t *purge)
{
    size_t  i;

    if (items->elements == 0) {
        return;
    }

    perm_wire_command_begin(&request, "EVAL");
    perm_wire_command_text(&request, orphans_script);
    perm_wire_command_number(&request, 2);
    perm_wire_command_key(&request, access);
    perm_wire_command_add(&request, grants);

    for (i = 0; i < items->elements; i += 2) {
        perm_wire_command_add(&request, perm_scan_reply_str(items->element[i]));
    }

    perm_client_send(cli->client, NULL, &request, PERM_ERRORS_TOO,
                     count_orphans, &purge->accesses);
}


static redisReply *
read_members(perm_cli_t *cli, perm_str_t access, const char *cursor)
{
    redisReply  *reply;

    perm_wire_command_begin(&request, "ZSCAN");
    perm_wire_command_key(&request, access);
    perm_wire_command_text(&request, cursor);
    perm_wire_command_text(&request, "COUNT");
    perm_wire_command_number(&request, MEMBERS);

    reply = perm_client_call(cli->client, NULL, &request, PERM_ERRORS_TOO);

    if (!perm_scan_valid(reply, 2)) {
        perm_scan_refused(reply);
    }

    return reply;
}


typedef struct {
    perm_str_t   key;
    perm_str_t   gateway;
    perm_str_t   app;
    redisReply  *first;
} perm_purge_key_t;


static void
purge_key(perm_cli_t *cli, perm_purge_key_t *key, perm_purge_t *purge)
{
    char         grants[PERM_KEY_MAX], cursor[PERM_CURSOR_SIZE];
    perm_str_t   grants_key;
    redisReply  *reply;

    if (perm_wrong_type_take(&purge->wrong_type, key->first, key->key)) {
        freeReplyObject(key->first);
        return;
    }

    if (!perm_scan_valid(key->first, 2)) {
        perm_scan_refused(key->first);
    }

    grants_key.data = grants;
    grants_key.len = perm_grant_key(grants, PERM_KEY_GRANTS, cli->prefix,
                                    key->gateway, key->app);

    for (reply = key->first; /* void */ ; /* void */ ) {
        purge_members(cli, key->key, grants_key, reply->element[1], purge);
        strcpy(cursor, reply->element[0]->str);
        freeReplyObject(reply);

        if (strcmp(cursor, "0") == 0) {
            break;
        }

        reply = read_members(cli, key->key, cursor);
    }
}


static void
purge_keys(perm_cli_t *cli, void *data, perm_str_t *keys, size_t n)
{
    size_t             i, used;
    perm_purge_t      *purge = data;
    perm_purge_key_t  *list;

    list = perm_alloc(n * sizeof(perm_purge_key_t));

    for (i = 0, used = 0; i < n; i++) {
        list[used].key = keys[i];

        if (!perm_grant_key_parse(keys[i], PERM_KEY_ACCESS, cli->prefix,
                                  &list[used].gateway, &list[used].app))
        {
            perm_warn("\"%s\": no key of accesses; skipped",
                      perm_escape(keys[i]));
            continue;
        }

        perm_wire_command_begin(&request, "ZSCAN");
        perm_wire_command_key(&request, keys[i]);
        perm_wire_command_text(&request, "0");
        perm_wire_command_text(&request, "COUNT");
        perm_wire_command_number(&request, MEMBERS);
        perm_client_send(cli->client, NULL, &request, PERM_ERRORS_TOO,
                         perm_client_keep, &list[used++].first);
    }

    perm_client_wait(cli->client);

    for (i = 0; i < used; i++) {
        purge_key(cli, &list[i], purge);
    }

    perm_client_wait(cli->client);
    free(list);

    purge->seen += n;
    perm_progress("looked at accesses", purge->seen, 0);
}


static perm_exit_t
run_purge(perm_cli_t *cli)
{
    int64_t       span;
    perm_walk_t   walk;
    perm_purge_t  purge;

    if (!cli->loaded) {
        perm_table_warn_unloaded(cli);
        perm_warn("nothing was purged");
        return PERM_EXIT_NO;
    }

    memset(&purge, 0, sizeof(perm_purge_t));
    memset(&walk, 0, sizeof(perm_walk_t));

    span = cli->args.expired_for;
    purge.before = cli->now - (span < 0 ? EXPIRED_FOR_DEFAULT : span);

    walk.rows = purge_rows;
    walk.data = &purge;

    perm_catch_interrupt();

    (void) perm_walk(cli, &walk);

    purge.seen = 0;
    perm_scan_keys(cli, PERM_KEY_ACCESS, walk.gateway, walk.app, purge_keys,
                   &purge);
    perm_wrong_type_tell(&purge.wrong_type);

    perm_warn("%spurged %llu grants and %llu accesses",
              perm_interrupted ? "interrupted: " : "",
              (unsigned long long) purge.grants,
              (unsigned long long) purge.accesses);

    if (cli->args.json) {
        perm_object_begin(stdout);
        perm_object_number(stdout, "grants", (int64_t) purge.grants);
        perm_object_number(stdout, "accesses", (int64_t) purge.accesses);
        perm_object_end(stdout, "\n");
    }

    return PERM_EXIT_DONE;
}


const perm_command_t  perm_purge_command = {
    "purge", "",
    "remove grants that ended long ago, and their accesses",
    "Removes grants that ended at least that long ago, each only if it is\n"
    "still what was read, and then the last accesses of resources that the\n"
    "app has no grant for any more, neither on the resource nor on the\n"
    "gateway.",
    purge_options, 1, 0, run_purge
};
