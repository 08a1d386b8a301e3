
/*
 * The masters of a cluster and their slots, as CLUSTER SLOTS tells them.
 * https://redis.io/docs/latest/commands/cluster-slots/
 */


#include "redis/discovery_priv.h"

#include "core/grant_key.h"


#define PERM_REDIS_CLUSTER_MASTERS_MAX  1024


/* masters known first, in case those of the URL are long gone */

static ngx_uint_t
perm_redis_discovery_cluster_candidate(perm_redis_discovery_t *nodes,
    ngx_uint_t i, perm_redis_node_t *node)
{
    perm_redis_conf_t  *conf;

    if (i < nodes->map.n) {
        *node = nodes->map.nodes[i];
        return 1;
    }

    conf = nodes->conf;
    i -= nodes->map.n;

    if (i >= conf->nhosts) {
        return 0;
    }

    node->name = conf->hosts[i].name;
    node->port = conf->hosts[i].port;
    node->host = &conf->hosts[i];

    return 1;
}


static ngx_int_t
perm_redis_discovery_cluster_ask(perm_redis_discovery_t *nodes,
    perm_redis_reply_pt handler)
{
    ngx_str_t  argv[2];

    ngx_str_set(&argv[0], "CLUSTER");
    ngx_str_set(&argv[1], "SLOTS");

    return perm_redis_connection_send(nodes->connection, 2, argv, handler,
                                      nodes)
           != NULL ? NGX_OK : NGX_ERROR;
}


/* index + 1 of the master in the map, where it is added when new; 0: it is
   none */

static ngx_uint_t
perm_redis_discovery_cluster_master(perm_redis_discovery_t *nodes,
    redisReply *reply, perm_redis_map_t *map)
{
    ngx_uint_t          i;
    redisReply         *name, *port;
    perm_redis_node_t   node;

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements < 2) {
        return 0;
    }

    name = reply->element[0];
    port = reply->element[1];

    if (port->type != REDIS_REPLY_INTEGER
        || port->integer < 1 || port->integer > 65535)
    {
        return 0;
    }

    node.port = (in_port_t) port->integer;
    node.host = NULL;

    if (name->type == REDIS_REPLY_NIL
        || (name->type == REDIS_REPLY_STRING && name->len == 0))
    {
        /* it does not know its own address: the one that it was asked at */

        node.name = nodes->asked.name;
        node.host = nodes->asked.host;

    } else if (name->type == REDIS_REPLY_STRING) {
        node.name.data = (u_char *) name->str;
        node.name.len = name->len;

        if (!perm_redis_connector_node_valid(&node.name)) {
            return 0;
        }

    } else {
        return 0;
    }

    for (i = 0; i < map->n; i++) {
        if (perm_redis_discovery_node_equal(&map->nodes[i], &node)) {
            return i + 1;
        }
    }

    if (map->n == PERM_REDIS_CLUSTER_MASTERS_MAX) {
        return 0;
    }

    map->nodes[map->n] = perm_redis_discovery_map_node(map, node.name.data,
                                                       node.name.len,
                                                       node.port);
    map->nodes[map->n].host = node.host;

    return map->nodes[map->n].name.data != NULL ? ++map->n : 0;
}


static ngx_int_t
perm_redis_discovery_cluster_range(perm_redis_discovery_t *nodes,
    redisReply *range, perm_redis_map_t *map)
{
    long long    slot, start, end;
    ngx_uint_t   master;
    redisReply **element;

    if (range->type != REDIS_REPLY_ARRAY || range->elements < 3) {
        return NGX_ERROR;
    }

    element = range->element;

    if (element[0]->type != REDIS_REPLY_INTEGER
        || element[1]->type != REDIS_REPLY_INTEGER)
    {
        return NGX_ERROR;
    }

    start = element[0]->integer;
    end = element[1]->integer;

    if (start < 0 || end < start || end >= PERM_CLUSTER_SLOTS) {
        return NGX_ERROR;
    }

    master = perm_redis_discovery_cluster_master(nodes, element[2], map);
    if (master == 0) {
        return NGX_ERROR;
    }

    for (slot = start; slot <= end; slot++) {
        map->slots[slot] = (uint16_t) master;
    }

    return NGX_OK;
}


static const char *
perm_redis_discovery_cluster_parse(perm_redis_discovery_t *nodes,
    redisReply *reply, perm_redis_map_t *map)
{
    size_t  i;

    if (perm_redis_reply_error(reply, "NOPERM")) {
        return "the user has no right to CLUSTER SLOTS";
    }

    if (reply->type == REDIS_REPLY_ERROR) {
        return "it refuses CLUSTER SLOTS: is it a node of a cluster?";
    }

    if (reply->type != REDIS_REPLY_ARRAY) {
        return "unexpected answer to CLUSTER SLOTS";
    }

    if (reply->elements == 0) {
        return "no slot of the cluster is assigned";
    }

    map->nodes = ngx_pcalloc(map->pool, PERM_REDIS_CLUSTER_MASTERS_MAX
                                        * sizeof(perm_redis_node_t));
    map->slots = ngx_pcalloc(map->pool,
                             PERM_CLUSTER_SLOTS * sizeof(uint16_t));

    if (map->nodes == NULL || map->slots == NULL) {
        return "out of memory";
    }

    for (i = 0; i < reply->elements; i++) {

        if (perm_redis_discovery_cluster_range(nodes, reply->element[i], map)
            != NGX_OK)
        {
            return "CLUSTER SLOTS answers with something unknown";
        }
    }

    return NULL;
}


const perm_redis_search_t  perm_redis_cluster_search = {
    PERM_REDIS_SERVER,
    perm_redis_discovery_cluster_candidate,
    perm_redis_discovery_cluster_ask,
    perm_redis_discovery_cluster_parse
};
