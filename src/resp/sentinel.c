
#include "resp/sentinel.h"


const char *
perm_sentinel_parse(const redisReply *reply, const char *unknown,
    perm_reply_address_t *master)
{
    if (reply->type == REDIS_REPLY_NIL) {
        return unknown;
    }

    if (perm_reply_error(reply, "NOPERM")) {
        return "its user has no right to SENTINEL get-master-addr-by-name";
    }

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2) {
        return "unexpected answer to SENTINEL get-master-addr-by-name; is it "
               "a Sentinel?";
    }

    master->host = perm_reply_text(reply->element[0]);
    master->port = perm_reply_port(perm_reply_text(reply->element[1]));

    if (!perm_reply_host_valid(master->host) || master->port == 0) {
        return "it names a master that has no valid address";
    }

    return NULL;
}
