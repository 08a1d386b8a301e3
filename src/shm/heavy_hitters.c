
#include "shm/heavy_hitters.h"


static int ngx_libc_cdecl perm_heavy_hitters_order(const void *one,
    const void *two);


/* a new record takes the place of the lightest one, and inherits its count */

void
perm_heavy_hitters_add(perm_records_t *records, perm_tuple_t *tuple,
    perm_reason_t reason, time_t now)
{
    uint64_t                     hash;
    ngx_uint_t                   i, k, first, end;
    perm_tuple_t                 valid;
    perm_heavy_hitters_entry_t  *entry;

    if (!perm_name_gateway_valid(tuple->gateway)
        || !perm_name_resource_valid(tuple->resource))
    {
        return;
    }

    valid = *tuple;

    if (!perm_name_app_valid(valid.app)) {
        valid.app.len = 0;
    }

    first = 0;
    end = records->n - records->n / 4;

    if (reason == PERM_GATEWAY_GRANT_EXPIRED
        || reason == PERM_RESOURCE_GRANT_EXPIRED)
    {
        first = end;
        end = records->n;
    }

    hash = perm_records_hash(records, &valid, reason);

    perm_distinct_add(&records->distinct, hash);

    if (!perm_trylock_enter(&records->lock)) {

        /* without the lock that is a hint */

        if (perm_records_find(records, &valid, reason, hash, first, end)
            == PERM_RECORDS_NONE)
        {
            (void) ngx_atomic_fetch_add(&records->busy, 1);
        }

        return;
    }

    i = perm_records_find(records, &valid, reason, hash, first, end);

    if (i != PERM_RECORDS_NONE) {
        entry = perm_records_write(records, i, NULL, 0, now);

    } else {
        i = first;

        for (k = first; k < end; k++) {
            if (records->keys[k].weight < records->keys[i].weight) {
                i = k;
            }
        }

        if (records->keys[i].weight) {
            records->left_out++;
        }

        entry = perm_records_write(records, i, &valid, reason, now);
        entry->error = records->keys[i].weight;
        entry->count = entry->error;
    }

    entry->count++;

    perm_records_written(records, i, hash, entry->count);
    perm_trylock_leave(&records->lock);
}


static int ngx_libc_cdecl
perm_heavy_hitters_order(const void *one, const void *two)
{
    ngx_uint_t                         a, b;
    const perm_heavy_hitters_entry_t  *first = one;
    const perm_heavy_hitters_entry_t  *second = two;

    a = first->count - first->error;
    b = second->count - second->error;

    if (a != b) {
        return (a < b) - (a > b);
    }

    /* the order stays from one page of the list to the next */

    return ngx_memcmp(&first->record.names, &second->record.names,
                      sizeof(perm_tuple_names_t));
}


ngx_uint_t
perm_heavy_hitters_list(perm_records_t *records,
    perm_heavy_hitters_entry_t *entries)
{
    return perm_records_list(records, entries, 1, perm_heavy_hitters_order);
}


/* every request was noted, and no record made room for another: an exact one */

void
perm_heavy_hitters_stat(perm_records_t *records,
    perm_heavy_hitters_stat_t *stat)
{
    ngx_uint_t  i;

    stat->kept = 0;

    for (i = 0; i < records->n; i++) {
        stat->kept += (records->keys[i].weight != 0);
    }

    stat->capacity = records->n;
    stat->busy = records->busy;
    stat->exact = (records->busy == 0 && records->left_out == 0);
    stat->distinct = stat->exact ? stat->kept
                                 : ngx_max(perm_distinct_count(
                                                          &records->distinct),
                                           stat->kept);
}
