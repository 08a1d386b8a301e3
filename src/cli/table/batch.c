
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
};


struct perm_batch_s {
    size_t             n;
    size_t             used;
    perm_batch_item_t  items[GRANTS];
    perm_batch_item_t *buckets[BUCKETS];   /* by grant, each with its last */
    char               bytes[BYTES];
};


static perm_str_t put(perm_batch_t *batch, perm_str_t text);
static void link_item(perm_batch_t *batch, perm_batch_item_t *item);
static uint32_t hash(uint32_t value, perm_str_t text);
static void write_item(perm_table_t *table, perm_batch_item_t *item,
    perm_batch_counts_t *counts);
static char *new_value(void *data, perm_str_t old);


perm_batch_t *
perm_batch_new(void)
{
    return perm_alloc_check(calloc(1, sizeof(perm_batch_t)));
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
        write_item(table, &batch->items[i], counts);
    }

    perm_client_wait(table->client);

    for (i = 0; i < batch->n; i++) {
        item = &batch->items[i];

        /* another writer came between the reading and the writing */

        if (!item->written) {
            perm_table_change(table, item->key, item->field, new_value, item);
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
write_item(perm_table_t *table, perm_batch_item_t *item,
    perm_batch_counts_t *counts)
{
    perm_str_t  old;

    item->value = NULL;
    item->written = 1;

    if (perm_table_wrong_type(item->old, &item->key)) {
        perm_output_warn("line %llu: refused for that", item->number);
        counts->refused++;
        return;
    }

    old = perm_table_bytes(item->old);

    if (item->later == NULL) {
        item->value = new_value(item, old);
    }

    if (item->value == NULL) {
        counts->unchanged++;
        return;
    }

    counts->added += (old.data == NULL);
    counts->changed += (old.data != NULL);
    item->written = 0;

    perm_table_write(table, item->key, item->field, old,
                     perm_str(item->value), &item->written);
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
    perm_batch_item_t  *item = data;

    merged = old;
    value = NULL;

    if (old.data == NULL || perm_grant_expires(old) < 0) {
        merged.len = 0;
    }

    for (item = item->first; item != NULL; item = item->later) {
        next = perm_alloc_check(perm_json_merge(merged, item->object));
        free(value);
        value = next;
        merged = perm_str(value);
    }

    if (old.data != NULL && perm_str_equal(old, merged)) {
        free(value);
        return NULL;
    }

    return value;
}
