
#include "redis/witness.h"


/* the text up to that byte, or all; *rest begins behind it */

static ngx_str_t
perm_redis_witness_cut(ngx_str_t *rest, u_char byte)
{
    u_char     *p, *last;
    ngx_str_t   head;

    head = *rest;
    last = rest->data + rest->len;
    p = ngx_strlchr(rest->data, last, byte);

    if (p == NULL) {
        rest->data = last;
        rest->len = 0;
        return head;
    }

    head.len = p - head.data;
    rest->data = p + 1;
    rest->len = last - rest->data;

    return head;
}


static ngx_uint_t
perm_redis_witness_is(ngx_str_t *text, const char *word)
{
    size_t  len;

    len = ngx_strlen(word);

    return text->len == len && ngx_memcmp(text->data, word, len) == 0;
}


/* "myself,master", "slave", "master,fail" */

static ngx_uint_t
perm_redis_witness_usable(ngx_str_t flags)
{
    ngx_str_t  flag;

    while (flags.len) {
        flag = perm_redis_witness_cut(&flags, ',');

        if (perm_redis_witness_is(&flag, "fail")
            || perm_redis_witness_is(&flag, "handshake")
            || perm_redis_witness_is(&flag, "noaddr"))
        {
            return 0;
        }
    }

    return 1;
}


/* "127.0.0.1:6379@16379,host"; an IPv6 address comes without brackets */

static ngx_int_t
perm_redis_witness_address(ngx_str_t text, perm_redis_node_t *address,
    perm_redis_node_t *host)
{
    size_t     i;
    ngx_int_t  port;
    ngx_str_t  endpoint;

    endpoint = perm_redis_witness_cut(&text, '@');

    for (i = endpoint.len; i > 0 && endpoint.data[i - 1] != ':'; i--) {
        /* void */
    }

    if (i == 0) {
        return NGX_DECLINED;
    }

    port = ngx_atoi(endpoint.data + i, endpoint.len - i);

    if (port < 1 || port > 65535) {
        return NGX_DECLINED;
    }

    ngx_memzero(address, sizeof(perm_redis_node_t));

    address->name.data = endpoint.data;
    address->name.len = i - 1;
    address->port = (in_port_t) port;

    if (!perm_redis_connector_node_valid(&address->name)) {
        return NGX_DECLINED;
    }

    *host = *address;

    (void) perm_redis_witness_cut(&text, ',');
    host->name = perm_redis_witness_cut(&text, ',');

    if (!perm_redis_connector_node_valid(&host->name)) {
        host->name.len = 0;
    }

    return NGX_OK;
}


void
perm_redis_witnesses(redisReply *reply, perm_redis_witness_pt handler,
    void *data)
{
    ngx_str_t          text, line, endpoint, flags;
    perm_redis_node_t  address, host;

    if (reply->type != REDIS_REPLY_STRING) {
        return;
    }

    text.data = (u_char *) reply->str;
    text.len = reply->len;

    while (text.len) {
        line = perm_redis_witness_cut(&text, LF);

        (void) perm_redis_witness_cut(&line, ' ');
        endpoint = perm_redis_witness_cut(&line, ' ');
        flags = perm_redis_witness_cut(&line, ' ');

        if (perm_redis_witness_usable(flags)
            && perm_redis_witness_address(endpoint, &address, &host) == NGX_OK)
        {
            handler(data, &address, &host);
        }
    }
}
