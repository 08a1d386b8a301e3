
#include "cli/table/batch.h"

#include <stdlib.h>
#include <string.h>

#include "cli/util/alloc.h"
#include "core/grant.h"
#include "core/json.h"


#define GRANTS        1024
#define BYTES         (2 * PERM_LINE_MAX)
#define BUCKETS       2048


typedef struct perm_batch_item_s  perm_batch_item_t;

/*
 * A line.  Key, field and object lie in the batch's bytes.  Of several lines
 * for one grant the last one writes the value that all of them make.
 */

struct perm_batch_item_s {
    perm_str_t          key;
    perm_str_t          field;
    perm_str_t          object;
    perm_count_t        number;
    perm_batch_item_t  *first;     /* line of the same grant, perhaps itself */
    perm_batch_item_t  *later;     /* the next line of that grant, or NULL */
    perm_batch_item_t  *chained;   /* in the bucket */
    redisReply         *old;
    char               *value;
    perm_count_t        written;
    int                 too_long;  /* the new value would be */
};


struct perm_batch_s {
    const perm_batch_conf_t *conf;
    size_t             n;
    size_t             used;
    perm_batch_item_t  items[GRANTS];
    perm_batch_item_t *buckets[BUCKETS];   /* by grant, each with its last */
    char               bytes[BYTES];
};


static perm_str_t put(perm_batch_t *batch, perm_str_t text);
static void link_item(perm_batch_t *batch, perm_batch_item_t *item);
static uint32_t hash(uint32_t value, perm_str_t text);
static void write_item(perm_table_t *table, perm_batch_t *batch,
    perm_batch_item_t *item, perm_batch_counts_t *counts);
static void write_again(perm_table_t *table, perm_batch_t *batch,
    perm_batch_item_t *item, perm_batch_counts_t *counts);
static void count(const perm_table_t *table, const perm_batch_item_t *item,
    perm_batch_counts_t *counts, perm_count_t n);
static perm_tuple_t tuple_of(const perm_table_t *table,
    const perm_batch_item_t *item);
static char *new_value(void *data, perm_str_t old);


perm_batch_t *
perm_batch_new(const perm_batch_conf_t *conf)
{
    perm_batch_t  *batch;

    batch = perm_alloc_check(calloc(1, sizeof(perm_batch_t)));
    batch->conf = conf;

    return batch;
}


int
perm_batch_add(perm_table_t *table, perm_batch_t *batch,
    const perm_grant_line_t *line, perm_count_t number)
{
    char                key[PERM_KEY_MAX];
    perm_batch_item_t  *item;

    if (batch->n == GRANTS
        || PERM_KEY_MAX + PERM_RESOURCE_MAX + line->value.len
           > BYTES - batch->used)
    {
        return 0;
    }

    item = &batch->items[batch->n++];
    item->number = number;
    item->key = put(batch, perm_table_key(table, key, PERM_KEY_GRANTS,
                                          &line->tuple));
    item->field = put(batch, perm_table_field(&line->tuple));
    item->object = put(batch, line->value);

    link_item(batch, item);

    return 1;
}


static perm_str_t
put(perm_batch_t *batch, perm_str_t text)
{
    text.data = memcpy(batch->bytes + batch->used, text.data, text.len);
    batch->used += text.len;

    return text;
}


/* puts the item behind those of the same grant, and in their bucket's place */

static void
link_item(perm_batch_t *batch, perm_batch_item_t *item)
{
    uint32_t             value;
    perm_batch_item_t  **at, *earlier;

    value = hash(hash(2166136261U, item->key), item->field);

    item->first = item;
    item->later = NULL;
    item->chained = NULL;

    for (at = &batch->buckets[value % BUCKETS]; *at != NULL;
         at = &(*at)->chained)
    {
        earlier = *at;

        if (perm_str_equal(earlier->key, item->key)
            && perm_str_equal(earlier->field, item->field))
        {
            earlier->later = item;
            item->first = earlier->first;
            item->chained = earlier->chained;
            break;
        }
    }

    *at = item;
}


static uint32_t
hash(uint32_t value, perm_str_t text)
{
    size_t  i;

    for (i = 0; i < text.len; i++) {
        value = (value ^ (unsigned char) text.data[i]) * 16777619;
    }

    return value;
}


void
perm_batch_write(perm_table_t *table, perm_batch_t *batch,
    perm_batch_counts_t *counts)
{
    size_t              i;
    perm_batch_item_t  *item;

    for (i = 0; i < batch->n; i++) {
        item = &batch->items[i];

        perm_client_command(table->client, "HGET %k %b", item->key,
                            item->field);
        perm_client_send(table->client, NULL, PERM_ERRORS_TOO,
                         perm_client_keep, &item->old);
    }

    perm_client_wait(table->client);

    for (i = 0; i < batch->n; i++) {
        write_item(table, batch, &batch->items[i], counts);
    }

    perm_client_wait(table->client);

    for (i = 0; i < batch->n; i++) {
        item = &batch->items[i];

        if (!item->written) {
            write_again(table, batch, item, counts);
        }

        free(item->value);
        freeReplyObject(item->old);
    }

    batch->n = 0;
    batch->used = 0;
    memset(batch->buckets, 0, sizeof(batch->buckets));
}


/* sends what has to change, now that the old value is known */

static void
write_item(perm_table_t *table, perm_batch_t *batch, perm_batch_item_t *item,
    perm_batch_counts_t *counts)
{
    perm_str_t                old;
    perm_tuple_t              grant;
    const perm_batch_conf_t  *conf;

    conf = batch->conf;
    item->value = NULL;
    item->written = 1;
    item->too_long = 0;

    if (perm_table_wrong_type(item->old, &item->key)) {
        conf->refused(conf->data, item->number, "its key is of another type");
        return;
    }

    old = perm_table_bytes(item->old);

    if (item->later == NULL) {
        item->value = new_value(item, old);
    }

    if (item->too_long) {
        conf->refused(conf->data, item->number, PERM_LINE_TOO_LONG);
        return;
    }

    if (item->value == NULL) {
        counts->unchanged++;
        return;
    }

    count(table, item, counts, 1);
    grant = tuple_of(table, item);

    if (conf->changed != NULL) {
        conf->changed(conf->data, &grant, old, perm_str(item->value));
    }

    if (!conf->dry_run) {
        item->written = 0;

        if (old.data == NULL || perm_grant_expires(old)
                                != perm_grant_expires(perm_str(item->value)))
        {
            perm_table_forget_notice(table, &grant);
        }

        perm_table_write(table, item->key, item->field, old,
                         perm_str(item->value), &item->written);
    }
}


/* what it was counted as, "n" times more */

static void
count(const perm_table_t *table, const perm_batch_item_t *item,
    perm_batch_counts_t *counts, perm_count_t n)
{
    perm_str_t         old;
    perm_batch_end_t   end;

    old = perm_table_bytes(item->old);

    if (old.data == NULL) {
        counts->added += n;
        return;
    }

    end = perm_batch_end(old, perm_str(item->value), table->now);

    counts->changed += n;
    counts->shortened += (end == PERM_BATCH_SHORTENED) ? n : 0;
    counts->revived += (end == PERM_BATCH_REVIVED) ? n : 0;
}


perm_batch_end_t
perm_batch_end(perm_str_t old, perm_str_t value, int64_t now)
{
    int64_t  before, after;

    before = perm_grant_expires(old);
    after = perm_grant_expires(value);

    return (before > after) ? PERM_BATCH_SHORTENED
           : (before >= 0 && !perm_grant_live(before, now)
              && perm_grant_live(after, now)) ? PERM_BATCH_REVIVED
                                              : PERM_BATCH_END_OTHER;
}


static perm_tuple_t
tuple_of(const perm_table_t *table, const perm_batch_item_t *item)
{
    perm_tuple_t  grant;

    (void) perm_grant_key_parse(item->key, PERM_KEY_GRANTS, table->prefix,
                                &grant.gateway, &grant.app);
    grant.resource = item->field;

    if (perm_str_equal(item->field, perm_str(PERM_GATEWAY_FIELD))) {
        grant.resource.len = 0;
    }

    return grant;
}


/* another writer came between the reading and the writing */

static void
write_again(perm_table_t *table, perm_batch_t *batch, perm_batch_item_t *item,
    perm_batch_counts_t *counts)
{
    perm_table_change(table, item->key, item->field, new_value, item);

    if (item->too_long) {
        count(table, item, counts, (perm_count_t) -1);
        batch->conf->refused(batch->conf->data, item->number,
                             PERM_LINE_TOO_LONG);
    }
}


/*
 * The old value with the members of every line for that grant set, one line
 * after the other; NULL when nothing changes.  "data" is the last line's item.
 */

static char *
new_value(void *data, perm_str_t old)
{
    char               *value, *next;
    perm_str_t          merged;
    perm_batch_item_t  *last = data, *item;

    merged = old;
    value = NULL;

    if (old.data == NULL || perm_grant_expires(old) < 0) {
        merged.len = 0;
    }

    for (item = last->first; item != NULL; item = item->later) {
        next = perm_alloc_check(perm_json_merge(merged, item->object));
        free(value);
        value = next;
        merged = perm_str(value);
    }

    if (old.data != NULL && perm_str_equal(old, merged)) {
        free(value);
        return NULL;
    }

    if (merged.len > PERM_GRANT_VALUE_MAX) {
        last->too_long = 1;
        free(value);
        return NULL;
    }

    return value;
}
