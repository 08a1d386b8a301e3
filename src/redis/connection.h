
/*
 * One connection to one Redis or Sentinel: TCP, TLS or unix, its handshake,
 * and a pipelined FIFO of commands.  Never blocks.
 */


#ifndef _PERM_REDIS_CONNECTION_H_INCLUDED_
#define _PERM_REDIS_CONNECTION_H_INCLUDED_


#include <ngx_config.h>   /* before any other: it says what libc is to show */
#include <ngx_core.h>

#include <ngx_config.h>
#include <ngx_core.h>

#include <poll.h>

#include "redis/command.h"
#include "redis/conf.h"


#define PERM_REDIS_REPLY_MAX  (1024 * 1024)   /* bytes of one reply */


typedef struct perm_redis_connection_s  perm_redis_connection_t;


typedef enum {
    PERM_REDIS_ROLE_UNKNOWN = 0,   /* no right to ask, or no such command */
    PERM_REDIS_ROLE_MASTER,
    PERM_REDIS_ROLE_REPLICA,
    PERM_REDIS_ROLE_SENTINEL
} perm_redis_role_t;


typedef enum {
    PERM_REDIS_SERVER = 0,         /* conf->user, password and database */
    PERM_REDIS_SENTINEL_PEER       /* conf->sentinel_user and password */
} perm_redis_peer_t;


/*
 * None of these is ever called on the stack of a function below; each may
 * call any of them, perm_redis_connection_close() included.
 */
typedef struct {
    /* the handshake was answered: commands may be sent, from here on */
    void  (*ready)(void *data, perm_redis_connection_t *connection);

    /*
     * It is gone, or never came about; every command outstanding fails after
     * this call.  "reason" is for the log, escaped, without the address, and
     * valid during the call only.  The connection must not be touched again.
     */
    void  (*closed)(void *data, perm_redis_connection_t *connection,
        ngx_str_t *reason);

    /*
     * A "message" or "pmessage" of pub/sub, which is an answer to nothing.
     * NULL: such a reply is an error and closes.
     */
    void  (*push)(void *data, perm_redis_connection_t *connection,
        redisReply *reply);
} perm_redis_connection_handlers_t;


/*
 * Starts connecting to "addr" and the handshake: TLS, AUTH, SELECT, ROLE, all
 * within conf->connect_timeout.  "host" is what TLS verifies where
 * conf->ssl_name is empty.  Address, host and log are copied; conf and the
 * handlers have to last.  Returns NULL when memory is out.
 */
perm_redis_connection_t *perm_redis_connection_open(perm_redis_conf_t *conf,
    perm_redis_peer_t kind, ngx_addr_t *addr, ngx_str_t *host,
    ngx_log_t *log, perm_redis_connection_handlers_t *handlers, void *data);

/*
 * At once, and no handler is called any more, neither of the connection nor
 * of its commands.  In exit_process at the latest: a connection stays as long
 * as its worker, quitting or not.
 */
void perm_redis_connection_close(perm_redis_connection_t *connection);

/*
 * Closes it from the event loop, with "closed" and all commands called; until
 * then it takes no command.  The reason is copied.
 */
void perm_redis_connection_fail(perm_redis_connection_t *connection,
    const char *reason);


/*
 * Queues a command; what was queued in one turn of the event loop leaves in
 * one write.  Unanswered for conf->timeout it closes the connection, as the
 * FIFO cannot be trusted after.  Returns a handle for perm_redis_command_cancel(),
 * valid until the handler was called, or NULL when the connection is not
 * ready, too much is outstanding, or memory is out.  A SUBSCRIBE names one
 * channel: its confirmation is the reply.
 */
perm_redis_command_t *perm_redis_connection_send(
    perm_redis_connection_t *connection, ngx_uint_t argc, ngx_str_t *argv,
    perm_redis_reply_pt handler, void *data);

/*
 * The same for a command that exists.  NGX_OK: the connection owns it now;
 * NGX_ERROR: the caller still does.
 */
ngx_int_t perm_redis_connection_submit(perm_redis_connection_t *connection,
    perm_redis_command_t *command);


/* other handlers from now on; in "ready", say */
void perm_redis_connection_adopt(perm_redis_connection_t *connection,
    perm_redis_connection_handlers_t *handlers, void *data);

/* 1 from "ready" until it fails */
ngx_uint_t perm_redis_connection_ready(perm_redis_connection_t *connection);

/* what ROLE said; valid when ready */
perm_redis_role_t perm_redis_connection_role(
    perm_redis_connection_t *connection);

/* in "closed": was it an answer that did not come in time? */
ngx_uint_t perm_redis_connection_hung(perm_redis_connection_t *connection);

/* "127.0.0.1:6379", as long as the connection lasts */
ngx_str_t *perm_redis_connection_name(perm_redis_connection_t *connection);

/* commands in the FIFO, cancelled ones included */
ngx_uint_t perm_redis_connection_outstanding(
    perm_redis_connection_t *connection);

/* for how long the oldest of them has had no answer, ms; 0: there is none */
ngx_msec_t perm_redis_connection_waiting(perm_redis_connection_t *connection);


/*
 * For perm_redis_client_drain(), when there is no event loop: what to poll() for,
 * and what to do when it said so, or when its time is up.  Handlers are called
 * from the second one.
 */
void perm_redis_connection_poll(perm_redis_connection_t *connection,
    struct pollfd *pfd);
void perm_redis_connection_polled(perm_redis_connection_t *connection,
    struct pollfd *pfd);


#endif /* _PERM_REDIS_CONNECTION_H_INCLUDED_ */
