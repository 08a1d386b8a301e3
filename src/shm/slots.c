
#include "shm/slots.h"


static void perm_slots_survey(perm_slots_class_t *class, uint64_t hash,
    perm_slots_kind_pt ask, void *table, uint32_t now, ngx_uint_t share,
    perm_slots_place_t *best);


ngx_int_t
perm_slots_create(ngx_slab_pool_t *shpool, perm_slots_class_t *classes,
    const perm_slots_size_t *sizes, size_t size, size_t extra)
{
    size_t      left, share, bucket, n, bytes, count;
    u_char     *slots;
    uint32_t   *tags, first;
    ngx_uint_t  i;

    left = size;
    bytes = 0;
    count = 0;

    for (i = PERM_SLOTS_CLASSES; i-- > 0; /* void */ ) {

        bucket =
            PERM_SLOTS_BUCKET * (sizes[i].slot_size + sizeof(uint32_t) + extra);
        share = sizes[i].share ? size / 100 * sizes[i].share : left;

        n = ngx_min(share / bucket, UINT32_MAX / PERM_SLOTS_BUCKET / 4);
        n = ngx_max(n, 1);

        if (n * bucket > left) {
            return NGX_ERROR;
        }

        left -= n * bucket;
        bytes += n * PERM_SLOTS_BUCKET * sizes[i].slot_size;
        count += n * PERM_SLOTS_BUCKET;

        classes[i].buckets = (uint32_t) n;
        classes[i].slot_size = sizes[i].slot_size;
        classes[i].names_max = sizes[i].names_max;
        classes[i].bigger = (i + 1 < PERM_SLOTS_CLASSES);
    }

    /* one allocation each, since the slab pool gives whole pages */

    slots = ngx_slab_calloc(shpool, bytes);
    tags = ngx_slab_calloc(shpool, count * sizeof(uint32_t));

    if (slots == NULL || tags == NULL) {
        return NGX_ERROR;
    }

    for (first = 0, i = 0; i < PERM_SLOTS_CLASSES; i++) {
        n = classes[i].buckets * PERM_SLOTS_BUCKET;

        classes[i].first = first;
        classes[i].tags = tags + first;
        classes[i].slots = slots;

        first += (uint32_t) n;
        slots += n * classes[i].slot_size;
    }

    return NGX_OK;
}


ngx_int_t
perm_slots_find_room(perm_slots_class_t *natural, uint64_t hash,
    perm_slots_kind_pt ask, void *table, uint32_t now, ngx_uint_t share,
    perm_slots_place_t *place)
{
    perm_slots_class_t  *class;
    perm_slots_place_t   dear, best[PERM_SLOTS_KEPT];

    class = natural;
    dear.class = NULL;

    do {
        perm_slots_survey(class, hash, ask, table, now, share, best);

        *place = best[PERM_SLOTS_FREE].class ? best[PERM_SLOTS_FREE]
                                             : best[PERM_SLOTS_CHEAP];

        if (place->class || share) {
            return place->class ? NGX_OK : NGX_DECLINED;
        }

        if (dear.class == NULL) {
            dear = best[PERM_SLOTS_DEAR];
        }

    } while ((class++)->bigger);

    *place = dear;

    return place->class ? NGX_OK : NGX_DECLINED;
}


/* the best slot of each kind in the two buckets of a class; class NULL: none */

static void
perm_slots_survey(perm_slots_class_t *class, uint64_t hash,
    perm_slots_kind_pt ask, void *table, uint32_t now, ngx_uint_t share,
    perm_slots_place_t *best)
{
    uint32_t            end, stamp, age, oldest[PERM_SLOTS_KEPT];
    ngx_uint_t          bucket, kind, most, n[PERM_SLOTS_KEPT + 1];
    perm_slots_place_t  place, free;

    ngx_memzero(best, PERM_SLOTS_KEPT * sizeof(perm_slots_place_t));

    most = 0;
    place.class = class;

    for (bucket = 0; bucket < 2; bucket++) {

        ngx_memzero(n, sizeof(n));
        free.class = NULL;

        place.i = perm_slots_first(hash, class->buckets, bucket);
        end = place.i + PERM_SLOTS_BUCKET;

        for ( /* void */ ; place.i < end; place.i++) {

            kind = ask(table, &place, &stamp);

            n[kind]++;

            if (kind == PERM_SLOTS_FREE && free.class == NULL) {
                free = place;
            }

            if (kind == PERM_SLOTS_FREE || kind == PERM_SLOTS_KEPT) {
                continue;
            }

            age = now - stamp;
            age = (age > INT32_MAX) ? 0 : age;

            if (best[kind].class == NULL || age > oldest[kind]) {
                best[kind] = place;
                oldest[kind] = age;
            }
        }

        /* a free slot of the emptier bucket, so that both fill evenly */

        if (free.class && n[PERM_SLOTS_FREE] > most
            && (share == 0 || n[PERM_SLOTS_CHEAP] < share))
        {
            most = n[PERM_SLOTS_FREE];
            best[PERM_SLOTS_FREE] = free;
        }
    }
}
