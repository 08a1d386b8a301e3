
/*
 * The search for masters: whom to ask, what, and what the answer means is of
 * sentinel.c and cluster.c; asking again, and somebody else, of nodes.c.
 */


#ifndef _PERM_REDIS_DISCOVERY_PRIV_H_INCLUDED_
#define _PERM_REDIS_DISCOVERY_PRIV_H_INCLUDED_


#include "redis/discovery.h"


/* what an answer said; in a pool of its own */

typedef struct {
    ngx_pool_t               *pool;
    perm_redis_node_t        *nodes;
    ngx_uint_t                n;
    uint16_t                 *slots;    /* of a cluster: index + 1, 0: none */
} perm_redis_map_t;


typedef struct {
    perm_redis_peer_t         kind;

    /* the i-th of those to ask; 0: there are no more */
    ngx_uint_t              (*candidate)(perm_redis_discovery_t *nodes,
        ngx_uint_t i, perm_redis_node_t *node);

    /* sends the question; NGX_ERROR: could not */
    ngx_int_t               (*ask)(perm_redis_discovery_t *nodes,
        perm_redis_reply_pt handler);

    /* fills the map; NULL, or why the answer is of no use */
    const char             *(*parse)(perm_redis_discovery_t *nodes,
        redisReply *reply, perm_redis_map_t *map);
} perm_redis_search_t;


struct perm_redis_discovery_s {
    perm_redis_conf_t                *conf;
    ngx_log_t                        *log;
    perm_redis_discovery_handlers_t  *handlers;
    void                             *data;

    perm_redis_map_t                  map;
    perm_redis_map_t                  old;    /* for who still looks at it */

    const perm_redis_search_t        *search; /* NULL: nothing to search */
    perm_redis_connector_t           *connector;
    perm_redis_connection_t          *connection;
    perm_redis_node_t                 asked;  /* its name is in "name" */
    ngx_event_t                       timer;  /* of the next question */
    ngx_msec_t                        last;   /* when was the last one */
    ngx_uint_t                        at;     /* candidate */
    ngx_uint_t                        tried;  /* candidates, in this round */
    ngx_uint_t                        failures;   /* rounds */

    unsigned                          known:1;
    unsigned                          pending:1;  /* dialing, or asked */
    unsigned                          rotate:1;   /* ask somebody else */

    u_char                            name[256];
};


extern const perm_redis_search_t  perm_redis_sentinel_search;
extern const perm_redis_search_t  perm_redis_cluster_search;


/* a node with a copied name into the map's memory; data NULL: out of memory */
perm_redis_node_t perm_redis_discovery_map_node(perm_redis_map_t *map,
    u_char *name, size_t len, in_port_t port);


#endif /* _PERM_REDIS_DISCOVERY_PRIV_H_INCLUDED_ */
