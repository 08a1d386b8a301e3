
#include "shm/tuple.h"


/* in each of them is a byte that no valid name has */

#define PERM_HASH_A  UINT64_C(0xa0761d6478bd642f)
#define PERM_HASH_B  UINT64_C(0xe7037ed1a0b428db)
#define PERM_HASH_C  UINT64_C(0x8ebc6af09c88c6e3)


static ngx_inline uint64_t
perm_tuple_half(const char *p)
{
    uint32_t  half;

    ngx_memcpy(&half, p, sizeof(uint32_t));

    return half;
}


static ngx_inline uint64_t
perm_hash_fold(uint64_t a, uint64_t b)
{
#if defined(__SIZEOF_INT128__)

    __extension__ unsigned __int128  product;

    product = a;
    product *= b;

    return (uint64_t) product ^ (uint64_t) (product >> 64);

#else

    uint64_t  low, mid1, mid2, high;

    low = (a & 0xffffffff) * (b & 0xffffffff);
    mid1 = (a >> 32) * (b & 0xffffffff) + (low >> 32);
    mid2 = (a & 0xffffffff) * (b >> 32) + (mid1 & 0xffffffff);
    high = (a >> 32) * (b >> 32) + (mid1 >> 32) + (mid2 >> 32);

    return ((mid2 << 32) | (low & 0xffffffff)) ^ high;

#endif
}


/*
 * Multiply and fold, 16 bytes a step; the last step overlaps the one before.
 * The length is spread over all bits: added as it is, it would make "1" and
 * "10" collide with a part of the seeds.
 */

static ngx_inline uint64_t
perm_hash_name(uint64_t hash, perm_str_t *name)
{
    size_t       len;
    uint64_t     a, b;
    const char  *p;

    p = name->data;
    len = name->len;
    hash += len * PERM_HASH_C;

    while (len > 16) {
        hash = perm_hash_fold(perm_tuple_word(p) ^ PERM_HASH_A,
                              perm_tuple_word(p + 8) ^ hash);
        p += 16;
        len -= 16;
    }

    if (len >= 8) {
        a = perm_tuple_word(p);
        b = perm_tuple_word(p + len - 8);

    } else if (len >= 4) {
        a = perm_tuple_half(p);
        b = perm_tuple_half(p + len - 4);

    } else if (len > 0) {
        a = (u_char) p[0] | (u_char) p[len / 2] << 8;
        b = (u_char) p[len - 1];

    } else {
        a = 0;
        b = 0;
    }

    return perm_hash_fold(a ^ PERM_HASH_B, b ^ hash);
}


uint64_t
perm_tuple_hash(perm_tuple_t *tuple, uint64_t seed)
{
    uint64_t  hash;

    hash = perm_hash_name(seed, &tuple->gateway);
    hash = perm_hash_name(hash, &tuple->app);

    return perm_hash_name(hash, &tuple->resource);
}


uint64_t
perm_tuple_key_hash(perm_str_t gateway, perm_str_t app, uint64_t seed)
{
    uint64_t  hash;

    hash = perm_hash_name(seed ^ PERM_HASH_C, &gateway);

    return perm_hash_name(hash, &app);
}


ngx_int_t
perm_tuple_copy(perm_tuple_t *tuple, char *bytes, perm_tuple_names_t *names,
    size_t max)
{
    perm_tuple_get(tuple, names);

    if (perm_tuple_len(tuple) > max) {
        return NGX_DECLINED;
    }

    ngx_memcpy(bytes, names->bytes, perm_tuple_len(tuple));
    perm_tuple_point(tuple, bytes);

    return NGX_OK;
}
