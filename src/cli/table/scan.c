
#include "cli/table/scan.h"

#include <stdlib.h>
#include <string.h>


#define SCAN_COUNT  500


static perm_wire_command_t  request;


perm_str_t
perm_scan_reply_str(const redisReply *reply)
{
    perm_str_t  s;

    s.data = reply->str;
    s.len = reply->len;

    return s;
}


int
perm_scan_valid(const redisReply *reply, unsigned each)
{
    size_t             i;
    const redisReply  *items;

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2
        || reply->element[0]->type != REDIS_REPLY_STRING
        || reply->element[0]->len >= PERM_CURSOR_SIZE
        || reply->element[1]->type != REDIS_REPLY_ARRAY
        || reply->element[1]->elements % each)
    {
        return 0;
    }

    items = reply->element[1];

    for (i = 0; i < items->elements; i++) {
        if (items->element[i]->type != REDIS_REPLY_STRING) {
            return 0;
        }
    }

    return 1;
}


void
perm_scan_refused(const redisReply *reply)
{
    if (reply->type == REDIS_REPLY_ERROR) {
        perm_client_refused(NULL, reply->str);
    }

    perm_fatal(PERM_EXIT_REDIS, "Redis answered a SCAN with something else");
}


static void
scan_node(perm_cli_t *cli, perm_node_t *node, const char *pattern,
    perm_keys_pt keys, void *data)
{
    char         cursor[PERM_CURSOR_SIZE];
    size_t       i;
    perm_str_t  *list;
    redisReply  *reply, *items;

    strcpy(cursor, "0");

    do {
        perm_wire_command_begin(&request, "SCAN");
        perm_wire_command_text(&request, cursor);
        perm_wire_command_text(&request, "MATCH");
        perm_wire_command_text(&request, pattern);
        perm_wire_command_text(&request, "COUNT");
        perm_wire_command_number(&request, SCAN_COUNT);

        reply = perm_client_call(cli->client, node, &request, PERM_NO_RESEND);

        if (!perm_scan_valid(reply, 1)) {
            perm_scan_refused(reply);
        }

        strcpy(cursor, reply->element[0]->str);
        items = reply->element[1];

        if (items->elements) {
            list = perm_alloc(items->elements * sizeof(perm_str_t));

            for (i = 0; i < items->elements; i++) {
                list[i] = perm_scan_reply_str(items->element[i]);
            }

            keys(cli, data, list, items->elements);
            free(list);
        }

        freeReplyObject(reply);

    } while (strcmp(cursor, "0") != 0 && !perm_interrupted);
}


void
perm_scan_keys(perm_cli_t *cli, perm_key_kind_t kind, perm_str_t gateway,
    perm_str_t app, perm_keys_pt keys, void *data)
{
    char                pattern[PERM_KEY_MAX];
    perm_str_t          key;
    perm_node_t        *node;

    static const perm_str_t  any = perm_string("*");

    key.data = pattern;
    key.len = perm_grant_key(pattern, kind, cli->prefix,
                             gateway.len ? gateway : any, app.len ? app : any);

    if (gateway.len && app.len) {
        keys(cli, data, &key, 1);
        return;
    }

    for (node = perm_client_next(cli->client, NULL);
         node != NULL && !perm_interrupted;
         node = perm_client_next(cli->client, node))
    {
        scan_node(cli, node, pattern, keys, data);
    }
}
