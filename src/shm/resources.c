
#include "shm/resources.h"

#include "shm/trylock.h"


#define PERM_RESOURCES_ZONE_SHARE  64   /* at most this part of the zone */


/* "hash" is written last and once: a slot that has one is whole for good */

typedef struct {
    ngx_atomic_t         hash;      /* 0: free */
    ngx_atomic_t         policy;
    ngx_atomic_t         dry_run;
    ngx_atomic_t         outcomes[3];
    ngx_atomic_t         would_deny;
    ngx_atomic_t         last;
    time_t               first;
    perm_names_t         names;
} perm_resources_slot_t;


struct perm_resources_s {
    perm_trylock_t          guard;
    ngx_uint_t              n;
    ngx_uint_t              used;
    perm_resources_slot_t  *slots;
};


perm_resources_t *
perm_resources_create(ngx_slab_pool_t *shpool, ngx_uint_t entries)
{
    size_t             size, room;
    perm_resources_t  *resources;

    size = sizeof(perm_resources_slot_t);
    room = (shpool->end - (u_char *) shpool) / PERM_RESOURCES_ZONE_SHARE;

    entries = ngx_min(entries, PERM_RESOURCES_MAX);
    entries = ngx_max(ngx_min(entries, room / size), 16);

    resources = ngx_slab_calloc(shpool, sizeof(perm_resources_t));
    if (resources == NULL) {
        return NULL;
    }

    resources->slots = ngx_slab_calloc(shpool, entries * size);
    if (resources->slots == NULL) {
        return NULL;
    }

    resources->n = entries;

    return resources;
}


/* the resource's slot, or the free one where it belongs, or NULL: full */

static perm_resources_slot_t *
perm_resources_find(perm_resources_t *resources, perm_tuple_t *tuple,
    ngx_atomic_uint_t hash)
{
    ngx_uint_t              i, k;
    ngx_atomic_uint_t       found;
    perm_resources_slot_t  *slot;

    k = hash % resources->n;

    for (i = 0; i < resources->n; i++) {
        slot = &resources->slots[k];
        found = __atomic_load_n(&slot->hash, __ATOMIC_ACQUIRE);

        if (found == 0
            || (found == hash && perm_names_equal(&slot->names, tuple)))
        {
            return slot;
        }

        k = (k + 1 == resources->n) ? 0 : k + 1;
    }

    return NULL;
}


static perm_resources_slot_t *
perm_resources_add(perm_resources_t *resources, perm_tuple_t *tuple,
    ngx_atomic_uint_t hash, perm_outcome_t outcome, time_t now)
{
    perm_resources_slot_t  *slot;

    if (outcome != PERM_ALLOW && resources->used >= resources->n / 2) {
        return NULL;
    }

    if (!perm_trylock_enter(&resources->guard)) {
        return NULL;
    }

    slot = perm_resources_find(resources, tuple, hash);

    if (slot && slot->hash == 0) {
        slot->first = now;
        perm_names_put(&slot->names, tuple);
        resources->used++;

        __atomic_store_n(&slot->hash, hash, __ATOMIC_RELEASE);
    }

    perm_trylock_leave(&resources->guard);

    return slot;
}


void
perm_resources_note(perm_resources_t *resources, perm_tuple_t *tuple,
    perm_policy_t policy, ngx_uint_t dry_run, perm_outcome_t outcome,
    ngx_uint_t weight, time_t now)
{
    perm_tuple_t            resource;
    ngx_atomic_uint_t       hash;
    perm_resources_slot_t  *slot;

    if (!perm_name_gateway_valid(tuple->gateway)
        || !perm_name_resource_valid(tuple->resource))
    {
        return;
    }

    resource = *tuple;
    resource.app.len = 0;

    hash = (ngx_atomic_uint_t) perm_names_hash(&resource) | 1;

    slot = perm_resources_find(resources, &resource, hash);

    if (slot && slot->hash == 0) {
        slot = perm_resources_add(resources, &resource, hash, outcome, now);
    }

    if (slot == NULL) {
        return;
    }

    slot->policy = policy;
    slot->dry_run = dry_run;
    slot->last = now;

    if (dry_run && outcome != PERM_ALLOW) {
        (void) ngx_atomic_fetch_add(&slot->would_deny, weight);

    } else {
        (void) ngx_atomic_fetch_add(&slot->outcomes[outcome], weight);
    }
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
perm_resources_list(perm_resources_t *resources,
    perm_resource_entry_t *entries, ngx_uint_t n)
{
    ngx_uint_t              i, listed;
    perm_resources_slot_t  *slot;
    perm_resource_entry_t  *entry;

    listed = 0;

    for (i = 0; i < resources->n && listed < n; i++) {
        slot = &resources->slots[i];

        if (__atomic_load_n(&slot->hash, __ATOMIC_ACQUIRE) == 0) {
            continue;
        }

        entry = &entries[listed++];

        entry->policy = slot->policy;
        entry->dry_run = slot->dry_run;
        entry->allowed = slot->outcomes[PERM_ALLOW];
        entry->denied = slot->outcomes[PERM_DENY];
        entry->failed = slot->outcomes[PERM_FAIL];
        entry->would_deny = slot->would_deny;
        entry->first = slot->first;
        entry->last = (time_t) slot->last;
        entry->names = slot->names;
    }

    ngx_qsort(entries, listed, sizeof(perm_resource_entry_t),
              perm_resources_order);

    for (i = 0; i < listed; i++) {
        perm_names_get(&entries[i].names, &entries[i].tuple);
    }

    return listed;
}
