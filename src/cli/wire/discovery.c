
#include "cli/wire/discovery.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "resp/cluster.h"


typedef int (*perm_ask_pt)(perm_discovery_t *discovery,
    const perm_address_t *address);


/* a new connection; the error names the kind and the server */

static perm_connection_t *
connect_to(const perm_connection_conf_t *conf, const char *kind,
    const perm_address_t *address)
{
    char                name[PERM_CONNECTION_NAME_SIZE];
    perm_connection_t  *connection;

    connection = perm_connection_open(conf, address);

    if (connection == NULL) {
        perm_connection_address(address, name);
        (void) perm_connection_fail("%s %s: %s", kind, name,
                                    perm_connection_error());
    }

    return connection;
}


/* the reply, or NULL also for an error reply */

static redisReply *
call(perm_connection_t *connection, const char *format, const char *word)
{
    redisReply  *reply;

    reply = perm_connection_call(connection, format, word);

    if (reply != NULL && reply->type == REDIS_REPLY_ERROR) {
        (void) perm_connection_fail("%.*s: %s", (int) strcspn(format, " "),
                                    format, reply->str);
        freeReplyObject(reply);
        return NULL;
    }

    return reply;
}


/* the same on a connection of its own */

static redisReply *
call_once(const perm_connection_conf_t *conf, const char *kind,
    const perm_address_t *address, const char *format, const char *word)
{
    redisReply         *reply;
    perm_connection_t  *connection;

    connection = connect_to(conf, kind, address);

    if (connection == NULL) {
        return NULL;
    }

    reply = call(connection, format, word);
    perm_connection_close(connection);

    return reply;
}


perm_node_t *
perm_discovery_at(perm_discovery_t *discovery, perm_str_t host, unsigned port)
{
    unsigned      i;
    perm_node_t  *node;

    if (host.len >= sizeof(node->address.host)) {
        return NULL;
    }

    for (i = 0; i < discovery->n; i++) {
        node = &discovery->nodes[i];

        if (node->address.port == port
            && strlen(node->address.host) == host.len
            && memcmp(node->address.host, host.data, host.len) == 0)
        {
            return node;
        }
    }

    if (discovery->n == PERM_DISCOVERY_NODES_MAX) {
        return NULL;
    }

    node = &discovery->nodes[discovery->n++];
    memset(node, 0, sizeof(perm_node_t));
    node->last = &node->first;
    node->address.port = port;
    memcpy(node->address.host, host.data, host.len);

    return node;
}


int
perm_discovery_connect(perm_discovery_t *discovery, perm_node_t *node)
{
    if (node->connection == NULL) {
        node->connection = connect_to(&discovery->conf->connection, "Redis at",
                                      &node->address);
    }

    return (node->connection != NULL) ? 0 : -1;
}


perm_node_t *
perm_discovery_of_slot(perm_discovery_t *discovery, unsigned slot)
{
    unsigned  i;

    if (slot < PERM_CLUSTER_SLOTS
        && discovery->conf->url->kind == PERM_REDIS_CLUSTER)
    {
        i = discovery->slots[slot];

        return (i == PERM_NO_NODE) ? NULL : &discovery->nodes[i];
    }

    for (i = 0; i < discovery->n; i++) {
        if (discovery->nodes[i].master) {
            return &discovery->nodes[i];
        }
    }

    return NULL;
}


static void
forget_masters(perm_discovery_t *discovery)
{
    unsigned  i;

    for (i = 0; i < discovery->n; i++) {
        discovery->nodes[i].master = 0;
    }

    memset(discovery->slots, 0xff, sizeof(discovery->slots));
}


/* a replica is neither written to nor trusted */

static int
check_master(perm_discovery_t *discovery, perm_node_t *node)
{
    int          rc;
    perm_role_t  role;
    redisReply  *reply;

    if (perm_discovery_connect(discovery, node) != 0) {
        return -1;
    }

    rc = -1;
    reply = call(node->connection, "ROLE", "");

    if (reply != NULL) {
        rc = (perm_reply_role(reply, &role) == 0 && role == PERM_ROLE_MASTER)
             ? 0 : perm_connection_fail("%s is no master",
                                        perm_connection_name(node->connection));
        freeReplyObject(reply);
    }

    if (rc != 0) {
        perm_connection_close(node->connection);
        node->connection = NULL;
    }

    return rc;
}


static int
ask_sentinel(perm_discovery_t *discovery, const perm_address_t *address)
{
    char                   unknown[256];
    const char            *name, *useless;
    redisReply            *reply;
    perm_node_t           *node;
    perm_reply_address_t   master;

    name = discovery->conf->url->master.data;
    reply = call_once(&discovery->conf->sentinel, "Sentinel", address,
                      "SENTINEL get-master-addr-by-name %s", name);

    if (reply == NULL) {
        return -1;
    }

    snprintf(unknown, sizeof(unknown), "it knows no master \"%s\"", name);

    node = NULL;
    useless = perm_reply_sentinel(reply, unknown, &master);

    if (useless == NULL) {
        node = perm_discovery_at(discovery, master.host, master.port);
        useless = "it names more masters than can be";
    }

    freeReplyObject(reply);

    if (node == NULL) {
        return perm_connection_fail("Sentinel %s:%u: %s", address->host,
                                    address->port, useless);
    }

    if (check_master(discovery, node) != 0) {
        return -1;
    }

    forget_masters(discovery);
    node->master = 1;

    return 0;
}


/* NULL, or why the map cannot be used */

static const char *
take_slots(perm_discovery_t *discovery, const redisReply *reply,
    const perm_address_t *asked)
{
    unsigned      i;
    const char   *useless;
    uint16_t      index[PERM_CLUSTER_MASTERS_MAX];
    perm_node_t  *node;

    static perm_cluster_slots_t  map;

    useless = perm_cluster_slots_parse(reply, perm_str(asked->host), &map);

    if (useless != NULL) {
        return useless;
    }

    forget_masters(discovery);

    for (i = 0; i < map.n; i++) {
        node = perm_discovery_at(discovery, map.masters[i].host,
                                 map.masters[i].port);

        if (node == NULL) {
            return "the cluster has too many masters";
        }

        node->master = 1;
        index[i] = (uint16_t) (node - discovery->nodes);
    }

    for (i = 0; i < PERM_CLUSTER_SLOTS; i++) {
        if (map.slots[i]) {
            discovery->slots[i] = index[map.slots[i] - 1];
        }
    }

    return NULL;
}


static int
ask_cluster(perm_discovery_t *discovery, const perm_address_t *address)
{
    const char  *useless;
    redisReply  *reply;

    reply = call_once(&discovery->conf->connection, "Redis at", address,
                      "CLUSTER SLOTS", "");

    if (reply == NULL) {
        return -1;
    }

    useless = take_slots(discovery, reply, address);

    freeReplyObject(reply);

    return useless ? perm_connection_fail("Redis at %s:%u: %s", address->host,
                                          address->port, useless) : 0;
}


/* the servers of the URL first, then those learned since */

static int
ask_any(perm_discovery_t *discovery, perm_ask_pt ask)
{
    unsigned                 i;
    perm_address_t           address;
    const perm_redis_url_t  *url;

    url = discovery->conf->url;

    for (i = 0; i < url->nhosts; i++) {
        snprintf(address.host, sizeof(address.host), "%s",
                 url->hosts[i].name.data);
        address.port = url->hosts[i].port;

        if (ask(discovery, &address) == 0) {
            return 0;
        }
    }

    for (i = 0; url->kind == PERM_REDIS_CLUSTER && i < discovery->n; i++) {
        address = discovery->nodes[i].address;

        if (ask(discovery, &address) == 0) {
            return 0;
        }
    }

    return -1;
}


int
perm_discovery_discover(perm_discovery_t *discovery)
{
    unsigned                 port;
    perm_str_t               host;
    perm_node_t             *node;
    const perm_redis_url_t  *url;

    url = discovery->conf->url;

    switch (url->kind) {

    case PERM_REDIS_SENTINEL:
        return ask_any(discovery, ask_sentinel);

    case PERM_REDIS_CLUSTER:
        return ask_any(discovery, ask_cluster);

    case PERM_REDIS_UNIX:
        host = url->path;
        port = 0;
        break;

    default:
        host = url->hosts[0].name;
        port = url->hosts[0].port;
    }

    node = perm_discovery_at(discovery, host, port);

    if (node == NULL) {
        return perm_connection_fail("the host name is too long");
    }

    node->master = 1;

    return perm_discovery_connect(discovery, node);
}
