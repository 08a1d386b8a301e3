
#include "core/name.h"


static const char  name_bytes[256] = {
    ['A' ... 'Z'] = 1, ['a' ... 'z'] = 1, ['0' ... '9'] = 1,
    ['.'] = 1, ['_'] = 1, ['~'] = 1, ['@'] = 1, ['/'] = 1, ['+'] = 1, ['-'] = 1
};


static int
name_valid(perm_str_t name, size_t max)
{
    size_t  i;

    if (name.len == 0 || name.len > max) {
        return 0;
    }

    for (i = 0; i < name.len; i++) {
        if (!name_bytes[(unsigned char) name.data[i]]) {
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
