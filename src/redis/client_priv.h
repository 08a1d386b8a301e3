
/*
 * Shared by client.c and client_redirect.c.
 */


#ifndef _PERM_REDIS_CLIENT_PRIV_H_INCLUDED_
#define _PERM_REDIS_CLIENT_PRIV_H_INCLUDED_


#include "redis/client.h"
#include "redis/discovery.h"
#include "redis/endpoint.h"


struct perm_redis_client_s {
    perm_redis_conf_t          *conf;
    ngx_log_t                  *log;
    perm_redis_meter_t         *meter;
    perm_redis_client_state_pt  handler;
    void                       *data;
    perm_redis_client_watch_t  *watch;      /* or NULL */
    void                       *watch_data;

    perm_redis_discovery_t     *discovery;
    perm_redis_endpoint_t      *endpoints;  /* retired ones, too */
    perm_redis_endpoint_t      *endpoint;   /* of the master; NULL in a
                                               cluster */
    perm_redis_endpoint_t      *answering;  /* while a handler has its reply */
    perm_redis_parked_t         parked;     /* until the masters are known */

    perm_redis_client_state_t   state;
    perm_redis_logged_t         logged;     /* of the discovery */
    perm_redis_logged_t         strays;     /* of nodes that are no masters */

    unsigned                    cluster:1;
    unsigned                    reported:2; /* 0: nothing, 1: down, 2: up */
    unsigned                    role_logged:1;
};


/* the endpoint of a node, made when there is none; NULL: out of memory */
perm_redis_endpoint_t *perm_redis_client_endpoint(perm_redis_client_t *redis,
    perm_redis_node_t *node);

/*
 * Sends a command to the server of its key, unless that is the endpoint with
 * the number "except".  NGX_ERROR: the caller still owns the command.
 */
ngx_int_t perm_redis_client_route(perm_redis_client_t *redis,
    perm_redis_command_t *command, ngx_uint_t except);

/* the interceptor of each command: follows MOVED and ASK */
ngx_int_t perm_redis_client_redirect(perm_redis_command_t *command,
    redisReply *reply);


#endif /* _PERM_REDIS_CLIENT_PRIV_H_INCLUDED_ */
