
/*
 * What the parts of a topology share.
 */


#ifndef _PERM_REDIS_CLIENT_PRIV_H_INCLUDED_
#define _PERM_REDIS_CLIENT_PRIV_H_INCLUDED_


#include "redis/endpoint.h"
#include "redis/discovery.h"
#include "redis/client.h"


struct perm_redis_client_s {
    perm_redis_conf_t          *conf;
    ngx_log_t                  *log;
    perm_redis_meter_t          meter;
    perm_redis_client_state_pt  handler;
    void                       *data;

    perm_redis_discovery_t     *nodes;
    ngx_queue_t                 endpoints;      /* those retired, too */
    perm_redis_endpoint_t      *endpoint; /* to the master; NULL in a cluster */
    perm_redis_endpoint_t      *answering;  /* while a handler has its reply */
    perm_redis_parked_t         parked;       /* for the masters to be found */

    perm_redis_client_state_t   state;
    perm_redis_logged_t         logged;       /* of the search for masters */
    perm_redis_logged_t         strays;     /* of nodes that are none of them */

    unsigned                    cluster:1;
    unsigned                    reported:2; /* 0: nothing, 1: down, 2: up */
    unsigned                    role_said:1;
};


/* the link to a node, made when there is none; NULL: out of memory */
perm_redis_endpoint_t *perm_redis_client_endpoint(perm_redis_client_t *redis,
    perm_redis_node_t *node);


/*
 * report.c: once per change of the reason, not at every attempt; "forget" when
 * it was up, or they were found, and the same would be news again.  "known":
 * the link is to one of the masters.
 */
void perm_redis_client_report_endpoint(perm_redis_client_t *redis,
    perm_redis_endpoint_t *endpoint, ngx_uint_t known, ngx_str_t *reason);
void perm_redis_client_report_search(perm_redis_client_t *redis,
    ngx_str_t *reason);
void perm_redis_client_report_forget(perm_redis_logged_t *logged);

/* a single server is used whatever it is, but not without a word */
void perm_redis_client_report_role(perm_redis_client_t *redis,
    perm_redis_endpoint_t *endpoint);

/* of a link: NULL, or why a server with this role is not used */
const char *perm_redis_client_report_accept(void *data, perm_redis_role_t role);


/* redirect.c: sees every reply, and follows MOVED and ASK; see intercept */

ngx_int_t perm_redis_client_redirect(perm_redis_command_t *command,
    redisReply *reply);


#endif /* _PERM_REDIS_CLIENT_PRIV_H_INCLUDED_ */
