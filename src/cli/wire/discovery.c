
#include "cli/wire/discovery.h"

#include <stdio.h>
#include <string.h>

#include "resp/cluster.h"


static int add_seeds(perm_discovery_t *discovery);
static int ask(perm_discovery_t *discovery, const perm_address_t *address);
static redisReply *call(const perm_connection_conf_t *conf,
    const perm_address_t *address, const char *format, const char *word,
    const char *hint);
static const char *take_master(perm_discovery_t *discovery,
    const redisReply *reply);
static const char *take_slots(perm_discovery_t *discovery,
    const redisReply *reply, const perm_address_t *asked);
static int check_role(perm_discovery_t *discovery);


int
perm_discovery_discover(perm_discovery_t *discovery)
{
    unsigned           i, n;
    perm_redis_kind_t  kind;

    if (discovery->n == 0 && add_seeds(discovery) != 0) {
        return -1;
    }

    kind = discovery->conf->url->kind;

    if (kind != PERM_REDIS_SENTINEL && kind != PERM_REDIS_CLUSTER) {
        discovery->nodes[0].master = 1;
        return perm_discovery_connect(discovery, &discovery->nodes[0]);
    }

    n = (kind == PERM_REDIS_CLUSTER) ? discovery->n : discovery->nseeds;

    for (i = 0; i < n; i++) {
        if (ask(discovery, &discovery->nodes[i].address) == 0) {
            return 0;
        }
    }

    return (n == 1)
           ? -1 : perm_connection_fail("no %s helps; the last one: %s",
                                       kind == PERM_REDIS_CLUSTER
                                       ? "node of the cluster" : "Sentinel",
                                       perm_connection_error());
}


perm_node_t *
perm_discovery_at(perm_discovery_t *discovery, perm_str_t host, unsigned port)
{
    unsigned      i;
    perm_node_t  *node;

    for (i = 0; i < discovery->n; i++) {
        node = &discovery->nodes[i];

        if (node->address.port == port
            && perm_str_equal(perm_str(node->address.host), host))
        {
            return node;
        }
    }

    if (discovery->n == PERM_DISCOVERY_NODES_MAX
        || host.len >= sizeof(node->address.host))
    {
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
        node->connection = perm_connection_open(&discovery->conf->connection,
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


/* the servers of the URL, Sentinels too, become the first nodes */

static int
add_seeds(perm_discovery_t *discovery)
{
    int                      added;
    unsigned                 i;
    const perm_redis_url_t  *url;

    url = discovery->conf->url;
    added = url->kind != PERM_REDIS_UNIX
            || perm_discovery_at(discovery, url->path, 0) != NULL;

    for (i = 0; i < url->nhosts && added; i++) {
        added = perm_discovery_at(discovery, url->hosts[i].name,
                                  url->hosts[i].port) != NULL;
    }

    discovery->nseeds = discovery->n;

    return added ? 0 : perm_connection_fail("the host name is too long");
}


/* asks a Sentinel or a node of the Cluster for the masters */

static int
ask(perm_discovery_t *discovery, const perm_address_t *address)
{
    int                           sentinel;
    unsigned                      i;
    const char                   *useless;
    redisReply                   *reply;
    const perm_discovery_conf_t  *conf;

    conf = discovery->conf;
    sentinel = (conf->url->kind == PERM_REDIS_SENTINEL);

    reply = sentinel
            ? call(&conf->sentinel, address,
                   "SENTINEL get-master-addr-by-name %s",
                   conf->url->master.data, "is it a Sentinel?")
            : call(&conf->connection, address, "CLUSTER SLOTS", "",
                   "is it a node of a cluster?");

    if (reply == NULL) {
        return -1;
    }

    for (i = 0; i < discovery->n; i++) {
        discovery->nodes[i].master = 0;
    }

    memset(discovery->slots, 0xff, sizeof(discovery->slots));

    useless = sentinel ? take_master(discovery, reply)
                       : take_slots(discovery, reply, address);
    freeReplyObject(reply);

    if (useless != NULL) {
        return perm_connection_fail("%s %s:%u: %s",
                                    sentinel ? "Sentinel" : "Redis at",
                                    address->host, address->port, useless);
    }

    return sentinel ? check_role(discovery) : 0;
}


/*
 * The reply, on a connection of its own: one that exists may have replies on
 * their way.  NULL also for an error reply.
 */

static redisReply *
call(const perm_connection_conf_t *conf, const perm_address_t *address,
    const char *format, const char *word, const char *hint)
{
    redisReply         *reply;
    perm_connection_t  *connection;

    connection = perm_connection_open(conf, address);

    if (connection == NULL) {
        return NULL;
    }

    reply = perm_connection_call(connection, format, word);

    if (reply != NULL && reply->type == REDIS_REPLY_ERROR) {
        (void) perm_connection_refused(format, reply->str, hint);
        freeReplyObject(reply);
        reply = NULL;
    }

    if (reply == NULL) {
        (void) perm_connection_fail("%s %s: %s",
                                    conf->sentinel ? "Sentinel" : "Redis at",
                                    perm_connection_name(connection),
                                    perm_connection_error());
    }

    perm_connection_close(connection);

    return reply;
}


/* both return NULL, or why the reply cannot be used */

static const char *
take_master(perm_discovery_t *discovery, const redisReply *reply)
{
    const char            *useless;
    perm_node_t           *node;
    perm_reply_address_t   master;

    static char  unknown[256];

    snprintf(unknown, sizeof(unknown), "it knows no master \"%s\"",
             discovery->conf->url->master.data);

    useless = perm_reply_sentinel(reply, unknown, &master);

    if (useless != NULL) {
        return useless;
    }

    node = perm_discovery_at(discovery, master.host, master.port);

    if (node == NULL) {
        return "it names more masters than can be";
    }

    node->master = 1;

    return NULL;
}


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


/* a replica is neither written to nor trusted */

static int
check_role(perm_discovery_t *discovery)
{
    perm_role_t         role;
    redisReply         *reply;
    const perm_node_t  *node;

    node = perm_discovery_of_slot(discovery, PERM_CLUSTER_SLOTS);
    reply = call(&discovery->conf->connection, &node->address, "ROLE", "",
                 "");

    if (reply == NULL) {
        return -1;
    }

    (void) perm_reply_role(reply, &role);
    freeReplyObject(reply);

    return (role == PERM_ROLE_MASTER)
           ? 0 : perm_connection_fail("Redis at %s:%u is no master",
                                      node->address.host,
                                      node->address.port);
}
