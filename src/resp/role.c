
#include "resp/role.h"

#include <string.h>


int
perm_role_parse(const redisReply *reply, perm_role_t *role)
{
    size_t      i;
    perm_str_t  name;

    static const struct {
        perm_str_t   name;
        perm_role_t  role;
    } roles[] = {
        { perm_string("master"), PERM_ROLE_MASTER },
        { perm_string("slave"), PERM_ROLE_REPLICA },
        { perm_string("replica"), PERM_ROLE_REPLICA },
        { perm_string("sentinel"), PERM_ROLE_SENTINEL }
    };

    *role = PERM_ROLE_UNKNOWN;

    if (reply->type == REDIS_REPLY_ERROR) {
        return (perm_reply_error(reply, "NOPERM")
                || perm_reply_error(reply, "ERR unknown command")) ? 0 : -1;
    }

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements == 0) {
        return -1;
    }

    name = perm_reply_text(reply->element[0]);

    for (i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
        if (name.len == roles[i].name.len
            && memcmp(name.data, roles[i].name.data, name.len) == 0)
        {
            *role = roles[i].role;
        }
    }

    return name.len ? 0 : -1;
}
