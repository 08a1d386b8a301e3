
#include "resp/reply.h"

#include <string.h>


int
perm_reply_code(const char *error, const char *code)
{
    size_t  len;

    len = strlen(code);

    return strncmp(error, code, len) == 0
           && (error[len] == '\0' || error[len] == ' ');
}


int
perm_reply_error(const redisReply *reply, const char *code)
{
    return reply != NULL && reply->type == REDIS_REPLY_ERROR
           && perm_reply_code(reply->str, code);
}


perm_str_t
perm_reply_text(const redisReply *reply)
{
    perm_str_t  text = perm_string("");

    if (reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS)
    {
        text.data = reply->str;
        text.len = (size_t) reply->len;
    }

    return text;
}


unsigned
perm_reply_port(perm_str_t text)
{
    size_t    i;
    unsigned  port;

    port = 0;

    for (i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9' || port > 65535) {
            return 0;
        }

        port = port * 10 + (unsigned) (text.data[i] - '0');
    }

    return (port <= 65535) ? port : 0;
}


int
perm_reply_address(perm_str_t host, long long port, perm_str_t asked,
    perm_reply_address_t *address)
{
    size_t  i;

    static const char  bytes[] = "abcdefghijklmnopqrstuvwxyz"
                                 "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-:";

    if (port < 1 || port > 65535 || host.len > PERM_REPLY_HOST_MAX) {
        return 0;
    }

    address->port = (unsigned) port;
    address->host = host;

    if (host.len == 0 || perm_str_equal(host, perm_str("?"))) {
        address->host = asked;
        return 1;
    }

    for (i = 0; i < host.len; i++) {
        if (memchr(bytes, host.data[i], sizeof(bytes) - 1) == NULL) {
            return 0;
        }
    }

    return 1;
}


int
perm_reply_role(const redisReply *reply, perm_role_t *role)
{
    perm_str_t  name;

    *role = PERM_ROLE_UNKNOWN;

    if (reply->type == REDIS_REPLY_ERROR) {
        return (perm_reply_error(reply, "NOPERM")
                || perm_reply_error(reply, "ERR unknown command")) ? 0 : -1;
    }

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements == 0) {
        return -1;
    }

    name = perm_reply_text(reply->element[0]);

    if (perm_str_equal(name, perm_str("master"))) {
        *role = PERM_ROLE_MASTER;

    } else if (perm_str_equal(name, perm_str("slave"))
               || perm_str_equal(name, perm_str("replica")))
    {
        *role = PERM_ROLE_REPLICA;

    } else if (perm_str_equal(name, perm_str("sentinel"))) {
        *role = PERM_ROLE_SENTINEL;
    }

    return name.len ? 0 : -1;
}


int
perm_reply_role_linked(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_ARRAY && reply->elements > 3
           && perm_str_equal(perm_reply_text(reply->element[3]),
                             perm_str("connected"));
}


const char *
perm_reply_sentinel(const redisReply *reply, const char *unknown,
    perm_reply_address_t *master)
{
    perm_str_t  host, port;

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

    host = perm_reply_text(reply->element[0]);
    port = perm_reply_text(reply->element[1]);

    if (!perm_reply_address(host, perm_reply_port(port), perm_str(""), master)
        || master->host.len == 0)
    {
        return "it names a master that has no valid address";
    }

    return NULL;
}
