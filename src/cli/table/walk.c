
#include "cli/table/walk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/table/seen.h"
#include "cli/util/alloc.h"
#include "core/renewal.h"
#include "resp/reader.h"


#define CURSOR_SIZE  32


/*
 * The replies for a page: a part of the hash or the sorted set; with
 * PERM_WALK_LAST the scores of its rows, the newest score, and the grant on the
 * whole gateway.
 */

enum { PART = 0, SCORES, NEWEST, GATEWAY, REPLIES };


/* a key, and what has been read of it in this round */

typedef struct {
    perm_str_t           key;
    perm_tuple_t         tuple;       /* without the resource */
    char                 cursor[CURSOR_SIZE];
    int                  parted;      /* it comes in more than one part */
    int                  wrong_type;  /* that of its accesses */
    int                  done;
    redisReply          *replies[REPLIES];
    size_t               first;       /* of its rows */
    size_t               n;
} perm_walk_page_t;


typedef struct {
    perm_table_t        *table;
    perm_key_kind_t      kind;
    unsigned             flags;
    perm_walk_rows_pt    handler;
    void                *data;
    perm_walk_skipped_t  skipped;
    perm_count_t         wrong_accesses;    /* keys of another type, named */
    char                 wrong_type[512];   /* the first of other keys */
    perm_seen_t          fields;            /* of keys in more than one part */
    perm_row_t          *rows;
    size_t               nrows;
    size_t               size;
    perm_walk_page_t    *pages;
    size_t               npages;
} perm_walker_t;


static void scan_node(perm_table_t *table, perm_node_t *node,
    const char *pattern, perm_seen_t *seen, perm_walk_keys_pt keys,
    void *data);
static const redisReply *take_cursor(const redisReply *reply,
    char cursor[CURSOR_SIZE]);
static void take_keys(void *data, perm_str_t *keys, size_t n);
static int walk_parts(perm_walker_t *walker);
static void read_part(perm_walker_t *walker, perm_walk_page_t *page);
static int read_field(perm_row_t *row);
static int read_grant(perm_walker_t *walker, perm_row_t *row);
static int read_access(perm_walker_t *walker, perm_row_t *row,
    const redisReply *score);
static void ask_last_accesses(perm_walker_t *walker, perm_walk_page_t *page);
static void take_last_accesses(perm_walker_t *walker, perm_walk_page_t *page);
static void interrupt(int signo);


/* by kind, for messages */

static const char *const  nouns[] = {
    "a grant", "accesses", "requests", "notices", "a history"
};


volatile sig_atomic_t  perm_walk_interrupted;


perm_walk_skipped_t
perm_walk(perm_table_t *table, unsigned flags, const perm_tuple_t *only,
    perm_walk_rows_pt rows, void *data)
{
    perm_walker_t  walker;

    memset(&walker, 0, sizeof(perm_walker_t));
    walker.table = table;
    walker.kind = (flags & PERM_WALK_ACCESSES) ? PERM_KEY_ACCESS
                  : (flags & PERM_WALK_REQUESTS) ? PERM_KEY_REQUESTS
                  : (flags & PERM_WALK_NOTICES) ? PERM_KEY_NOTICES
                                                : PERM_KEY_GRANTS;
    walker.flags = flags;
    walker.handler = rows;
    walker.data = data;

    perm_walk_keys(table, walker.kind, flags, only, take_keys, &walker);
    perm_seen_free(&walker.fields);
    free(walker.rows);

    if (flags & PERM_WALK_TOLD) {
        /* void */

    } else if (walker.skipped.wrong_types == 1) {
        perm_output_warn("\"%s\" is of another type than the table's keys: "
                         "skipped", walker.wrong_type);

    } else if (walker.skipped.wrong_types) {
        perm_output_warn("%llu keys, as \"%s\", are of another type than the "
                         "table's: skipped; \"doctor\" names them",
                         walker.skipped.wrong_types, walker.wrong_type);
    }

    walker.skipped.wrong_types += walker.wrong_accesses;

    return walker.skipped;
}


perm_exit_t
perm_walk_status(perm_walk_skipped_t skipped, perm_exit_t status)
{
    if (skipped.unreadable) {
        perm_output_warn("%s could not be read: see above",
                         perm_output_count(skipped.unreadable, "grant"));
    }

    if (skipped.wrong_types) {
        perm_output_warn("%s of another type: see above",
                         perm_output_plural(skipped.wrong_types, "key is",
                                            "keys are"));
    }

    return (skipped.unreadable || skipped.wrong_types) ? PERM_EXIT_NO : status;
}


void
perm_walk_keys(perm_table_t *table, perm_key_kind_t kind, unsigned flags,
    const perm_tuple_t *only, perm_walk_keys_pt keys, void *data)
{
    int           one;
    char          pattern[PERM_KEY_MAX];
    perm_str_t    key;
    perm_node_t  *node;
    perm_seen_t   seen;
    perm_tuple_t  tuple;

    static const perm_tuple_t  all;

    tuple = only ? *only : all;
    one = tuple.gateway.len && tuple.app.len;

    tuple.gateway = tuple.gateway.len ? tuple.gateway : perm_str("*");
    tuple.app = tuple.app.len ? tuple.app : perm_str("*");
    key = perm_table_key(table, pattern, kind, &tuple);

    if (one) {
        keys(data, &key, 1);
        return;
    }

    memset(&seen, 0, sizeof(perm_seen_t));

    for (node = perm_client_next(table->client, NULL);
         node != NULL && !perm_walk_interrupted;
         node = perm_client_next(table->client, node))
    {
        scan_node(table, node, pattern,
                  flags & PERM_WALK_REPEATS ? NULL : &seen, keys, data);
    }

    perm_seen_free(&seen);
}


static void
scan_node(perm_table_t *table, perm_node_t *node, const char *pattern,
    perm_seen_t *seen, perm_walk_keys_pt keys, void *data)
{
    char               cursor[CURSOR_SIZE];
    size_t             i, n;
    perm_str_t        *list;
    redisReply        *reply;
    const redisReply  *items;

    strcpy(cursor, "0");

    do {
        perm_client_command(table->client, "SCAN %s MATCH %s COUNT 250",
                            cursor, pattern);
        reply = NULL;
        perm_client_send(table->client, node, PERM_NO_RESEND, perm_client_keep,
                         &reply);
        perm_client_wait(table->client);
        items = take_cursor(reply, cursor);
        list = perm_alloc(items->elements * sizeof(perm_str_t));

        for (i = 0, n = 0; i < items->elements; i++) {
            list[n] = perm_table_bytes(items->element[i]);
            n += seen == NULL
                 || perm_seen_add(seen, list[n], perm_str(""));
        }

        keys(data, list, n);

        free(list);
        freeReplyObject(reply);

    } while (strcmp(cursor, "0") != 0 && !perm_walk_interrupted);
}


/* takes the cursor, and returns the array; other replies end the program */

static const redisReply *
take_cursor(const redisReply *reply, char cursor[CURSOR_SIZE])
{
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2
        || reply->element[0]->type != REDIS_REPLY_STRING
        || reply->element[0]->len >= CURSOR_SIZE
        || reply->element[1]->type != REDIS_REPLY_ARRAY)
    {
        perm_output_fatal(PERM_EXIT_REDIS, "Redis answered a SCAN with "
                          "something else");
    }

    strcpy(cursor, reply->element[0]->str);

    return reply->element[1];
}


/* visits some keys, a part of each at a time */

static void
take_keys(void *data, perm_str_t *keys, size_t n)
{
    size_t             i;
    perm_walker_t     *walker = data;
    perm_walk_page_t  *page;

    walker->pages = perm_alloc_check(calloc(n + 1, sizeof(perm_walk_page_t)));
    walker->npages = 0;

    for (i = 0; i < n; i++) {
        page = &walker->pages[walker->npages];
        page->key = keys[i];
        strcpy(page->cursor, "0");

        if (perm_grant_key_parse(keys[i], walker->kind, walker->table->prefix,
                                 &page->tuple.gateway, &page->tuple.app))
        {
            walker->npages++;
            continue;
        }

        perm_output_warn("\"%s\": no key of %s; skipped",
                         perm_output_safe(keys[i]), nouns[walker->kind]);
    }

    while (walk_parts(walker) && !perm_walk_interrupted) { /* void */ }

    free(walker->pages);
}


/* 1 when a key has more parts */

static int
walk_parts(perm_walker_t *walker)
{
    int                more;
    size_t             j;
    perm_client_t     *client;
    perm_walk_page_t  *page, *end;

    client = walker->table->client;
    end = walker->pages + walker->npages;

    for (page = walker->pages; page < end; page++) {
        if (!page->done) {
            perm_client_command(client, walker->kind == PERM_KEY_ACCESS
                                        ? "ZSCAN %k %s COUNT 256"
                                        : "HSCAN %k %s COUNT 256",
                                page->key, page->cursor);
            perm_client_send(client, NULL, PERM_ERRORS_TOO, perm_client_keep,
                             &page->replies[PART]);
        }
    }

    perm_client_wait(client);
    walker->nrows = 0;

    for (page = walker->pages; page < end; page++) {
        read_part(walker, page);
        ask_last_accesses(walker, page);
    }

    perm_client_wait(client);

    for (page = walker->pages; page < end; page++) {
        take_last_accesses(walker, page);
    }

    if (walker->nrows) {
        walker->handler(walker->data, walker->rows, walker->nrows);
    }

    more = 0;

    for (page = walker->pages; page < end; page++) {
        more |= !page->done;

        for (j = 0; j < REPLIES; j++) {
            freeReplyObject(page->replies[j]);
            page->replies[j] = NULL;
        }
    }

    return more;
}


/* the rows of the part that has come */

static void
read_part(perm_walker_t *walker, perm_walk_page_t *page)
{
    size_t             i;
    perm_row_t        *row;
    const redisReply  *items;

    page->first = walker->nrows;
    page->n = 0;

    if (page->replies[PART] == NULL) {
        return;
    }

    if (perm_table_wrong_type(page->replies[PART], NULL)) {
        page->done = 1;

        if (walker->skipped.wrong_types++ == 0) {
            snprintf(walker->wrong_type, sizeof(walker->wrong_type), "%s",
                     perm_output_safe(page->key));
        }

        return;
    }

    items = take_cursor(page->replies[PART], page->cursor);
    page->done = strcmp(page->cursor, "0") == 0;
    page->parted |= !page->done;
    walker->rows = perm_alloc_room(walker->rows, &walker->size,
                                   walker->nrows + items->elements / 2,
                                   sizeof(perm_row_t));

    for (i = 0; i + 1 < items->elements; i += 2) {
        row = &walker->rows[walker->nrows];
        row->key = page->key;
        row->field = perm_table_bytes(items->element[i]);
        row->value = perm_table_bytes(items->element[i + 1]);
        row->tuple = page->tuple;
        row->tuple.resource = row->field;
        row->last = PERM_GRANT_ABSENT;

        if (page->parted && !(walker->flags & PERM_WALK_REPEATS)
            && !perm_seen_add(&walker->fields, row->key, row->field))
        {
            continue;
        }

        if (walker->kind == PERM_KEY_ACCESS
            ? read_access(walker, row, items->element[i + 1])
            : read_field(row) && (walker->kind != PERM_KEY_GRANTS
                                  || read_grant(walker, row)))
        {
            walker->nrows++;
            page->n++;
        }
    }
}


/* 1 when the walk wants the row */

static int
read_field(perm_row_t *row)
{
    if (row->field.len == 1 && row->field.data[0] == '-') {
        row->tuple.resource.len = 0;

    } else if (!perm_name_resource_valid(row->field)) {
        perm_output_warn("\"%s\", field \"%s\": no name of a resource; "
                         "skipped", perm_output_safe(row->key),
                         perm_output_safe(row->field));
        return 0;
    }

    return 1;
}


static int
read_grant(perm_walker_t *walker, perm_row_t *row)
{
    row->grant = perm_grant_read(row->value);

    if (row->grant.expires >= 0) {
        return 1;
    }

    walker->skipped.unreadable++;

    if (walker->flags & PERM_WALK_UNREADABLE) {
        return 1;
    }

    perm_output_warn("\"%s\", field \"%s\": unreadable grant, counts as "
                     "absent: %s", perm_output_safe(row->key),
                     perm_output_safe(row->field),
                     perm_reader_too_long(row->value)
                     ? "its value is over 64 KiB; write it anew or revoke it"
                     : perm_output_safe(row->value));
    return 0;
}


static int
read_access(perm_walker_t *walker, perm_row_t *row, const redisReply *score)
{
    row->last = perm_renewal_last(perm_table_score(score),
                                  walker->table->now);

    if ((walker->flags & PERM_WALK_UNREADABLE)
        || (row->last >= 0 && perm_name_resource_valid(row->field)))
    {
        return 1;
    }

    perm_output_warn("\"%s\", member \"%s\": no last access; skipped",
                     perm_output_safe(row->key), perm_output_safe(row->field));
    return 0;
}


static void
ask_last_accesses(perm_walker_t *walker, perm_walk_page_t *page)
{
    char            text[PERM_KEY_MAX];
    size_t          i;
    perm_str_t      key;
    perm_client_t  *client;

    if (page->n == 0 || !(walker->flags & PERM_WALK_LAST)) {
        return;
    }

    client = walker->table->client;
    key = perm_table_key(walker->table, text, PERM_KEY_ACCESS, &page->tuple);

    perm_client_command(client, "ZMSCORE %k", key);

    for (i = 0; i < page->n; i++) {
        perm_client_word(client, walker->rows[page->first + i].field);
    }

    perm_client_send(client, NULL, PERM_ERRORS_TOO, perm_client_keep,
                     &page->replies[SCORES]);

    perm_client_command(client, "ZREVRANGE %k 0 0 WITHSCORES", key);
    perm_client_send(client, NULL, PERM_ERRORS_TOO, perm_client_keep,
                     &page->replies[NEWEST]);

    perm_client_command(client, "HGET %k " PERM_GATEWAY_FIELD, page->key);
    perm_client_send(client, NULL, 0, perm_client_keep,
                     &page->replies[GATEWAY]);
}


/* accesses of another type count as none */

static void
take_last_accesses(perm_walker_t *walker, perm_walk_page_t *page)
{
    char          text[PERM_KEY_MAX];
    size_t        i;
    int64_t       now, newest;
    perm_row_t   *row;
    perm_str_t    key;
    perm_grant_t  gateway;
    redisReply  **replies;

    replies = page->replies;

    if (replies[SCORES] == NULL) {
        return;
    }

    key = perm_table_key(walker->table, text, PERM_KEY_ACCESS, &page->tuple);

    if (perm_table_wrong_type(replies[SCORES],
                              page->wrong_type ? NULL : &key)
        && !page->wrong_type)
    {
        page->wrong_type = 1;
        walker->wrong_accesses++;
    }

    now = walker->table->now;
    newest = perm_renewal_last(
                 perm_table_score(perm_table_element(replies[NEWEST], 1)),
                 now);
    gateway = perm_grant_read(perm_table_bytes(replies[GATEWAY]));

    for (i = 0; i < page->n; i++) {
        row = &walker->rows[page->first + i];
        row->last = row->tuple.resource.len
                    ? perm_renewal_last(
                          perm_table_score(
                              perm_table_element(replies[SCORES], i)), now)
                    : newest;
        row->gateway = gateway;
        row->gateway_last = newest;
    }
}


void
perm_walk_catch_interrupt(void)
{
    struct sigaction  action, old;

    memset(&action, 0, sizeof(action));
    action.sa_handler = interrupt;
    action.sa_flags = SA_RESETHAND;

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);

    /* under nohup it stays ignored */

    if (sigaction(SIGHUP, NULL, &old) == 0 && old.sa_handler != SIG_IGN) {
        sigaction(SIGHUP, &action, NULL);
    }
}


static void
interrupt(int signo)
{
    perm_walk_interrupted = signo;
}
