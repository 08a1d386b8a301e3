
/*
 * Which servers there are: one, the master a Sentinel names, or the masters
 * of a Cluster and their slots.
 */


#ifndef _PERM_CLI_WIRE_DISCOVERY_H_INCLUDED_
#define _PERM_CLI_WIRE_DISCOVERY_H_INCLUDED_


#include <stdint.h>

#include "cli/wire/connection.h"
#include "core/grant_key.h"
#include "core/redis_url.h"


#define PERM_DISCOVERY_NODES_MAX  (PERM_REDIS_HOSTS_MAX + 256)
#define PERM_NO_NODE              0xffff


typedef struct {
    const perm_redis_url_t  *url;
    perm_connection_conf_t   connection; /* of the servers */
    perm_connection_conf_t   sentinel;   /* of the Sentinels */
} perm_discovery_conf_t;


typedef struct {
    perm_address_t           address;
    perm_connection_t       *connection; /* NULL: not connected */
    int                      master;     /* 0: of the URL only, or no longer */
    struct perm_pending_s   *first;      /* commands that wait for a reply */
    struct perm_pending_s  **last;
} perm_node_t;


typedef struct {
    const perm_discovery_conf_t  *conf;
    unsigned                      nseeds;   /* nodes of the URL, the first */
    unsigned                      n;
    perm_node_t                   nodes[PERM_DISCOVERY_NODES_MAX];
    uint16_t                      slots[PERM_CLUSTER_SLOTS];   /* index of a
                                                   node, or PERM_NO_NODE */
} perm_discovery_t;


/*
 * Finds the masters.  When called again, nodes keep their places and their
 * connections.  Returns 0 or -1.
 */
int perm_discovery_discover(perm_discovery_t *discovery);


/* The node at an address, added when it is new; NULL: there are too many */

perm_node_t *perm_discovery_at(perm_discovery_t *discovery, perm_str_t host,
    unsigned port);


/* Connects the node unless it is.  Returns 0 or -1. */

int perm_discovery_connect(perm_discovery_t *discovery, perm_node_t *node);


/*
 * The node that serves the slot, or NULL.  Any master for PERM_CLUSTER_SLOTS,
 * and for every slot where there is no cluster.
 */
perm_node_t *perm_discovery_of_slot(perm_discovery_t *discovery,
    unsigned slot);


#endif /* _PERM_CLI_WIRE_DISCOVERY_H_INCLUDED_ */
