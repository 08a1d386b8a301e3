
#include "shm/records.h"


#define PERM_RECORDS_ZONE_SHARE  64   /* at most this part of the zone */
#define PERM_RECORDS_MIN         16


perm_records_t *
perm_records_create(ngx_slab_pool_t *shpool, size_t size, ngx_uint_t n,
    uint64_t seed)
{
    size_t           room;
    perm_records_t  *records;

    room = (shpool->end - (u_char *) shpool) / PERM_RECORDS_ZONE_SHARE;

    n = ngx_min(n, room / (size + sizeof(perm_records_key_t)));
    n = ngx_max(n, PERM_RECORDS_MIN);

    records = ngx_slab_calloc(shpool, sizeof(perm_records_t));
    if (records == NULL) {
        return NULL;
    }

    records->n = n;
    records->size = size;
    records->seed = seed;
    records->keys = ngx_slab_calloc(shpool, n * sizeof(perm_records_key_t));
    records->records = ngx_slab_calloc(shpool, n * size);

    return (records->keys && records->records) ? records : NULL;
}


ngx_uint_t
perm_records_find(perm_records_t *records, perm_tuple_t *tuple,
    ngx_uint_t kind, uint64_t hash, ngx_uint_t i, ngx_uint_t end)
{
    perm_record_t  *record;

    for ( /* void */ ; i < end; i++) {

        if (__atomic_load_n(&records->keys[i].hash, __ATOMIC_RELAXED) != hash
            || records->keys[i].weight == 0)
        {
            continue;
        }

        /* orders: the hash before the names */
        __atomic_thread_fence(__ATOMIC_ACQUIRE);

        record = perm_records_at(records, i);

        if (record->kind == kind
            && (record->sequence & 1) == 0
            && perm_tuple_equal(tuple, &record->names))
        {
            return i;
        }
    }

    return PERM_RECORDS_NONE;
}


void *
perm_records_write(perm_records_t *records, ngx_uint_t i, perm_tuple_t *tuple,
    ngx_uint_t kind, time_t now)
{
    perm_record_t  *record;

    record = perm_records_at(records, i);

    perm_trylock_write(&record->sequence);

    if (tuple) {
        ngx_memzero(record + 1, records->size - sizeof(perm_record_t));

        perm_tuple_put(&record->names, tuple);
        record->kind = kind;
        record->first = now;
    }

    record->last = now;

    return record;
}


void
perm_records_written(perm_records_t *records, ngx_uint_t i, uint64_t hash,
    int64_t weight)
{
    perm_trylock_written(&perm_records_at(records, i)->sequence);

    records->keys[i].weight = weight;

    /* it is found without a lock */

    /* orders: the names and the number before the hash */
    __atomic_store_n(&records->keys[i].hash, hash, __ATOMIC_RELEASE);
}


ngx_uint_t
perm_records_list(perm_records_t *records, void *copies, int64_t weight,
    int (*order)(const void *, const void *))
{
    u_char         *p;
    ngx_uint_t      i, n;
    perm_record_t  *record;

    n = 0;
    p = copies;

    for (i = 0; i < records->n; i++) {
        record = perm_records_at(records, i);

        if (records->keys[i].weight >= weight
            && perm_trylock_read(p + n * records->size, record, records->size,
                                 &record->sequence)
               == NGX_OK)
        {
            n++;
        }
    }

    ngx_qsort(copies, n, records->size, order);

    for (i = 0; i < n; i++) {
        record = (perm_record_t *) (p + i * records->size);
        perm_tuple_get(&record->tuple, &record->names);
    }

    return n;
}
