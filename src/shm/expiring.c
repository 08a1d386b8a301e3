
#include "shm/expiring.h"

#include "shm/trylock.h"


#define PERM_EXPIRING_ZONE_SHARE  64   /* at most this part of the zone */
#define PERM_EXPIRING_NONE        ((ngx_uint_t) -1)


typedef struct {
    ngx_atomic_t    sequence;
    int64_t         expires;
    time_t          seen;
    perm_names_t    names;
} perm_expiring_slot_t;


/* the hash and the expiry of each slot lie close together to be searched */

typedef struct {
    uint64_t        hash;
    int64_t         expires;   /* 0: free */
} perm_expiring_key_t;


struct perm_expiring_s {
    perm_trylock_t         guard;
    ngx_uint_t             n;
    ngx_atomic_t           missed;
    perm_expiring_key_t   *keys;
    perm_expiring_slot_t  *slots;
};


const ngx_uint_t  perm_expiring_days[PERM_EXPIRING_WINDOWS] = { 1, 3, 7, 15 };


perm_expiring_t *
perm_expiring_create(ngx_slab_pool_t *shpool, ngx_uint_t entries)
{
    size_t            size, room;
    perm_expiring_t  *expiring;

    size = sizeof(perm_expiring_slot_t) + sizeof(perm_expiring_key_t);
    room = (shpool->end - (u_char *) shpool) / PERM_EXPIRING_ZONE_SHARE;

    entries = ngx_min(entries, PERM_EXPIRING_MAX);
    entries = ngx_max(ngx_min(entries, room / size), 16);

    expiring = ngx_slab_calloc(shpool, sizeof(perm_expiring_t));
    if (expiring == NULL) {
        return NULL;
    }

    expiring->keys = ngx_slab_calloc(shpool,
                                     entries * sizeof(perm_expiring_key_t));
    expiring->slots = ngx_slab_calloc(shpool,
                                      entries * sizeof(perm_expiring_slot_t));

    if (expiring->keys == NULL || expiring->slots == NULL) {
        return NULL;
    }

    expiring->n = entries;

    return expiring;
}


static ngx_uint_t
perm_expiring_find(perm_expiring_t *expiring, perm_tuple_t *grant,
    uint64_t hash)
{
    ngx_uint_t             i;
    perm_expiring_slot_t  *slot;

    for (i = 0; i < expiring->n; i++) {
        slot = &expiring->slots[i];

        if (expiring->keys[i].hash == hash && expiring->keys[i].expires
            && !perm_trylock_torn(&slot->sequence)
            && perm_names_equal(&slot->names, grant))
        {
            return i;
        }
    }

    return PERM_EXPIRING_NONE;
}


/* a free slot, one whose grant has ended, or the one that ends last */

static ngx_uint_t
perm_expiring_place(perm_expiring_t *expiring, time_t now)
{
    ngx_uint_t  i, last;

    last = 0;

    for (i = 0; i < expiring->n; i++) {

        if (expiring->keys[i].expires <= (int64_t) now) {
            return i;
        }

        if (expiring->keys[i].expires > expiring->keys[last].expires) {
            last = i;
        }
    }

    return last;
}


static void
perm_expiring_put(perm_expiring_t *expiring, perm_tuple_t *grant,
    uint64_t hash, int64_t expires, time_t now)
{
    ngx_uint_t             i;
    perm_expiring_key_t   *key;
    perm_expiring_slot_t  *slot;

    i = perm_expiring_find(expiring, grant, hash);

    if (i == PERM_EXPIRING_NONE) {
        i = perm_expiring_place(expiring, now);
        key = &expiring->keys[i];

        if (key->expires > (int64_t) now) {
            (void) ngx_atomic_fetch_add(&expiring->missed, 1);

            if (key->expires <= expires) {
                return;
            }
        }
    }

    key = &expiring->keys[i];
    slot = &expiring->slots[i];

    perm_trylock_write(&slot->sequence);

    slot->expires = expires;
    slot->seen = now;
    perm_names_put(&slot->names, grant);

    perm_trylock_written(&slot->sequence);

    key->hash = hash;
    key->expires = expires;
}


ngx_uint_t
perm_expiring_soon(int64_t expires, time_t now)
{
    return perm_grant_live(expires, now)
           && expires <= (int64_t) now + PERM_EXPIRING_DAYS * 86400;
}


/*
 * Most lookups are of grants that are far from their end or of none: they
 * are done when a look without the guard finds nothing to take out.
 */

static void
perm_expiring_update(perm_expiring_t *expiring, perm_tuple_t *grant,
    uint64_t hash, int64_t expires, time_t now)
{
    ngx_uint_t  i, soon;

    soon = perm_expiring_soon(expires, now);

    if (!soon
        && perm_expiring_find(expiring, grant, hash) == PERM_EXPIRING_NONE)
    {
        return;
    }

    if (!perm_trylock_enter(&expiring->guard)) {
        return;
    }

    if (soon) {
        perm_expiring_put(expiring, grant, hash, expires, now);

    } else {
        i = perm_expiring_find(expiring, grant, hash);

        if (i != PERM_EXPIRING_NONE) {
            expiring->keys[i].expires = 0;
        }
    }

    perm_trylock_leave(&expiring->guard);
}


void
perm_expiring_note(perm_expiring_t *expiring, perm_tuple_t *tuple,
    uint64_t hash, perm_reason_t reason, int64_t expires, time_t now)
{
    perm_tuple_t  gateway;

    gateway = *tuple;
    gateway.resource.len = 1;
    gateway.resource.data = "-";

    switch (reason) {

    case PERM_RESOURCE_GRANT:
        perm_expiring_update(expiring, tuple, hash, expires, now);

        /* not even a live grant on the gateway: else that had allowed it */

        expires = PERM_GRANT_ABSENT;
        break;

    case PERM_GATEWAY_GRANT:
        break;

    case PERM_NO_GRANT:
        expires = PERM_GRANT_ABSENT;
        perm_expiring_update(expiring, tuple, hash, expires, now);
        break;

    default:
        return;
    }

    perm_expiring_update(expiring, &gateway, perm_names_hash(&gateway),
                         expires, now);
}


ngx_uint_t
perm_expiring_count(perm_expiring_t *expiring, time_t now,
    ngx_uint_t counts[PERM_EXPIRING_WINDOWS])
{
    int64_t     left;
    ngx_uint_t  i, k;

    ngx_memzero(counts, PERM_EXPIRING_WINDOWS * sizeof(ngx_uint_t));

    for (i = 0; i < expiring->n; i++) {
        left = expiring->keys[i].expires - (int64_t) now;

        if (left <= 0) {
            continue;
        }

        for (k = 0; k < PERM_EXPIRING_WINDOWS; k++) {
            if (left <= (int64_t) perm_expiring_days[k] * 86400) {
                counts[k]++;
            }
        }
    }

    return expiring->missed;
}


static int ngx_libc_cdecl
perm_expiring_sooner(const void *one, const void *two)
{
    const perm_expiring_key_t  *first = one;
    const perm_expiring_key_t  *second = two;

    return (first->expires > second->expires)
           - (first->expires < second->expires);
}


ngx_uint_t
perm_expiring_list(perm_expiring_t *expiring, time_t now,
    perm_expiring_entry_t *entries, ngx_uint_t n)
{
    ngx_uint_t              i, soon, listed;
    perm_expiring_key_t     order[PERM_EXPIRING_MAX];
    perm_expiring_slot_t    slot, *from;
    perm_expiring_entry_t  *entry;

    /* here "hash" is the number of the slot */

    soon = 0;

    for (i = 0; i < expiring->n; i++) {
        if (expiring->keys[i].expires > (int64_t) now) {
            order[soon].hash = i;
            order[soon].expires = expiring->keys[i].expires;
            soon++;
        }
    }

    ngx_qsort(order, soon, sizeof(perm_expiring_key_t), perm_expiring_sooner);

    listed = 0;

    for (i = 0; i < soon && listed < n; i++) {
        from = &expiring->slots[order[i].hash];

        if (perm_trylock_read(&slot, from, sizeof(perm_expiring_slot_t),
                              &from->sequence)
            != NGX_OK)
        {
            continue;
        }

        entry = &entries[listed++];

        entry->expires = slot.expires;
        entry->seen = slot.seen;
        entry->names = slot.names;
        perm_names_get(&entry->names, &entry->tuple);
    }

    return listed;
}
