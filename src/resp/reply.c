
#include "resp/reply.h"

#include <string.h>


int
perm_reply_error(const redisReply *reply, const char *code)
{
    size_t  len;

    if (reply == NULL || reply->type != REDIS_REPLY_ERROR) {
        return 0;
    }

    len = strlen(code);

    return strncmp(reply->str, code, len) == 0
           && (reply->str[len] == '\0' || reply->str[len] == ' ');
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


int
perm_reply_host_valid(perm_str_t host)
{
    size_t         i;
    unsigned char  c;

    for (i = 0; i < host.len; i++) {
        c = (unsigned char) host.data[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
              || (c >= '0' && c <= '9')
              || c == '.' || c == '_' || c == '-' || c == ':'))
        {
            return 0;
        }
    }

    return host.len > 0 && host.len <= PERM_REPLY_HOST_MAX;
}


unsigned
perm_reply_port(perm_str_t text)
{
    size_t    i;
    unsigned  port;

    port = 0;

    for (i = 0; i < text.len; i++) {

        if (text.data[i] < '0' || text.data[i] > '9') {
            return 0;
        }

        port = port * 10 + (unsigned) (text.data[i] - '0');

        if (port > 65535) {
            return 0;
        }
    }

    return port;
}


int
perm_reply_address(perm_str_t host, long long port, perm_str_t asked,
    perm_reply_address_t *address)
{
    if (port < 1 || port > 65535) {
        return 0;
    }

    address->port = (unsigned) port;
    address->host = host;

    if (host.len == 0 || (host.len == 1 && host.data[0] == '?')) {
        address->host = asked;
        return 1;
    }

    return perm_reply_host_valid(host);
}
