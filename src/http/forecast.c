
#include "http/forecast.h"

#include "http/guard.h"


#define PERM_FORECAST_ZONE_SHARE  64   /* at most this part of the zone */
#define PERM_FORECAST_NONE        ((ngx_uint_t) -1)


typedef struct {
    ngx_atomic_t    sequence;
    int64_t         expires;
    time_t          seen;
    perm_names_t    names;
} perm_forecast_slot_t;


/* the hash and the expiry of each slot lie close together to be searched */

typedef struct {
    uint64_t        hash;
    int64_t         expires;   /* 0: free */
} perm_forecast_key_t;


struct perm_forecast_s {
    perm_guard_t           guard;
    ngx_uint_t             n;
    ngx_atomic_t           missed;
    perm_forecast_key_t   *keys;
    perm_forecast_slot_t  *slots;
};


const ngx_uint_t  perm_forecast_days[PERM_FORECAST_WINDOWS] = { 1, 3, 7, 15 };


perm_forecast_t *
perm_forecast_create(ngx_slab_pool_t *shpool, ngx_uint_t entries)
{
    size_t            size, room;
    perm_forecast_t  *forecast;

    size = sizeof(perm_forecast_slot_t) + sizeof(perm_forecast_key_t);
    room = (shpool->end - (u_char *) shpool) / PERM_FORECAST_ZONE_SHARE;

    entries = ngx_min(entries, PERM_FORECAST_MAX);
    entries = ngx_max(ngx_min(entries, room / size), 16);

    forecast = ngx_slab_calloc(shpool, sizeof(perm_forecast_t));
    if (forecast == NULL) {
        return NULL;
    }

    forecast->keys = ngx_slab_calloc(shpool,
                                     entries * sizeof(perm_forecast_key_t));
    forecast->slots = ngx_slab_calloc(shpool,
                                      entries * sizeof(perm_forecast_slot_t));

    if (forecast->keys == NULL || forecast->slots == NULL) {
        return NULL;
    }

    forecast->n = entries;

    return forecast;
}


static ngx_uint_t
perm_forecast_find(perm_forecast_t *forecast, perm_call_t *grant,
    uint64_t hash)
{
    ngx_uint_t             i;
    perm_forecast_slot_t  *slot;

    for (i = 0; i < forecast->n; i++) {
        slot = &forecast->slots[i];

        if (forecast->keys[i].hash == hash && forecast->keys[i].expires
            && !perm_guard_torn(&slot->sequence)
            && perm_names_equal(&slot->names, grant))
        {
            return i;
        }
    }

    return PERM_FORECAST_NONE;
}


/* a free slot, one whose grant has ended, or the one that ends last */

static ngx_uint_t
perm_forecast_place(perm_forecast_t *forecast, time_t now)
{
    ngx_uint_t  i, last;

    last = 0;

    for (i = 0; i < forecast->n; i++) {

        if (forecast->keys[i].expires <= (int64_t) now) {
            return i;
        }

        if (forecast->keys[i].expires > forecast->keys[last].expires) {
            last = i;
        }
    }

    return last;
}


static void
perm_forecast_put(perm_forecast_t *forecast, perm_call_t *grant,
    uint64_t hash, int64_t expires, time_t now)
{
    ngx_uint_t             i;
    perm_forecast_key_t   *key;
    perm_forecast_slot_t  *slot;

    i = perm_forecast_find(forecast, grant, hash);

    if (i == PERM_FORECAST_NONE) {
        i = perm_forecast_place(forecast, now);
        key = &forecast->keys[i];

        if (key->expires > (int64_t) now) {
            (void) ngx_atomic_fetch_add(&forecast->missed, 1);

            if (key->expires <= expires) {
                return;
            }
        }
    }

    key = &forecast->keys[i];
    slot = &forecast->slots[i];

    perm_guard_write(&slot->sequence);

    slot->expires = expires;
    slot->seen = now;
    perm_names_put(&slot->names, grant);

    perm_guard_written(&slot->sequence);

    key->hash = hash;
    key->expires = expires;
}


ngx_uint_t
perm_forecast_soon(int64_t expires, time_t now)
{
    return perm_grant_live(expires, now)
           && expires <= (int64_t) now + PERM_FORECAST_DAYS * 86400;
}


/*
 * Most lookups are of grants that are far from their end or of none: they
 * are done when a look without the guard finds nothing to take out.
 */

static void
perm_forecast_update(perm_forecast_t *forecast, perm_call_t *grant,
    uint64_t hash, int64_t expires, time_t now)
{
    ngx_uint_t  i, soon;

    soon = perm_forecast_soon(expires, now);

    if (!soon
        && perm_forecast_find(forecast, grant, hash) == PERM_FORECAST_NONE)
    {
        return;
    }

    if (!perm_guard_enter(&forecast->guard)) {
        return;
    }

    if (soon) {
        perm_forecast_put(forecast, grant, hash, expires, now);

    } else {
        i = perm_forecast_find(forecast, grant, hash);

        if (i != PERM_FORECAST_NONE) {
            forecast->keys[i].expires = 0;
        }
    }

    perm_guard_leave(&forecast->guard);
}


void
perm_forecast_note(perm_forecast_t *forecast, perm_call_t *call,
    uint64_t hash, perm_reason_t reason, int64_t expires, time_t now)
{
    perm_call_t  gateway;

    gateway = *call;
    gateway.resource.len = 1;
    gateway.resource.data = "-";

    switch (reason) {

    case PERM_RESOURCE_GRANT:
        perm_forecast_update(forecast, call, hash, expires, now);

        /* not even a live grant on the gateway: else that had allowed it */

        expires = PERM_GRANT_ABSENT;
        break;

    case PERM_GATEWAY_GRANT:
        break;

    case PERM_NO_GRANT:
        expires = PERM_GRANT_ABSENT;
        perm_forecast_update(forecast, call, hash, expires, now);
        break;

    default:
        return;
    }

    perm_forecast_update(forecast, &gateway, perm_names_hash(&gateway),
                         expires, now);
}


ngx_uint_t
perm_forecast_count(perm_forecast_t *forecast, time_t now,
    ngx_uint_t counts[PERM_FORECAST_WINDOWS])
{
    int64_t     left;
    ngx_uint_t  i, k;

    ngx_memzero(counts, PERM_FORECAST_WINDOWS * sizeof(ngx_uint_t));

    for (i = 0; i < forecast->n; i++) {
        left = forecast->keys[i].expires - (int64_t) now;

        if (left <= 0) {
            continue;
        }

        for (k = 0; k < PERM_FORECAST_WINDOWS; k++) {
            if (left <= (int64_t) perm_forecast_days[k] * 86400) {
                counts[k]++;
            }
        }
    }

    return forecast->missed;
}


static int ngx_libc_cdecl
perm_forecast_sooner(const void *one, const void *two)
{
    const perm_forecast_key_t  *first = one;
    const perm_forecast_key_t  *second = two;

    return (first->expires > second->expires)
           - (first->expires < second->expires);
}


ngx_uint_t
perm_forecast_list(perm_forecast_t *forecast, time_t now,
    perm_forecast_entry_t *entries, ngx_uint_t n)
{
    ngx_uint_t              i, soon, listed;
    perm_forecast_key_t     order[PERM_FORECAST_MAX];
    perm_forecast_slot_t    slot, *from;
    perm_forecast_entry_t  *entry;

    /* here "hash" is the number of the slot */

    soon = 0;

    for (i = 0; i < forecast->n; i++) {
        if (forecast->keys[i].expires > (int64_t) now) {
            order[soon].hash = i;
            order[soon].expires = forecast->keys[i].expires;
            soon++;
        }
    }

    ngx_qsort(order, soon, sizeof(perm_forecast_key_t), perm_forecast_sooner);

    listed = 0;

    for (i = 0; i < soon && listed < n; i++) {
        from = &forecast->slots[order[i].hash];

        if (perm_guard_read(&slot, from, sizeof(perm_forecast_slot_t),
                            &from->sequence)
            != NGX_OK)
        {
            continue;
        }

        entry = &entries[listed++];

        entry->expires = slot.expires;
        entry->seen = slot.seen;
        entry->names = slot.names;
        perm_names_get(&entry->names, &entry->call);
    }

    return listed;
}
