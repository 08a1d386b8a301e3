
/*
 * Shared by the files of a connection: connection.c (its life), _address.c,
 * _socket.c, _tls.c, _handshake.c, _watch.c and _pipeline.c.
 *
 *   open -> addresses -> socket -> TLS -> handshake -> ready -> closed
 *              ^           ^                 |
 *              |           +-- next address--+
 *              +----- search for a master ---+
 */


#ifndef _PERM_REDIS_CONNECTION_PRIV_H_INCLUDED_
#define _PERM_REDIS_CONNECTION_PRIV_H_INCLUDED_


#include "redis/connection.h"


/* "error": the reason for the failure that follows, unless it is explained */
void perm_redis_connection_error(perm_redis_connection_t *connection,
    const char *fmt, ...);

/* ends it, or this attempt, for the reason in "error", from the event loop */
void perm_redis_connection_abort(perm_redis_connection_t *connection);

/*
 * The same at once: from an event handler only, between enter and leave.  The
 * last leave frees it.
 */
void perm_redis_connection_lost(perm_redis_connection_t *connection);
void perm_redis_connection_enter(perm_redis_connection_t *connection);
void perm_redis_connection_leave(perm_redis_connection_t *connection);

/* to the next address */
void perm_redis_connection_socket_connect(perm_redis_connection_t *connection);

/* handlers of its events, its timer and its log */
void perm_redis_connection_socket_read(ngx_event_t *rev);
void perm_redis_connection_socket_write(ngx_event_t *wev);
void perm_redis_connection_socket_timer(ngx_event_t *ev);
void perm_redis_connection_socket_log(ngx_log_t *log, ngx_uint_t level,
    u_char *buf, size_t len);


/* finds addresses, now or later, and posts the event to connect */
void perm_redis_connection_address_find(perm_redis_connection_t *connection);

/*
 * Asks the resolver.  The handler may be called within; it ends "resolving"
 * with perm_redis_connection_address_resolved().
 */
ngx_int_t perm_redis_connection_address_resolve(
    perm_redis_connection_t *connection, ngx_resolver_handler_pt handler);
void perm_redis_connection_address_resolved(
    perm_redis_connection_t *connection);

/* with no address, and "error" set, when memory is out */
void perm_redis_connection_address_add(perm_redis_connection_t *connection,
    struct sockaddr *sockaddr, socklen_t socklen);


/* each returns NGX_ERROR with "error" set */

#if (NGX_SSL)
/* at its end it calls perm_redis_connection_handshake() */
ngx_int_t perm_redis_connection_tls_start(perm_redis_connection_t *connection);
#endif

/* AUTH, SELECT, PING and ROLE */
ngx_int_t perm_redis_connection_handshake(perm_redis_connection_t *connection);

ngx_int_t perm_redis_connection_pipeline_init(
    perm_redis_connection_t *connection);
void perm_redis_connection_pipeline_done(perm_redis_connection_t *connection);
ngx_int_t perm_redis_connection_pipeline_append(
    perm_redis_connection_t *connection, perm_redis_command_t *command);
ngx_int_t perm_redis_connection_pipeline_write(
    perm_redis_connection_t *connection);
ngx_int_t perm_redis_connection_pipeline_read(
    perm_redis_connection_t *connection, u_char *buf, size_t len);

/* expires commands, and sets the timer anew for the others */
ngx_int_t perm_redis_connection_pipeline_expire(
    perm_redis_connection_t *connection);


/* it is ready from now on */
void perm_redis_connection_watch_start(perm_redis_connection_t *connection);

/* a replica answered ROLE.  1: it is passed over, for the reason in "error" */
ngx_uint_t perm_redis_connection_watch_refuse(
    perm_redis_connection_t *connection, redisReply *reply);

/* no address is left.  1: the search for a master goes on */
ngx_uint_t perm_redis_connection_watch_search(
    perm_redis_connection_t *connection);

/* the handler of its timer */
void perm_redis_connection_watch_timer(ngx_event_t *ev);


#endif /* _PERM_REDIS_CONNECTION_PRIV_H_INCLUDED_ */
