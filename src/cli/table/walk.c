
#include "cli/table/scan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/grant.h"


#define CHUNK   128    /* keys whose fields are in memory at a time */
#define FIELDS  256    /* HSCAN COUNT */


/* a hash of the chunk, and what has been read of it in this round */

typedef struct {
    perm_str_t          key;
    perm_str_t          gateway;
    perm_str_t          app;
    char                cursor[PERM_CURSOR_SIZE];
    int                 done;
    redisReply         *fields;
    redisReply         *scores;    /* of the resources, in their order */
    redisReply         *newest;
} perm_page_t;


typedef struct {
    const perm_walk_t  *walk;
    uint64_t            unreadable;
    perm_wrong_type_t   wrong_type;
    perm_row_t         *rows;
    size_t              nrows;
    size_t              size;
    perm_page_t         pages[CHUNK];
    size_t              npages;
} perm_walker_t;


static perm_wire_command_t  request;


static void
drop(redisReply **reply)
{
    if (*reply != NULL) {
        freeReplyObject(*reply);
        *reply = NULL;
    }
}


static void
read_fields(perm_cli_t *cli, perm_walker_t *walker)
{
    size_t        i;
    perm_page_t  *page;

    for (i = 0; i < walker->npages; i++) {
        page = &walker->pages[i];

        if (page->done) {
            continue;
        }

        perm_wire_command_begin(&request, "HSCAN");
        perm_wire_command_key(&request, page->key);
        perm_wire_command_text(&request, page->cursor);
        perm_wire_command_text(&request, "COUNT");
        perm_wire_command_number(&request, FIELDS);

        perm_client_send(cli->client, NULL, &request, PERM_ERRORS_TOO,
                         perm_client_keep, &page->fields);
    }

    perm_client_wait(cli->client);

    for (i = 0; i < walker->npages; i++) {
        page = &walker->pages[i];

        if (page->fields == NULL) {
            continue;
        }

        if (perm_wrong_type_take(&walker->wrong_type, page->fields, page->key)) {
            page->done = 1;
            drop(&page->fields);
            continue;
        }

        if (!perm_scan_valid(page->fields, 2)) {
            perm_scan_refused(page->fields);
        }

        strcpy(page->cursor, page->fields->element[0]->str);
        page->done = strcmp(page->cursor, "0") == 0;
    }
}


/* 1 with the row filled when the field is a grant that the walk wants */

static int
read_row(perm_walker_t *walker, const perm_page_t *page, perm_str_t field,
    perm_str_t value, perm_row_t *row)
{
    row->key = page->key;
    row->gateway = page->gateway;
    row->app = page->app;
    row->field = field;
    row->value = value;
    row->resource = field;
    row->last = PERM_GRANT_ABSENT;
    row->expires = perm_grant_expires(value);

    if (field.len == 1 && field.data[0] == '-') {
        row->resource.len = 0;

    } else if (!perm_name_resource_valid(field)) {
        perm_warn("\"%s\", field \"%s\": no name of a resource; skipped",
                  perm_escape(page->key), perm_escape(field));
        return 0;
    }

    if (row->expires < 0) {
        walker->unreadable++;

        if (!walker->walk->unreadable) {
            perm_warn("\"%s\", field \"%s\": unreadable grant, counts as "
                      "absent: %s", perm_escape(page->key),
                      perm_escape(field), perm_escape(value));
            return 0;
        }
    }

    return 1;
}


static void
read_rows(perm_walker_t *walker)
{
    size_t             i, j;
    perm_page_t       *page;
    const redisReply  *items;

    walker->nrows = 0;

    for (i = 0; i < walker->npages; i++) {
        page = &walker->pages[i];

        if (page->fields == NULL) {
            continue;
        }

        items = page->fields->element[1];

        if (walker->nrows + items->elements / 2 > walker->size) {
            walker->size = 2 * (walker->nrows + items->elements / 2);
            walker->rows = perm_realloc(walker->rows,
                                        walker->size * sizeof(perm_row_t));
        }

        for (j = 0; j + 1 < items->elements; j += 2) {
            walker->nrows += read_row(walker, page,
                                      perm_scan_reply_str(items->element[j]),
                                      perm_scan_reply_str(items->element[j + 1]),
                                      &walker->rows[walker->nrows]);
        }
    }
}


/* the last accesses of a page's rows, from "row" to "end" */

static void
ask_accesses(perm_cli_t *cli, perm_page_t *page, const perm_row_t *row,
    const perm_row_t *end)
{
    char         text[PERM_KEY_MAX];
    unsigned     gateway, resources;
    perm_str_t   key;

    key.data = text;
    key.len = perm_grant_key(text, PERM_KEY_ACCESS, cli->prefix, page->gateway,
                             page->app);

    perm_wire_command_begin(&request, "ZMSCORE");
    perm_wire_command_key(&request, key);

    gateway = 0;
    resources = 0;

    for ( /* void */ ; row < end; row++) {
        if (row->resource.len) {
            perm_wire_command_add(&request, row->resource);
            resources++;

        } else {
            gateway = 1;
        }
    }

    if (resources) {
        perm_client_send(cli->client, NULL, &request, PERM_ERRORS_TOO,
                         perm_client_keep, &page->scores);
    }

    if (gateway) {
        perm_wire_command_begin(&request, "ZREVRANGE");
        perm_wire_command_key(&request, key);
        perm_wire_command_number(&request, 0);
        perm_wire_command_number(&request, 0);
        perm_wire_command_text(&request, "WITHSCORES");
        perm_client_send(cli->client, NULL, &request, PERM_ERRORS_TOO,
                         perm_client_keep, &page->newest);
    }
}


/* with accesses of another type there are none */

static void
check_accesses(const perm_cli_t *cli, const perm_page_t *page)
{
    char               text[PERM_KEY_MAX];
    perm_str_t         key;
    const redisReply  *reply;

    reply = page->scores ? page->scores : page->newest;

    if (reply != NULL && reply->type == REDIS_REPLY_ERROR) {
        key.data = text;
        key.len = perm_grant_key(text, PERM_KEY_ACCESS, cli->prefix,
                                 page->gateway, page->app);
        (void) perm_table_wrong_type(reply, key);
    }
}


static void
take_accesses(perm_page_t *page, perm_row_t *row, const perm_row_t *end)
{
    size_t  i;

    for (i = 0; row < end; row++) {

        if (row->resource.len == 0) {
            row->last = perm_table_newest(page->newest);

        } else if (page->scores != NULL
                   && page->scores->type == REDIS_REPLY_ARRAY
                   && i < page->scores->elements)
        {
            row->last = perm_table_score(page->scores->element[i++]);
        }
    }
}


/* rows come page by page: each page's are together */

static const perm_row_t *
rows_end(const perm_walker_t *walker, const perm_page_t *page,
    const perm_row_t *row)
{
    const perm_row_t  *end;

    end = walker->rows + walker->nrows;

    while (row < end && row->key.data == page->key.data) {
        row++;
    }

    return row;
}


static void
read_accesses(perm_cli_t *cli, perm_walker_t *walker)
{
    size_t             i, first;
    const perm_row_t  *end;

    for (i = 0, first = 0; i < walker->npages; i++) {
        end = rows_end(walker, &walker->pages[i], walker->rows + first);
        ask_accesses(cli, &walker->pages[i], walker->rows + first, end);
        first = end - walker->rows;
    }

    perm_client_wait(cli->client);

    for (i = 0, first = 0; i < walker->npages; i++) {
        end = rows_end(walker, &walker->pages[i], walker->rows + first);
        check_accesses(cli, &walker->pages[i]);
        take_accesses(&walker->pages[i], walker->rows + first, end);
        first = end - walker->rows;
    }
}


static void
walk_pages(perm_cli_t *cli, perm_walker_t *walker)
{
    int           more;
    size_t        i;
    perm_page_t  *page;

    do {
        read_fields(cli, walker);
        read_rows(walker);

        if (walker->walk->access && walker->nrows) {
            read_accesses(cli, walker);
        }

        if (walker->nrows) {
            walker->walk->rows(cli, walker->walk->data, walker->rows,
                               walker->nrows);
        }

        more = 0;

        for (i = 0; i < walker->npages; i++) {
            page = &walker->pages[i];
            drop(&page->fields);
            drop(&page->scores);
            drop(&page->newest);
            more |= !page->done;
        }
    } while (more && !perm_interrupted);
}


static void
walk_keys(perm_cli_t *cli, void *data, perm_str_t *keys, size_t n)
{
    size_t          i;
    perm_page_t    *page;
    perm_walker_t  *walker = data;

    walker->npages = 0;

    for (i = 0; i < n && !perm_interrupted; i++) {
        page = &walker->pages[walker->npages];
        memset(page, 0, sizeof(perm_page_t));
        page->key = keys[i];
        strcpy(page->cursor, "0");

        if (!perm_grant_key_parse(keys[i], PERM_KEY_GRANTS, cli->prefix,
                                  &page->gateway, &page->app))
        {
            perm_warn("\"%s\": no key of a grant; skipped",
                      perm_escape(keys[i]));
            continue;
        }

        walker->npages++;

        if (walker->npages == CHUNK) {
            walk_pages(cli, walker);
            walker->npages = 0;
        }
    }

    if (walker->npages) {
        walk_pages(cli, walker);
    }
}


uint64_t
perm_walk(perm_cli_t *cli, const perm_walk_t *walk)
{
    uint64_t        unreadable;
    perm_walker_t  *walker;

    walker = perm_alloc(sizeof(perm_walker_t));
    memset(walker, 0, sizeof(perm_walker_t));
    walker->walk = walk;

    perm_scan_keys(cli, PERM_KEY_GRANTS, walk->gateway, walk->app, walk_keys,
                   walker);

    perm_wrong_type_tell(&walker->wrong_type);

    unreadable = walker->unreadable;
    free(walker->rows);
    free(walker);

    return unreadable;
}
