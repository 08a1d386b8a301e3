
/*
 * From a node's name to a connection: resolves it, without blocking, and
 * tries its addresses in turn.
 */


#ifndef _PERM_REDIS_CONNECTOR_H_INCLUDED_
#define _PERM_REDIS_CONNECTOR_H_INCLUDED_


#include "redis/connection.h"


#define PERM_REDIS_NODE_HOST_MAX  255   /* bytes of a name */


/* a server, as the URL, a Sentinel or a cluster names it */

typedef struct {
    ngx_str_t                name;   /* host name, address, or unix path */
    in_port_t                port;   /* 0: a unix path */
    perm_redis_conf_host_t  *host;   /* of the URL, or NULL */
} perm_redis_node_t;


/*
 * May a server be called this?  What a Redis calls another one goes to the
 * log, to the resolver and to TLS: no blanks, no control bytes.
 */
ngx_uint_t perm_redis_connector_node_valid(ngx_str_t *name);


typedef struct perm_redis_connector_s  perm_redis_connector_t;


/*
 * Either a ready connection, which belongs to the callee now and has its
 * handlers, or NULL and the reason why the last address failed.  Not called
 * on the stack of perm_redis_connector_start(); the dial is over and freed with it.
 */
typedef void (*perm_redis_dialed_pt)(void *data,
    perm_redis_connection_t *connection, ngx_str_t *reason);


/*
 * Names are resolved anew each time where conf->resolver is there, else what
 * start resolved is taken.  *next, if not NULL, is where among several
 * addresses to begin, and is moved on by a failure.  "ready" of the handlers
 * is not called; "closed" only after the dial.  Node and log are copied.
 * Returns NULL when memory is out.
 */
perm_redis_connector_t *perm_redis_connector_start(perm_redis_conf_t *conf,
    perm_redis_peer_t kind, perm_redis_node_t *node, ngx_uint_t *next,
    ngx_log_t *log, perm_redis_connection_handlers_t *handlers, void *data,
    perm_redis_dialed_pt dialed);

/* gives up; the handler is not called */
void perm_redis_connector_cancel(perm_redis_connector_t *connector);

/* as of a connection; see there */
void perm_redis_connector_poll(perm_redis_connector_t *connector,
    struct pollfd *pfd);
void perm_redis_connector_polled(perm_redis_connector_t *connector,
    struct pollfd *pfd);


/* "host:port", or the path, for log lines */
#define PERM_REDIS_NODE_NAME_MAX                                              \
    (PERM_REDIS_NODE_HOST_MAX + sizeof("[]:65535"))

size_t perm_redis_connector_node_name(u_char *buf, perm_redis_node_t *node);


#endif /* _PERM_REDIS_CONNECTOR_H_INCLUDED_ */
