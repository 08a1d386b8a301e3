
#include "sync/pending.h"


#define perm_pending_bucket(table, hash)                                      \
    &(table)->buckets[(hash) % PERM_PENDING_BUCKETS]


void
perm_pending_init(perm_pending_table_t *table)
{
    ngx_uint_t  i;

    for (i = 0; i < PERM_PENDING_BUCKETS; i++) {
        ngx_queue_init(&table->buckets[i]);
    }

    ngx_queue_init(&table->sent);
    ngx_queue_init(&table->queued);
    table->unknown = 0;
}


perm_pending_t *
perm_pending_create(perm_pending_table_t *table, perm_tuple_t *tuple,
    uint64_t hash)
{
    perm_pending_t  *pending;

    pending = ngx_calloc(sizeof(perm_pending_t), ngx_cycle->log);
    if (pending == NULL) {
        return NULL;
    }

    pending->hash = hash;
    perm_tuple_put(&pending->names, tuple);
    perm_tuple_get(&pending->tuple, &pending->names);

    pending->lookup.data = pending;
    pending->lookup.tuple = &pending->tuple;

    ngx_queue_init(&pending->sent);
    ngx_queue_init(&pending->waiters);
    ngx_queue_insert_head(perm_pending_bucket(table, hash), &pending->link);

    return pending;
}


void
perm_pending_free(perm_pending_table_t *table, perm_pending_t *pending)
{
    if (pending->counted && !pending->known) {
        table->unknown--;
    }

    if (pending->timer.timer_set) {
        ngx_del_timer(&pending->timer);
    }

    ngx_queue_remove(&pending->link);
    ngx_queue_remove(&pending->sent);
    perm_lookup_cancel(&pending->lookup);

    ngx_free(pending);
}


perm_pending_t *
perm_pending_find(perm_pending_table_t *table, perm_tuple_t *tuple,
    uint64_t hash)
{
    ngx_queue_t     *q, *bucket;
    perm_pending_t  *pending;

    bucket = perm_pending_bucket(table, hash);

    for (q = ngx_queue_head(bucket);
         q != ngx_queue_sentinel(bucket);
         q = ngx_queue_next(q))
    {
        pending = ngx_queue_data(q, perm_pending_t, link);

        if (pending->hash == hash && perm_tuple_equal(tuple, &pending->names)) {
            return pending;
        }
    }

    return NULL;
}


void
perm_pending_unshare(perm_pending_t *pending)
{
    ngx_queue_remove(&pending->link);
    ngx_queue_init(&pending->link);
}


void
perm_pending_queue(perm_pending_table_t *table, perm_pending_t *pending)
{
    ngx_queue_insert_tail(&table->queued, &pending->sent);
}


void
perm_pending_sent(perm_pending_table_t *table, perm_pending_t *pending)
{
    if (!pending->counted) {
        pending->counted = 1;
        table->unknown += !pending->known;
    }

    ngx_queue_remove(&pending->sent);
    ngx_queue_insert_tail(&table->sent, &pending->sent);
}


ngx_msec_t
perm_pending_waiting(perm_pending_table_t *table)
{
    ngx_queue_t     *q;
    perm_pending_t  *pending;

    if (ngx_queue_empty(&table->sent)) {
        return 0;
    }

    q = ngx_queue_head(&table->sent);
    pending = ngx_queue_data(q, perm_pending_t, sent);

    return ngx_current_msec - pending->lookup.sent;
}


void
perm_pending_wait(perm_pending_t *pending, perm_pending_waiter_t *waiter)
{
    waiter->pending = pending;
    ngx_queue_insert_tail(&pending->waiters, &waiter->queue);
}


void
perm_pending_cancel(perm_pending_waiter_t *waiter)
{
    waiter->pending = NULL;
    ngx_queue_remove(&waiter->queue);
    ngx_queue_init(&waiter->queue);
}


void
perm_pending_wake(perm_pending_t *pending, perm_grants_reply_t *reply)
{
    ngx_queue_t            *q;
    perm_pending_waiter_t  *waiter;

    while (!ngx_queue_empty(&pending->waiters)) {
        q = ngx_queue_head(&pending->waiters);
        waiter = ngx_queue_data(q, perm_pending_waiter_t, queue);

        perm_pending_cancel(waiter);
        waiter->handler(waiter->data, reply);
    }
}
