
#include "shm/heavy_hitters.h"

#include "shm/trylock.h"


#define PERM_HEAVY_HITTERS_ZONE_SHARE  64   /* at most this part of the zone each */


typedef struct {
    ngx_atomic_t    sequence;
    ngx_uint_t      count;
    ngx_uint_t      error;
    time_t          first;
    time_t          last;
    perm_reason_t   reason;
    perm_names_t    names;
} perm_heavy_hitters_slot_t;


/* the hash and the count of each slot lie close together to be searched */

typedef struct {
    uint64_t        hash;
    ngx_uint_t      count;
} perm_heavy_hitters_key_t;


struct perm_heavy_hitters_s {
    perm_trylock_t              guard;
    ngx_uint_t                  n;
    ngx_uint_t                  strangers;   /* the first of them */
    perm_heavy_hitters_key_t   *keys;
    perm_heavy_hitters_slot_t  *slots;
};


perm_heavy_hitters_t *
perm_heavy_hitters_create(ngx_slab_pool_t *shpool, ngx_uint_t entries)
{
    size_t                 size, room;
    perm_heavy_hitters_t  *top;

    size = sizeof(perm_heavy_hitters_slot_t) + sizeof(perm_heavy_hitters_key_t);
    room = (shpool->end - (u_char *) shpool) / PERM_HEAVY_HITTERS_ZONE_SHARE;

    entries = ngx_min(entries, PERM_HEAVY_HITTERS_MAX);
    entries = ngx_max(ngx_min(entries, room / size), 16);

    top = ngx_slab_calloc(shpool, sizeof(perm_heavy_hitters_t));
    if (top == NULL) {
        return NULL;
    }

    top->keys = ngx_slab_calloc(shpool,
                                entries * sizeof(perm_heavy_hitters_key_t));
    top->slots = ngx_slab_calloc(shpool,
                                 entries * sizeof(perm_heavy_hitters_slot_t));

    if (top->keys == NULL || top->slots == NULL) {
        return NULL;
    }

    top->n = entries;
    top->strangers = entries - entries / 4;

    return top;
}


/*
 * What is not a valid name says nothing and is kept nowhere: all such calls
 * are one.  Returns the hash of what is left.
 */

static uint64_t
perm_heavy_hitters_normalize(perm_tuple_t *tuple, uint64_t hash,
    perm_reason_t reason)
{
    if (reason != PERM_NO_APP && reason != PERM_INVALID_APP
        && reason != PERM_BAD_CONFIG)
    {
        return hash + reason;
    }

    if (!perm_name_gateway_valid(tuple->gateway)) {
        tuple->gateway.len = 0;
    }

    if (!perm_name_resource_valid(tuple->resource)) {
        tuple->resource.len = 0;
    }

    if (!perm_name_app_valid(tuple->app)) {
        tuple->app.len = 0;
    }

    return perm_names_hash(tuple) + reason;
}


/* the call's slot among those from "i" to "end", or the lightest one */

static ngx_uint_t
perm_heavy_hitters_find(perm_heavy_hitters_t *top, perm_tuple_t *tuple,
    uint64_t hash, perm_reason_t reason, ngx_uint_t i, ngx_uint_t end,
    ngx_uint_t *found)
{
    ngx_uint_t                  lightest;
    perm_heavy_hitters_slot_t  *slot;

    lightest = i;
    *found = 0;

    for ( /* void */ ; i < end; i++) {

        if (top->keys[i].hash == hash) {
            slot = &top->slots[i];

            if (slot->reason == reason && !perm_trylock_torn(&slot->sequence)
                && perm_names_equal(&slot->names, tuple))
            {
                *found = 1;
                return i;
            }
        }

        if (top->keys[i].count < top->keys[lightest].count) {
            lightest = i;
        }
    }

    return lightest;
}


static void
perm_heavy_hitters_count(perm_heavy_hitters_t *top, ngx_uint_t i, time_t now)
{
    perm_heavy_hitters_slot_t  *slot;

    slot = &top->slots[i];

    perm_trylock_write(&slot->sequence);

    slot->count++;
    slot->last = now;

    perm_trylock_written(&slot->sequence);

    top->keys[i].count = slot->count;
}


/* the new call inherits the count of the one that it replaces */

static void
perm_heavy_hitters_replace(perm_heavy_hitters_t *top, ngx_uint_t i,
    perm_tuple_t *tuple, uint64_t hash, perm_reason_t reason, time_t now)
{
    perm_heavy_hitters_slot_t  *slot;

    slot = &top->slots[i];

    perm_trylock_write(&slot->sequence);

    slot->error = top->keys[i].count;
    slot->count = top->keys[i].count + 1;
    slot->first = now;
    slot->last = now;
    slot->reason = reason;
    perm_names_put(&slot->names, tuple);

    perm_trylock_written(&slot->sequence);

    top->keys[i].hash = hash;
    top->keys[i].count = slot->count;
}


void
perm_heavy_hitters_add(perm_heavy_hitters_t *top, perm_tuple_t *tuple,
    uint64_t hash, perm_reason_t reason, time_t now)
{
    ngx_uint_t    i, found;
    perm_tuple_t  normal;

    normal = *tuple;
    hash = perm_heavy_hitters_normalize(&normal, hash, reason);

    if (!perm_trylock_enter(&top->guard)) {
        return;
    }

    if (reason == PERM_GATEWAY_GRANT_EXPIRED
        || reason == PERM_RESOURCE_GRANT_EXPIRED)
    {
        i = perm_heavy_hitters_find(top, &normal, hash, reason, top->strangers,
                                    top->n, &found);
    } else {
        i = perm_heavy_hitters_find(top, &normal, hash, reason, 0,
                                    top->strangers, &found);
    }

    if (found) {
        perm_heavy_hitters_count(top, i, now);

    } else {
        perm_heavy_hitters_replace(top, i, &normal, hash, reason, now);
    }

    perm_trylock_leave(&top->guard);
}


static int ngx_libc_cdecl
perm_heavy_hitters_heavier(const void *one, const void *two)
{
    const perm_heavy_hitters_key_t  *first = one;
    const perm_heavy_hitters_key_t  *second = two;

    if (first->count == second->count) {
        return (first->hash > second->hash) - (first->hash < second->hash);
    }

    return (first->count < second->count) ? 1 : -1;
}


ngx_uint_t
perm_heavy_hitters_list(perm_heavy_hitters_t *top,
    perm_heavy_hitters_entry_t *entries, ngx_uint_t n)
{
    ngx_uint_t                   i, used, listed;
    perm_heavy_hitters_key_t     order[PERM_HEAVY_HITTERS_MAX];
    perm_heavy_hitters_slot_t    slot, *from;
    perm_heavy_hitters_entry_t  *entry;

    /* here "hash" is the number of the slot, "count" what it is at least */

    used = 0;

    for (i = 0; i < top->n; i++) {
        if (top->keys[i].count) {
            order[used].hash = i;
            order[used].count = top->keys[i].count - top->slots[i].error;
            used++;
        }
    }

    ngx_qsort(order, used, sizeof(perm_heavy_hitters_key_t),
              perm_heavy_hitters_heavier);

    listed = 0;

    for (i = 0; i < used && listed < n; i++) {
        from = &top->slots[order[i].hash];

        if (perm_trylock_read(&slot, from, sizeof(perm_heavy_hitters_slot_t),
                              &from->sequence)
            != NGX_OK)
        {
            continue;
        }

        entry = &entries[listed++];

        entry->reason = slot.reason;
        entry->count = slot.count;
        entry->error = slot.error;
        entry->first = slot.first;
        entry->last = slot.last;
        entry->names = slot.names;
        perm_names_get(&entry->names, &entry->tuple);
    }

    return listed;
}
