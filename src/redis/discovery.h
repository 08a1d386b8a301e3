
/*
 * Which servers are masters now: the one of the URL, the one that Sentinels
 * name, or those of a cluster.
 */


#ifndef _PERM_REDIS_DISCOVERY_H_INCLUDED_
#define _PERM_REDIS_DISCOVERY_H_INCLUDED_


#include "redis/connector.h"


typedef struct perm_redis_discovery_s  perm_redis_discovery_t;


typedef struct {
    /*
     * The masters are known for the first time, again after "lost", or differ
     * from what they were.  With a single server: once.
     */
    void  (*found)(void *data);

    /* they do not differ.  May be NULL */
    void  (*same)(void *data);

    /*
     * A search failed; it goes on by itself, with a back-off.  Called for
     * every failed round, for the callee to fail what waits.
     */
    void  (*lost)(void *data, ngx_str_t *reason);
} perm_redis_discovery_handlers_t;


/*
 * Starts searching, and keeps watching.  The handlers are never called on the
 * stack of a function below.  Returns NULL when memory is out.
 */
perm_redis_discovery_t *perm_redis_discovery_start(perm_redis_conf_t *conf,
    ngx_log_t *log, perm_redis_discovery_handlers_t *handlers, void *data);
void perm_redis_discovery_stop(perm_redis_discovery_t *nodes);

/*
 * Search again: a master did not answer, is none any more, or a MOVED came.
 * May be called as often as that happens; searches are kept apart by time.
 */
void perm_redis_discovery_refresh(perm_redis_discovery_t *nodes);

/* the masters known; *list is valid until the next turn of the event loop */
ngx_uint_t perm_redis_discovery_list(perm_redis_discovery_t *nodes,
    perm_redis_node_t **list);

/* the master of a cluster's slot; of any, where there is no cluster; or NULL:
   none is known; valid likewise */
perm_redis_node_t *perm_redis_discovery_slot(perm_redis_discovery_t *nodes,
    ngx_uint_t slot);

/*
 * May a server with this role be used as a master?  A single server that
 * calls itself a replica is used all the same: it is what was asked for.
 */
ngx_uint_t perm_redis_discovery_accept(perm_redis_discovery_t *nodes,
    perm_redis_role_t role);

ngx_uint_t perm_redis_discovery_node_equal(perm_redis_node_t *a,
    perm_redis_node_t *b);


#endif /* _PERM_REDIS_DISCOVERY_H_INCLUDED_ */
