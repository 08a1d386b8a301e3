
#include "shm/expiring.h"


static void perm_expiring_update(perm_records_t *records, perm_tuple_t *grant,
    int64_t expires, time_t now);
static ngx_uint_t perm_expiring_place(perm_records_t *records,
    int64_t expires, time_t now);
static int ngx_libc_cdecl perm_expiring_order(const void *one,
    const void *two);


const ngx_uint_t  perm_expiring_days[PERM_EXPIRING_WINDOWS] = { 1, 3, 7, 15 };


ngx_uint_t
perm_expiring_soon(int64_t expires, time_t now)
{
    return perm_grant_live(expires, now)
           && expires <= (int64_t) now + PERM_EXPIRING_DAYS * 86400;
}


void
perm_expiring_note(perm_records_t *records, perm_tuple_t *tuple,
    perm_reason_t reason, int64_t expires, time_t now)
{
    perm_tuple_t  gateway;

    gateway = *tuple;
    gateway.resource.len = 1;
    gateway.resource.data = "-";

    if (reason == PERM_RESOURCE_GRANT || reason == PERM_NO_GRANT) {
        perm_expiring_update(records, tuple, expires, now);

        /* a live grant on the gateway would have decided */

        perm_expiring_update(records, &gateway, PERM_GRANT_ABSENT, now);

    } else if (reason == PERM_GATEWAY_GRANT) {
        perm_expiring_update(records, &gateway, expires, now);
    }
}


/* takes no lock for most grants: they do not end soon, and are not listed */

static void
perm_expiring_update(perm_records_t *records, perm_tuple_t *grant,
    int64_t expires, time_t now)
{
    uint64_t                hash;
    ngx_uint_t              i, soon, known;
    perm_expiring_entry_t  *entry;

    soon = perm_expiring_soon(expires, now);
    hash = perm_records_hash(records, grant, 0);

    if ((!soon
         && perm_records_find(records, grant, 0, hash, 0, records->n)
            == PERM_RECORDS_NONE)
        || !perm_trylock_enter(&records->lock))
    {
        return;
    }

    i = perm_records_find(records, grant, 0, hash, 0, records->n);
    known = (i != PERM_RECORDS_NONE);

    if (soon && !known) {
        i = perm_expiring_place(records, expires, now);
    }

    if (soon && i != PERM_RECORDS_NONE) {
        entry = perm_records_write(records, i, known ? NULL : grant, 0, now);
        entry->expires = expires;
        perm_records_written(records, i, hash, expires);

    } else if (known) {
        records->keys[i].weight = 0;
    }

    perm_trylock_leave(&records->lock);
}


/*
 * The place for a grant that ends then: a record that is free or whose grant
 * has ended, or the one whose grant ends last if that is later.
 */

static ngx_uint_t
perm_expiring_place(perm_records_t *records, int64_t expires, time_t now)
{
    ngx_uint_t  i, last;

    last = 0;

    for (i = 0; i < records->n; i++) {

        if (records->keys[i].weight <= (int64_t) now) {
            return i;
        }

        if (records->keys[i].weight > records->keys[last].weight) {
            last = i;
        }
    }

    records->left_out++;

    return (records->keys[last].weight > expires) ? last : PERM_RECORDS_NONE;
}


ngx_uint_t
perm_expiring_count(perm_records_t *records, time_t now,
    ngx_uint_t counts[PERM_EXPIRING_WINDOWS])
{
    int64_t     left;
    ngx_uint_t  i, k;

    ngx_memzero(counts, PERM_EXPIRING_WINDOWS * sizeof(ngx_uint_t));

    for (i = 0; i < records->n; i++) {
        left = records->keys[i].weight - (int64_t) now;

        if (left <= 0) {
            continue;
        }

        for (k = 0; k < PERM_EXPIRING_WINDOWS; k++) {
            if (left <= (int64_t) perm_expiring_days[k] * 86400) {
                counts[k]++;
            }
        }
    }

    return records->left_out;
}


static int ngx_libc_cdecl
perm_expiring_order(const void *one, const void *two)
{
    const perm_expiring_entry_t  *first = one;
    const perm_expiring_entry_t  *second = two;

    return (first->expires > second->expires)
           - (first->expires < second->expires);
}


ngx_uint_t
perm_expiring_list(perm_records_t *records, time_t now,
    perm_expiring_entry_t *entries)
{
    return perm_records_list(records, entries, (int64_t) now + 1,
                             perm_expiring_order);
}
