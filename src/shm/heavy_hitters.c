
#include "shm/heavy_hitters.h"


static void perm_heavy_hitters_count(perm_records_t *records,
    perm_tuple_t *tuple, perm_reason_t reason, ngx_uint_t first,
    ngx_uint_t end, time_t now);
static int ngx_libc_cdecl perm_heavy_hitters_order(const void *one,
    const void *two);


void
perm_heavy_hitters_add(perm_records_t *records, perm_tuple_t *tuple,
    perm_reason_t reason, time_t now)
{
    ngx_uint_t    strangers;
    perm_tuple_t  valid;

    if (!perm_name_gateway_valid(tuple->gateway)
        || !perm_name_resource_valid(tuple->resource))
    {
        return;
    }

    valid = *tuple;

    if (!perm_name_app_valid(valid.app)) {
        valid.app.len = 0;
    }

    if (!perm_trylock_enter(&records->lock)) {
        return;
    }

    strangers = records->n - records->n / 4;

    if (reason == PERM_GATEWAY_GRANT_EXPIRED
        || reason == PERM_RESOURCE_GRANT_EXPIRED)
    {
        perm_heavy_hitters_count(records, &valid, reason, strangers,
                                 records->n, now);
    } else {
        perm_heavy_hitters_count(records, &valid, reason, 0, strangers, now);
    }

    perm_trylock_leave(&records->lock);
}


/* a new one takes the place of the lightest, and inherits its count */

static void
perm_heavy_hitters_count(perm_records_t *records, perm_tuple_t *tuple,
    perm_reason_t reason, ngx_uint_t first, ngx_uint_t end, time_t now)
{
    uint64_t                     hash;
    ngx_uint_t                   i, k;
    perm_heavy_hitters_entry_t  *entry;

    hash = perm_records_hash(records, tuple, reason);
    i = perm_records_find(records, tuple, reason, hash, first, end);

    if (i != PERM_RECORDS_NONE) {
        entry = perm_records_write(records, i, now);

    } else {
        i = first;

        for (k = first; k < end; k++) {
            if (records->keys[k].weight < records->keys[i].weight) {
                i = k;
            }
        }

        entry = perm_records_replace(records, i, tuple, reason, now);
        entry->error = records->keys[i].weight;
        entry->count = entry->error;
    }

    entry->count++;

    perm_records_written(records, i, hash, entry->count);
}


static int ngx_libc_cdecl
perm_heavy_hitters_order(const void *one, const void *two)
{
    ngx_uint_t                         a, b;
    const perm_heavy_hitters_entry_t  *first = one;
    const perm_heavy_hitters_entry_t  *second = two;

    a = first->count - first->error;
    b = second->count - second->error;

    return (a < b) - (a > b);
}


ngx_uint_t
perm_heavy_hitters_list(perm_records_t *records,
    perm_heavy_hitters_entry_t *entries)
{
    return perm_records_list(records, entries, 1, perm_heavy_hitters_order);
}
