
#include "core/grant_key.h"

#include <stdio.h>
#include <string.h>


static const char *const  kind_words[] = {
    "grants:{",
    "access:{",
    "requests:{",
    "notices:{",
    "history:{"
};


int
perm_grant_key_prefix_valid(perm_str_t prefix)
{
    size_t  i;
    char    c;

    if (prefix.len > PERM_PREFIX_MAX) {
        return 0;
    }

    for (i = 0; i < prefix.len; i++) {
        c = prefix.data[i];

        if (c <= ' ' || c > '~' || strchr("{}*?[]\\\"", c) != NULL) {
            return 0;
        }
    }

    return 1;
}


size_t
perm_grant_key(char *key, perm_key_kind_t kind, perm_str_t prefix,
    perm_str_t gateway, perm_str_t app)
{
    return (size_t) sprintf(key, "%.*s%s%.*s:%.*s}",
                            (int) prefix.len, prefix.data, kind_words[kind],
                            (int) gateway.len, gateway.data,
                            (int) app.len, app.data);
}


size_t
perm_grant_key_meta(char *key, perm_str_t prefix)
{
    return (size_t) sprintf(key, "%.*smeta", (int) prefix.len, prefix.data);
}


int
perm_grant_key_parse(perm_str_t key, perm_key_kind_t kind, perm_str_t prefix,
    perm_str_t *gateway, perm_str_t *app)
{
    size_t       word;
    const char  *p, *last, *colon;

    word = strlen(kind_words[kind]);

    if (key.len < prefix.len + word + 1
        || memcmp(key.data, prefix.data, prefix.len) != 0
        || memcmp(key.data + prefix.len, kind_words[kind], word) != 0)
    {
        return 0;
    }

    p = key.data + prefix.len + word;
    last = key.data + key.len - 1;

    if (*last != '}') {
        return 0;
    }

    colon = memchr(p, ':', last - p);

    if (colon == NULL) {
        return 0;
    }

    gateway->data = p;
    gateway->len = colon - p;
    app->data = colon + 1;
    app->len = last - colon - 1;

    return perm_name_gateway_valid(*gateway) && perm_name_app_valid(*app);
}


unsigned
perm_grant_key_slot(perm_str_t key)
{
    size_t       i;
    unsigned     bit, crc;
    const char  *open, *end;

    open = memchr(key.data, '{', key.len);

    if (open != NULL) {
        open++;
        end = memchr(open, '}', key.data + key.len - open);

        if (end != NULL && end != open) {
            key.data = open;
            key.len = end - open;
        }
    }

    crc = 0;

    for (i = 0; i < key.len; i++) {
        crc ^= (unsigned) (unsigned char) key.data[i] << 8;

        for (bit = 0; bit < 8; bit++) {
            crc = (crc & 0x8000) ? (crc << 1) ^ 0x1021 : crc << 1;
        }

        crc &= 0xffff;
    }

    return crc % PERM_CLUSTER_SLOTS;
}
