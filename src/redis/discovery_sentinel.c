
/*
 * The master, as Sentinels name it.
 * https://redis.io/docs/latest/develop/reference/sentinel-clients/
 */


#include "redis/discovery_priv.h"


static ngx_uint_t
perm_redis_discovery_sentinel_candidate(perm_redis_discovery_t *nodes,
    ngx_uint_t i, perm_redis_node_t *node)
{
    perm_redis_conf_t  *conf;

    conf = nodes->conf;

    if (i >= conf->nhosts) {
        return 0;
    }

    node->name = conf->hosts[i].name;
    node->port = conf->hosts[i].port;
    node->host = &conf->hosts[i];

    return 1;
}


static ngx_int_t
perm_redis_discovery_sentinel_ask(perm_redis_discovery_t *nodes,
    perm_redis_reply_pt handler)
{
    ngx_str_t  argv[3];

    ngx_str_set(&argv[0], "SENTINEL");
    ngx_str_set(&argv[1], "get-master-addr-by-name");

    argv[2].data = (u_char *) nodes->conf->url->master.data;
    argv[2].len = nodes->conf->url->master.len;

    return perm_redis_connection_send(nodes->connection, 3, argv, handler,
                                      nodes)
           != NULL ? NGX_OK : NGX_ERROR;
}


static const char *
perm_redis_discovery_sentinel_parse(perm_redis_discovery_t *nodes,
    redisReply *reply, perm_redis_map_t *map)
{
    ngx_int_t    port;
    ngx_str_t    host;
    redisReply  *name, *number;

    if (reply->type == REDIS_REPLY_NIL) {
        return "it knows no master of the name in \"app_permission_redis\"";
    }

    if (perm_redis_reply_error(reply, "NOPERM")) {
        return "its user has no right to SENTINEL get-master-addr-by-name";
    }

    if (!perm_redis_reply_array(reply, 2, REDIS_REPLY_STRING)) {
        return "unexpected answer to SENTINEL get-master-addr-by-name; is it "
               "a Sentinel?";
    }

    name = reply->element[0];
    number = reply->element[1];

    port = ngx_atoi((u_char *) number->str, number->len);

    host.data = (u_char *) name->str;
    host.len = name->len;

    if (!perm_redis_connector_node_valid(&host) || port < 1 || port > 65535) {
        return "it names a master that has no valid address";
    }

    map->nodes = ngx_palloc(map->pool, sizeof(perm_redis_node_t));
    if (map->nodes == NULL) {
        return "out of memory";
    }

    map->n = 1;
    map->nodes[0] = perm_redis_discovery_map_node(map, host.data, host.len,
                                                  (in_port_t) port);

    return map->nodes[0].name.data != NULL ? NULL : "out of memory";
}


const perm_redis_search_t  perm_redis_sentinel_search = {
    PERM_REDIS_SENTINEL_PEER,
    perm_redis_discovery_sentinel_candidate,
    perm_redis_discovery_sentinel_ask,
    perm_redis_discovery_sentinel_parse
};
