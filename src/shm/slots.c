
#include "shm/slots.h"


ngx_int_t
perm_slots_create(ngx_slab_pool_t *shpool, perm_slots_class_t *classes,
    const perm_slots_size_t *sizes, size_t size, size_t extra)
{
    size_t      left, share, bucket, n, bytes;
    u_char     *slots;
    uint32_t   *tags, first;
    ngx_uint_t  i;

    left = size;
    bytes = 0;

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

        classes[i].buckets = (uint32_t) n;
        classes[i].slot_size = sizes[i].slot_size;
        classes[i].names_max = sizes[i].names_max;
        classes[i].bigger = (i + 1 < PERM_SLOTS_CLASSES);
    }

    first = 0;

    for (i = 0; i < PERM_SLOTS_CLASSES; i++) {
        classes[i].first = first;
        first += classes[i].buckets * PERM_SLOTS_BUCKET;
    }

    slots = ngx_slab_calloc(shpool, bytes);
    tags = ngx_slab_calloc(shpool, first * sizeof(uint32_t));

    if (slots == NULL || tags == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < PERM_SLOTS_CLASSES; i++) {
        classes[i].slots = slots;
        classes[i].tags = tags + classes[i].first;

        slots += (size_t) classes[i].buckets * PERM_SLOTS_BUCKET
                 * classes[i].slot_size;
    }

    return NGX_OK;
}
