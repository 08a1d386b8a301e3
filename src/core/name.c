
#include "core/name.h"


#define ASCII_WORD(c)                                                         \
    (((c) >= 'A' && (c) <= 'Z') || ((c) >= 'a' && (c) <= 'z')                 \
     || ((c) >= '0' && (c) <= '9'))

#define ASCII_PUNCT(c)                                                        \
    ((c) == '.' || (c) == '_' || (c) == '~' || (c) == '@' || (c) == '/'       \
     || (c) == '+' || (c) == '-')

#define BIT(c)     ((ASCII_WORD(c) || ASCII_PUNCT(c)) ? 1u << ((c) & 31) : 0u)
#define BITS4(c)   (BIT(c) | BIT((c) + 1) | BIT((c) + 2) | BIT((c) + 3))
#define BITS16(c)  (BITS4(c) | BITS4((c) + 4) | BITS4((c) + 8)                \
                    | BITS4((c) + 12))
#define BITS32(c)  (BITS16(c) | BITS16((c) + 16))


/* one bit a byte value, in the manner of nginx's escape tables */

static const unsigned  name_bytes[8] = {
    BITS32(0), BITS32(32), BITS32(64), BITS32(96), 0, 0, 0, 0
};


static int
name_valid(perm_str_t name, size_t max)
{
    size_t         i;
    unsigned char  c;

    if (name.len == 0 || name.len > max) {
        return 0;
    }

    for (i = 0; i < name.len; i++) {
        c = (unsigned char) name.data[i];

        if (!(name_bytes[c >> 5] & (1u << (c & 31)))) {
            return 0;
        }
    }

    return 1;
}


int
perm_name_gateway_valid(perm_str_t name)
{
    return name_valid(name, PERM_GATEWAY_MAX);
}


int
perm_name_resource_valid(perm_str_t name)
{
    if (name.len == 1 && name.data[0] == '-') {
        return 0;
    }

    return name_valid(name, PERM_RESOURCE_MAX);
}


int
perm_name_app_valid(perm_str_t name)
{
    return name_valid(name, PERM_APP_MAX);
}
