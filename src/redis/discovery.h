
/*
 * Which servers are masters now: the server of the URL, the one that Sentinels
 * name, or those of a cluster.
 */


#ifndef _PERM_REDIS_DISCOVERY_H_INCLUDED_
#define _PERM_REDIS_DISCOVERY_H_INCLUDED_


#include "redis/connection.h"


#define PERM_REDIS_DISCOVERY_POLL     1000   /* ms */
#define PERM_REDIS_DISCOVERY_SETTLED  (2 * PERM_REDIS_DISCOVERY_POLL)


typedef struct perm_redis_discovery_s  perm_redis_discovery_t;


typedef struct {
    /*
     * The masters are known for the first time, again after "lost", or differ
     * from before.  With a single server: once.
     */
    void  (*found)(void *data);

    /* the same masters as before.  May be NULL */
    void  (*same)(void *data);

    /*
     * Nobody could name the masters; the search goes on with a back-off.
     * Called for each failed round, so that parked commands fail.  May be NULL
     */
    void  (*lost)(void *data, const char *reason);
} perm_redis_discovery_handlers_t;


/*
 * Starts searching, and asks again every second.  The handlers are never
 * called on the stack of a function below.  Returns NULL when memory is out.
 */
perm_redis_discovery_t *perm_redis_discovery_start(perm_redis_conf_t *conf,
    ngx_log_t *log, perm_redis_discovery_handlers_t *handlers, void *data);
void perm_redis_discovery_stop(perm_redis_discovery_t *discovery);

/*
 * Asks another server soon: a master did not answer, is none any more, or
 * MOVED came.  May be called often: questions are kept apart.
 */
void perm_redis_discovery_refresh(perm_redis_discovery_t *discovery);

/* the masters known; *list is valid until the caller returns */
ngx_uint_t perm_redis_discovery_list(perm_redis_discovery_t *discovery,
    perm_redis_node_t **list);

/* the known master of a cluster's slot, or any where there is no cluster; or
   NULL; valid likewise */
perm_redis_node_t *perm_redis_discovery_slot(perm_redis_discovery_t *discovery,
    ngx_uint_t slot);

/*
 * May a server with this role be used as a master?  A single server that
 * calls itself a replica is used: the URL names it.
 */
ngx_uint_t perm_redis_discovery_accept(perm_redis_discovery_t *discovery,
    perm_role_t role);

/*
 * Is it one of the masters known, for at least "age" ms?  After
 * PERM_REDIS_DISCOVERY_SETTLED each process that asks every second knows it.
 */
ngx_uint_t perm_redis_discovery_is_master(perm_redis_discovery_t *discovery,
    perm_redis_node_t *node, ngx_msec_t age);


#endif /* _PERM_REDIS_DISCOVERY_H_INCLUDED_ */
