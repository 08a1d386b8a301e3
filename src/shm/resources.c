
#include "shm/resources.h"


static ngx_uint_t perm_resources_add(perm_records_t *records,
    perm_tuple_t *tuple, uint64_t hash, perm_outcome_t outcome, time_t now);
static int ngx_libc_cdecl perm_resources_order(const void *one,
    const void *two);


void
perm_resources_note(perm_records_t *records, perm_tuple_t *tuple,
    perm_policy_t policy, ngx_uint_t dry_run, perm_outcome_t outcome,
    ngx_uint_t weight, time_t now)
{
    uint64_t                hash;
    ngx_uint_t              i;
    perm_tuple_t            resource;
    perm_resource_entry_t  *entry;

    resource = *tuple;
    resource.app.len = 0;
    hash = perm_records_hash(records, &resource, 0);

    i = perm_records_find(records, &resource, 0, hash, 0, records->n);

    if (i == PERM_RECORDS_NONE) {
        i = perm_resources_add(records, &resource, hash, outcome, now);

        if (i == PERM_RECORDS_NONE) {
            return;
        }
    }

    /* no other resource takes its place */

    entry = (perm_resource_entry_t *) perm_records_at(records, i);

    entry->policy = policy;
    entry->dry_run = dry_run;
    entry->record.last = now;

    if (outcome == PERM_ALLOW) {
        (void) ngx_atomic_fetch_add(&entry->allowed, weight);
        (void) ngx_atomic_fetch_add(&entry->sampled, weight > 1);

    } else if (dry_run) {
        (void) ngx_atomic_fetch_add(&entry->would_deny, weight);

    } else if (outcome == PERM_DENY) {
        (void) ngx_atomic_fetch_add(&entry->denied, weight);

    } else {
        (void) ngx_atomic_fetch_add(&entry->failed, weight);
    }
}


static ngx_uint_t
perm_resources_add(perm_records_t *records, perm_tuple_t *tuple,
    uint64_t hash, perm_outcome_t outcome, time_t now)
{
    ngx_uint_t  i, end;

    /* names of records are valid: only a new one need be checked */

    if (!perm_name_gateway_valid(tuple->gateway)
        || !perm_name_resource_valid(tuple->resource)
        || !perm_trylock_enter(&records->lock))
    {
        return PERM_RECORDS_NONE;
    }

    /* another worker may have been first */

    i = perm_records_find(records, tuple, 0, hash, 0, records->n);

    if (i == PERM_RECORDS_NONE) {
        end = (outcome == PERM_ALLOW) ? records->n : records->n / 2;

        for (i = 0; i < end && records->keys[i].weight; i++) { /* void */ }

        if (i < end) {
            (void) perm_records_write(records, i, tuple, 0, now);
            perm_records_written(records, i, hash, 1);

        } else {
            records->left_out++;
            i = PERM_RECORDS_NONE;
        }
    }

    perm_trylock_leave(&records->lock);

    return i;
}


static int ngx_libc_cdecl
perm_resources_order(const void *one, const void *two)
{
    ngx_uint_t                    a, b;
    const perm_resource_entry_t  *first = one;
    const perm_resource_entry_t  *second = two;

    a = first->denied + first->failed + first->would_deny;
    b = second->denied + second->failed + second->would_deny;

    if (a == b) {
        a = first->allowed;
        b = second->allowed;
    }

    return (a < b) - (a > b);
}


ngx_uint_t
perm_resources_list(perm_records_t *records, perm_resource_entry_t *entries)
{
    return perm_records_list(records, entries, 1, perm_resources_order);
}
