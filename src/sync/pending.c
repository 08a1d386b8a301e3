
#include "sync/pending.h"


static ngx_queue_t *perm_pending_bucket(perm_pending_table_t *pendings,
    uint64_t hash);
static perm_str_t perm_pending_copy(char **to, perm_str_t name);
static ngx_uint_t perm_pending_same(perm_str_t a, perm_str_t b);


void
perm_pending_init(perm_pending_table_t *pendings)
{
    ngx_uint_t  i;

    for (i = 0; i < PERM_PENDING_BUCKETS; i++) {
        ngx_queue_init(&pendings->buckets[i]);
    }

    ngx_queue_init(&pendings->sent);
    pendings->n = 0;
}


perm_pending_t *
perm_pending_create(perm_pending_table_t *pendings, perm_tuple_t *tuple,
    uint64_t hash)
{
    char            *p;
    perm_pending_t  *pending;

    pending = ngx_calloc(sizeof(perm_pending_t), ngx_cycle->log);
    if (pending == NULL) {
        return NULL;
    }

    p = pending->names;

    pending->hash = hash;
    pending->tuple.gateway = perm_pending_copy(&p, tuple->gateway);
    pending->tuple.resource = perm_pending_copy(&p, tuple->resource);
    pending->tuple.app = perm_pending_copy(&p, tuple->app);

    ngx_queue_init(&pending->sent);
    ngx_queue_init(&pending->batch);
    ngx_queue_init(&pending->waiters);
    ngx_queue_insert_head(perm_pending_bucket(pendings, hash), &pending->link);
    pendings->n++;

    return pending;
}


void
perm_pending_free(perm_pending_table_t *pendings, perm_pending_t *pending)
{
    if (pending->timer.timer_set) {
        ngx_del_timer(&pending->timer);
    }

    ngx_queue_remove(&pending->link);
    ngx_queue_remove(&pending->sent);
    ngx_queue_remove(&pending->batch);
    pendings->n--;

    ngx_free(pending);
}


perm_pending_t *
perm_pending_find(perm_pending_table_t *pendings, perm_tuple_t *tuple,
    uint64_t hash)
{
    ngx_queue_t     *q, *bucket;
    perm_pending_t  *pending;

    bucket = perm_pending_bucket(pendings, hash);

    for (q = ngx_queue_head(bucket);
         q != ngx_queue_sentinel(bucket);
         q = ngx_queue_next(q))
    {
        pending = ngx_queue_data(q, perm_pending_t, link);

        if (pending->hash == hash
            && perm_pending_same(pending->tuple.gateway, tuple->gateway)
            && perm_pending_same(pending->tuple.resource, tuple->resource)
            && perm_pending_same(pending->tuple.app, tuple->app))
        {
            return pending;
        }
    }

    return NULL;
}


void
perm_pending_sent(perm_pending_table_t *pendings, perm_pending_t *pending)
{
    pending->fetched = ngx_current_msec;

    ngx_queue_remove(&pending->sent);
    ngx_queue_insert_tail(&pendings->sent, &pending->sent);
}


ngx_msec_t
perm_pending_waiting(perm_pending_table_t *pendings)
{
    ngx_queue_t     *q;
    perm_pending_t  *pending;

    if (ngx_queue_empty(&pendings->sent)) {
        return 0;
    }

    q = ngx_queue_head(&pendings->sent);
    pending = ngx_queue_data(q, perm_pending_t, sent);

    return ngx_current_msec - (ngx_msec_t) pending->fetched;
}


perm_fetch_waiter_t *
perm_pending_wait(perm_pending_t *pending, perm_fetch_pt handler, void *data)
{
    perm_fetch_waiter_t  *waiter;

    waiter = ngx_alloc(sizeof(perm_fetch_waiter_t), ngx_cycle->log);
    if (waiter == NULL) {
        return NULL;
    }

    waiter->handler = handler;
    waiter->data = data;

    ngx_queue_insert_tail(&pending->waiters, &waiter->link);

    return waiter;
}


void
perm_pending_tell(perm_pending_t *pending)
{
    ngx_queue_t          *q;
    perm_fetch_waiter_t   waiter, *w;

    while (!ngx_queue_empty(&pending->waiters)) {
        q = ngx_queue_head(&pending->waiters);
        w = ngx_queue_data(q, perm_fetch_waiter_t, link);

        ngx_queue_remove(q);
        waiter = *w;
        ngx_free(w);

        waiter.handler(waiter.data, &pending->reply);
    }
}


static ngx_queue_t *
perm_pending_bucket(perm_pending_table_t *pendings, uint64_t hash)
{
    return &pendings->buckets[hash % PERM_PENDING_BUCKETS];
}


static perm_str_t
perm_pending_copy(char **to, perm_str_t name)
{
    ngx_memcpy(*to, name.data, name.len);

    name.data = *to;
    *to += name.len;

    return name;
}


static ngx_uint_t
perm_pending_same(perm_str_t a, perm_str_t b)
{
    return a.len == b.len && ngx_memcmp(a.data, b.data, a.len) == 0;
}
