
/*
 * (gateway, resource, app) in shared memory: its hash, and its names by value.
 */


#ifndef _PERM_SHM_TUPLE_H_INCLUDED_
#define _PERM_SHM_TUPLE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "core/name.h"


/* bytes of all three names */

#define perm_tuple_len(tuple)                                                 \
    ((tuple)->gateway.len + (tuple)->resource.len + (tuple)->app.len)


/*
 * The names of a tuple: gateway, app and resource one after the other.  As the
 * last member of a slot, "bytes" ends with the slot.
 */

typedef struct {
    uint16_t    resource_len;
    uint8_t     gateway_len;
    uint8_t     app_len;
    char        bytes[PERM_TUPLE_MAX];
} perm_tuple_names_t;


/*
 * The hash of a tuple, and another one of a key of grants.  The seed keeps
 * callers from choosing names that collide.  Names with equal hashes may
 * differ: they are compared in full.
 */

uint64_t perm_tuple_hash(perm_tuple_t *tuple, uint64_t seed);
uint64_t perm_tuple_key_hash(perm_str_t gateway, perm_str_t app, uint64_t seed);


static ngx_inline uint64_t
perm_tuple_word(const char *p)
{
    uint64_t  word;

    ngx_memcpy(&word, p, sizeof(uint64_t));

    return word;
}


/*
 * To call memcmp() for a name takes longer than to compare it.  The last word
 * may overlap the one before.
 */

static ngx_inline ngx_uint_t
perm_tuple_name_equal(const char *one, const char *two, size_t len)
{
    size_t  i;

    if (len >= 8) {

        for (i = 0; i + 8 < len; i += 8) {
            if (perm_tuple_word(one + i) != perm_tuple_word(two + i)) {
                return 0;
            }
        }

        i = len - 8;

        return perm_tuple_word(one + i) == perm_tuple_word(two + i);
    }

    for (i = 0; i < len; i++) {
        if (one[i] != two[i]) {
            return 0;
        }
    }

    return 1;
}


/* the names may be of a slot that is being written */

static ngx_inline ngx_uint_t
perm_tuple_equal(perm_tuple_t *tuple, perm_tuple_names_t *names)
{
    const char  *app, *resource;

    /* first: bytes of these lengths are within the slot */

    if (names->gateway_len != tuple->gateway.len
        || names->app_len != tuple->app.len
        || names->resource_len != tuple->resource.len)
    {
        return 0;
    }

    app = names->bytes + tuple->gateway.len;
    resource = app + tuple->app.len;

    return perm_tuple_name_equal(app, tuple->app.data, tuple->app.len)
           && perm_tuple_name_equal(resource, tuple->resource.data,
                                    tuple->resource.len)
           && perm_tuple_name_equal(names->bytes, tuple->gateway.data,
                                    tuple->gateway.len);
}


/*
 * Copies the names, of a slot that may be being written, and points the tuple
 * to the copy.  NGX_DECLINED: they are longer than "max" bytes.
 */

ngx_int_t perm_tuple_copy(perm_tuple_t *tuple, char *bytes,
    perm_tuple_names_t *names, size_t max);


/* no name is longer than its PERM_*_MAX */

static ngx_inline ngx_uint_t
perm_tuple_fits(perm_tuple_t *tuple)
{
    return tuple->gateway.len <= PERM_GATEWAY_MAX
           && tuple->resource.len <= PERM_RESOURCE_MAX
           && tuple->app.len <= PERM_APP_MAX;
}


static ngx_inline void
perm_tuple_write(perm_tuple_t *tuple, char *bytes)
{
    ngx_memcpy(bytes, tuple->gateway.data, tuple->gateway.len);
    bytes += tuple->gateway.len;

    ngx_memcpy(bytes, tuple->app.data, tuple->app.len);
    bytes += tuple->app.len;

    ngx_memcpy(bytes, tuple->resource.data, tuple->resource.len);
}


/* the lengths are there already */

static ngx_inline void
perm_tuple_point(perm_tuple_t *tuple, const char *bytes)
{
    tuple->gateway.data = bytes;
    tuple->app.data = bytes + tuple->gateway.len;
    tuple->resource.data = tuple->app.data + tuple->app.len;
}


static ngx_inline void
perm_tuple_put(perm_tuple_names_t *names, perm_tuple_t *tuple)
{
    names->gateway_len = (uint8_t) tuple->gateway.len;
    names->app_len = (uint8_t) tuple->app.len;
    names->resource_len = (uint16_t) tuple->resource.len;

    perm_tuple_write(tuple, names->bytes);
}


/* points the tuple into the names */

static ngx_inline void
perm_tuple_get(perm_tuple_t *tuple, perm_tuple_names_t *names)
{
    tuple->gateway.len = names->gateway_len;
    tuple->app.len = names->app_len;
    tuple->resource.len = names->resource_len;

    perm_tuple_point(tuple, names->bytes);
}


#endif /* _PERM_SHM_TUPLE_H_INCLUDED_ */
