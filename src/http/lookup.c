
#include "http/lookup.h"


static ngx_queue_t *perm_lookup_bucket(perm_lookups_t *lookups,
    uint64_t hash);
static perm_str_t perm_lookup_copy(char **to, perm_str_t name);
static ngx_uint_t perm_lookup_same(perm_str_t a, perm_str_t b);


void
perm_lookups_init(perm_lookups_t *lookups)
{
    ngx_uint_t  i;

    for (i = 0; i < PERM_LOOKUP_BUCKETS; i++) {
        ngx_queue_init(&lookups->buckets[i]);
    }

    ngx_queue_init(&lookups->sent);
    lookups->n = 0;
}


perm_lookup_t *
perm_lookup_create(perm_lookups_t *lookups, perm_call_t *call, uint64_t hash)
{
    char           *p;
    perm_lookup_t  *lookup;

    lookup = ngx_calloc(sizeof(perm_lookup_t), ngx_cycle->log);
    if (lookup == NULL) {
        return NULL;
    }

    p = lookup->names;

    lookup->hash = hash;
    lookup->call.gateway = perm_lookup_copy(&p, call->gateway);
    lookup->call.resource = perm_lookup_copy(&p, call->resource);
    lookup->call.app = perm_lookup_copy(&p, call->app);

    ngx_queue_init(&lookup->sent);
    ngx_queue_init(&lookup->batch);
    ngx_queue_init(&lookup->waiters);
    ngx_queue_insert_head(perm_lookup_bucket(lookups, hash), &lookup->link);
    lookups->n++;

    return lookup;
}


void
perm_lookup_free(perm_lookups_t *lookups, perm_lookup_t *lookup)
{
    if (lookup->timer.timer_set) {
        ngx_del_timer(&lookup->timer);
    }

    ngx_queue_remove(&lookup->link);
    ngx_queue_remove(&lookup->sent);
    ngx_queue_remove(&lookup->batch);
    lookups->n--;

    ngx_free(lookup);
}


perm_lookup_t *
perm_lookup_find(perm_lookups_t *lookups, perm_call_t *call, uint64_t hash)
{
    ngx_queue_t    *q, *bucket;
    perm_lookup_t  *lookup;

    bucket = perm_lookup_bucket(lookups, hash);

    for (q = ngx_queue_head(bucket);
         q != ngx_queue_sentinel(bucket);
         q = ngx_queue_next(q))
    {
        lookup = ngx_queue_data(q, perm_lookup_t, link);

        if (lookup->hash == hash
            && perm_lookup_same(lookup->call.gateway, call->gateway)
            && perm_lookup_same(lookup->call.resource, call->resource)
            && perm_lookup_same(lookup->call.app, call->app))
        {
            return lookup;
        }
    }

    return NULL;
}


void
perm_lookup_sent(perm_lookups_t *lookups, perm_lookup_t *lookup)
{
    lookup->fetched = ngx_current_msec;

    ngx_queue_remove(&lookup->sent);
    ngx_queue_insert_tail(&lookups->sent, &lookup->sent);
}


ngx_msec_t
perm_lookups_waiting(perm_lookups_t *lookups)
{
    ngx_queue_t    *q;
    perm_lookup_t  *lookup;

    if (ngx_queue_empty(&lookups->sent)) {
        return 0;
    }

    q = ngx_queue_head(&lookups->sent);
    lookup = ngx_queue_data(q, perm_lookup_t, sent);

    return ngx_current_msec - (ngx_msec_t) lookup->fetched;
}


perm_fetch_waiter_t *
perm_lookup_wait(perm_lookup_t *lookup, perm_fetch_pt handler, void *data)
{
    perm_fetch_waiter_t  *waiter;

    waiter = ngx_alloc(sizeof(perm_fetch_waiter_t), ngx_cycle->log);
    if (waiter == NULL) {
        return NULL;
    }

    waiter->handler = handler;
    waiter->data = data;

    ngx_queue_insert_tail(&lookup->waiters, &waiter->link);

    return waiter;
}


void
perm_lookup_tell(perm_lookup_t *lookup)
{
    ngx_queue_t          *q;
    perm_fetch_waiter_t   waiter, *w;

    while (!ngx_queue_empty(&lookup->waiters)) {
        q = ngx_queue_head(&lookup->waiters);
        w = ngx_queue_data(q, perm_fetch_waiter_t, link);

        ngx_queue_remove(q);
        waiter = *w;
        ngx_free(w);

        waiter.handler(waiter.data, lookup->result, &lookup->grants);
    }
}


static ngx_queue_t *
perm_lookup_bucket(perm_lookups_t *lookups, uint64_t hash)
{
    return &lookups->buckets[hash % PERM_LOOKUP_BUCKETS];
}


static perm_str_t
perm_lookup_copy(char **to, perm_str_t name)
{
    ngx_memcpy(*to, name.data, name.len);

    name.data = *to;
    *to += name.len;

    return name;
}


static ngx_uint_t
perm_lookup_same(perm_str_t a, perm_str_t b)
{
    return a.len == b.len && ngx_memcmp(a.data, b.data, a.len) == 0;
}
