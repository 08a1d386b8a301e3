
#include "cli/wire/discovery.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>


static redisReply *
tuple(perm_connection_t *connection, char *error, const char *a, const char *b,
    const char *c)
{
    unsigned     argc;
    redisReply  *reply;
    const char  *argv[3];

    argc = 0;
    argv[argc++] = a;

    if (b != NULL) {
        argv[argc++] = b;
    }

    if (c != NULL) {
        argv[argc++] = c;
    }

    reply = perm_connection_call(connection, error, argc, argv);

    if (reply != NULL && reply->type == REDIS_REPLY_ERROR) {
        snprintf(error, PERM_ERROR_SIZE, "%s: %s", a, reply->str);
        freeReplyObject(reply);
        return NULL;
    }

    return reply;
}


static int
is_string(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_STRING
           || reply->type == REDIS_REPLY_STATUS;
}


perm_node_t *
perm_discovery_at(perm_discovery_t *nodes, const char *host, unsigned port)
{
    unsigned      i;
    perm_node_t  *node;

    for (i = 0; i < nodes->n; i++) {
        node = &nodes->nodes[i];

        if (node->address.port == port
            && strcmp(node->address.host, host) == 0)
        {
            return node;
        }
    }

    if (nodes->n == PERM_DISCOVERY_NODES_MAX) {
        return NULL;
    }

    node = &nodes->nodes[nodes->n++];
    memset(node, 0, sizeof(perm_node_t));
    node->last = &node->first;
    node->address.port = port;
    snprintf(node->address.host, sizeof(node->address.host), "%s", host);

    return node;
}


int
perm_discovery_connect(perm_discovery_t *nodes, perm_node_t *node, char *error)
{
    char  why[PERM_ERROR_SIZE];

    if (node->connection != NULL) {
        return 0;
    }

    node->connection = perm_connection_open(&nodes->conf->connection,
                                            &node->address, why);

    if (node->connection == NULL) {
        if (node->address.port) {
            snprintf(error, PERM_ERROR_SIZE, "Redis at %s:%u: %.*s",
                     node->address.host, node->address.port,
                     PERM_ERROR_SIZE / 3, why);
        } else {
            snprintf(error, PERM_ERROR_SIZE, "Redis at unix:%s: %.*s",
                     node->address.host, PERM_ERROR_SIZE / 3, why);
        }

        return -1;
    }

    return 0;
}


perm_node_t *
perm_discovery_of_slot(perm_discovery_t *nodes, unsigned slot)
{
    unsigned  i;

    if (slot < PERM_CLUSTER_SLOTS
        && nodes->conf->url->kind == PERM_REDIS_CLUSTER)
    {
        i = nodes->slots[slot];

        return (i == PERM_NO_NODE) ? NULL : &nodes->nodes[i];
    }

    for (i = 0; i < nodes->n; i++) {
        if (nodes->nodes[i].master) {
            return &nodes->nodes[i];
        }
    }

    return NULL;
}


static void
forget_masters(perm_discovery_t *nodes)
{
    unsigned  i;

    for (i = 0; i < nodes->n; i++) {
        nodes->nodes[i].master = 0;
    }

    memset(nodes->slots, 0xff, sizeof(nodes->slots));
}


/* what says it is a replica is not written to, nor trusted */

static int
check_master(perm_discovery_t *nodes, perm_node_t *node, char *error)
{
    int          master;
    redisReply  *reply;

    if (perm_discovery_connect(nodes, node, error) != 0) {
        return -1;
    }

    reply = tuple(node->connection, error, "ROLE", NULL, NULL);

    if (reply == NULL) {
        perm_connection_close(node->connection);
        node->connection = NULL;
        return -1;
    }

    master = reply->type == REDIS_REPLY_ARRAY && reply->elements > 0
             && is_string(reply->element[0])
             && strcmp(reply->element[0]->str, "master") == 0;

    freeReplyObject(reply);

    if (!master) {
        snprintf(error, PERM_ERROR_SIZE, "%s is no master",
                 perm_connection_name(node->connection));
        perm_connection_close(node->connection);
        node->connection = NULL;
        return -1;
    }

    return 0;
}


static int
ask_sentinel(perm_discovery_t *nodes, const perm_address_t *address,
    char *error)
{
    int                 found;
    char                why[PERM_ERROR_SIZE];
    perm_connection_t  *connection;
    redisReply         *reply;
    perm_node_t        *node;

    connection = perm_connection_open(&nodes->conf->sentinel, address, why);

    if (connection == NULL) {
        snprintf(error, PERM_ERROR_SIZE, "Sentinel %s:%u: %.*s",
                 address->host, address->port, PERM_ERROR_SIZE / 3, why);
        return -1;
    }

    reply = tuple(connection, error, "SENTINEL", "get-master-addr-by-name",
                  nodes->conf->url->master.data);
    perm_connection_close(connection);

    if (reply == NULL) {
        return -1;
    }

    found = reply->type == REDIS_REPLY_ARRAY && reply->elements == 2
            && is_string(reply->element[0]) && is_string(reply->element[1]);

    node = NULL;

    if (found) {
        node =
            perm_discovery_at(nodes, reply->element[0]->str,
                              (unsigned) atoi(reply->element[1]->str) & 0xffff);
    }

    freeReplyObject(reply);

    if (node == NULL) {
        snprintf(error, PERM_ERROR_SIZE,
                 "Sentinel %s:%u knows no master \"%s\"", address->host,
                 address->port, nodes->conf->url->master.data);
        return -1;
    }

    if (check_master(nodes, node, error) != 0) {
        return -1;
    }

    forget_masters(nodes);
    node->master = 1;

    return 0;
}


/* one row of CLUSTER SLOTS: first slot, last slot, the master, replicas */

static int
take_slots(perm_discovery_t *nodes, const redisReply *row,
    const perm_address_t *asked)
{
    long long          slot;
    const char        *host;
    perm_node_t       *node;
    const redisReply  *master;

    if (row->type != REDIS_REPLY_ARRAY || row->elements < 3
        || row->element[0]->type != REDIS_REPLY_INTEGER
        || row->element[1]->type != REDIS_REPLY_INTEGER
        || row->element[0]->integer < 0
        || row->element[1]->integer >= PERM_CLUSTER_SLOTS)
    {
        return -1;
    }

    master = row->element[2];

    if (master->type != REDIS_REPLY_ARRAY || master->elements < 2
        || master->element[1]->type != REDIS_REPLY_INTEGER
        || master->element[1]->integer < 1
        || master->element[1]->integer > 65535)
    {
        return -1;
    }

    /* no host, or an empty one, is the host that was asked */

    host = asked->host;

    if (is_string(master->element[0]) && master->element[0]->len
        && strcmp(master->element[0]->str, "?") != 0)
    {
        host = master->element[0]->str;
    }

    node = perm_discovery_at(nodes, host,
                             (unsigned) master->element[1]->integer);

    if (node == NULL) {
        return -1;
    }

    node->master = 1;

    for (slot = row->element[0]->integer; slot <= row->element[1]->integer;
         slot++)
    {
        nodes->slots[slot] = (uint16_t) (node - nodes->nodes);
    }

    return 0;
}


static int
ask_cluster(perm_discovery_t *nodes, const perm_address_t *address, char *error)
{
    size_t              i;
    char                why[PERM_ERROR_SIZE];
    redisReply         *reply;
    perm_connection_t  *connection;

    connection = perm_connection_open(&nodes->conf->connection, address, why);

    if (connection == NULL) {
        snprintf(error, PERM_ERROR_SIZE, "Redis at %s:%u: %.*s",
                 address->host, address->port, PERM_ERROR_SIZE / 3, why);
        return -1;
    }

    reply = tuple(connection, error, "CLUSTER", "SLOTS", NULL);
    perm_connection_close(connection);

    if (reply == NULL) {
        return -1;
    }

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements == 0) {
        snprintf(error, PERM_ERROR_SIZE, "%s:%u knows no slots: is it part of "
                 "a cluster?", address->host, address->port);
        freeReplyObject(reply);
        return -1;
    }

    forget_masters(nodes);

    for (i = 0; i < reply->elements; i++) {
        if (take_slots(nodes, reply->element[i], address) != 0) {
            snprintf(error, PERM_ERROR_SIZE, "CLUSTER SLOTS of %s:%u makes no "
                     "sense", address->host, address->port);
            freeReplyObject(reply);
            return -1;
        }
    }

    freeReplyObject(reply);

    return 0;
}


typedef int (*perm_ask_pt)(perm_discovery_t *nodes, const perm_address_t *address,
    char *error);


/* those of the URL first, then those learned since */

static int
ask_any(perm_discovery_t *nodes, perm_ask_pt ask, char *error)
{
    unsigned                 i;
    perm_address_t           address;
    const perm_redis_url_t  *url;

    url = nodes->conf->url;

    for (i = 0; i < url->nhosts; i++) {
        snprintf(address.host, sizeof(address.host), "%s",
                 url->hosts[i].name.data);
        address.port = url->hosts[i].port;

        if (ask(nodes, &address, error) == 0) {
            return 0;
        }
    }

    for (i = 0; url->kind == PERM_REDIS_CLUSTER && i < nodes->n; i++) {
        address = nodes->nodes[i].address;

        if (ask(nodes, &address, error) == 0) {
            return 0;
        }
    }

    return -1;
}


int
perm_discovery_discover(perm_discovery_t *nodes, char *error)
{
    perm_node_t             *node;
    const perm_redis_url_t  *url;

    url = nodes->conf->url;

    switch (url->kind) {

    case PERM_REDIS_SENTINEL:
        return ask_any(nodes, ask_sentinel, error);

    case PERM_REDIS_CLUSTER:
        return ask_any(nodes, ask_cluster, error);

    case PERM_REDIS_UNIX:
        node = perm_discovery_at(nodes, url->path.data, 0);
        break;

    default:
        node = perm_discovery_at(nodes, url->hosts[0].name.data,
                                 url->hosts[0].port);
    }

    node->master = 1;

    return perm_discovery_connect(nodes, node, error);
}
