
/*
 * One connection to one Redis or Sentinel: finds the addresses of its name,
 * connects to one by TCP, TLS or a unix socket, does the handshake, and has a
 * pipeline of commands.  Never blocks.
 */


#ifndef _PERM_REDIS_CONNECTION_H_INCLUDED_
#define _PERM_REDIS_CONNECTION_H_INCLUDED_


#include <ngx_config.h>   /* first: it selects what libc declares */
#include <ngx_core.h>

#include <ngx_event.h>
#include <ngx_event_connect.h>

#include "redis/command.h"
#include "redis/conf.h"
#include "resp/reader.h"
#include "resp/reply.h"


typedef struct perm_redis_connection_s  perm_redis_connection_t;


/*
 * None of these is called on the stack of a function below.  Each may call any
 * of them, perm_redis_connection_close() included.
 */
typedef struct {
    /* the handshake is done: commands may be sent from now on */
    void  (*ready)(void *data, perm_redis_connection_t *connection);

    /*
     * It ended, or no address of the node led to a handshake.  Outstanding
     * commands fail after this call, and the connection must not be touched
     * again.  "reason" is for the log, printable, and valid during the call.
     */
    void  (*closed)(void *data, perm_redis_connection_t *connection,
        const char *reason);

    /*
     * A "message" of pub/sub, which answers no command.  NULL: such a reply
     * is an error and closes.
     */
    void  (*push)(void *data, perm_redis_connection_t *connection,
        redisReply *reply);
} perm_redis_connection_handlers_t;


#define PERM_REDIS_ERROR_MAX  320   /* bytes */


struct perm_redis_connection_s {
    perm_redis_conf_t                 *conf;
    perm_redis_node_t                 *node;
    perm_redis_connection_handlers_t  *handlers;
    void                              *data;

    perm_role_t                        role;    /* valid when ready */
    ngx_queue_t                        pipeline;     /* perm_redis_command_t */
    ngx_uint_t                         outstanding;  /* in the pipeline,
                                                        cancelled ones, too */
    unsigned                           begun:1; /* was ready, ever */
    unsigned                           hung:1;  /* it ends for no answer, and
                                                   not to a beat alone */
    unsigned                           moved:1; /* it ends: the server is no
                                                   master any more, or its name
                                                   leads elsewhere */
    unsigned                           replica_ok:1; /* by the owner, once it
                                                        is opened */

    /* the rest is for the files of a connection */

    ngx_pool_t                        *pool;    /* all this is in it */
    ngx_log_t                         *base;    /* the owner's */
    ngx_log_t                          log;     /* its lines go to "error" */

    ngx_resolver_ctx_t                *resolving;    /* or NULL */
    ngx_array_t                        addrs;   /* of ngx_addr_t */
    ngx_uint_t                         tried;   /* of the addresses */

    ngx_peer_connection_t              peer;
    ngx_msec_t                         opened;  /* monotonic: connect(), 0: its
                                                   end is this worker's doing */
    ngx_event_t                        post;    /* connect, write or fail */
    ngx_event_t                        timer;   /* cancelable while idle */

    ngx_event_t                        watch;   /* cancelable */
    ngx_msec_t                         beat;    /* the last one sent */
    ngx_msec_t                         lame;    /* the resolver, until then */
    ngx_msec_t                         search;  /* its begin */
    ngx_msec_t                         round;   /* of the search: its begin */
    ngx_uint_t                         best;    /* node->next of the replica */
    ngx_uint_t                         met;     /* 0: no replica, 1: one that
                                                   has lost its master, 2 */

    u_char                            *out;     /* pos to last is unsent */
    u_char                            *pos;
    u_char                            *last;
    u_char                            *end;

    perm_reader_t                     *reader;

    size_t                             error_len;
    u_char                             error[PERM_REDIS_ERROR_MAX];

    unsigned                           busy:16;      /* calls on the stack */
    unsigned                           connected:1;  /* the socket, not TLS */
    unsigned                           ready:1;
    unsigned                           failed:1;     /* posted to be lost */
    unsigned                           gone:1;       /* to be freed */
    unsigned                           named:1;      /* for the resolver */
    unsigned                           probing:1;    /* a beat is unanswered */
    unsigned                           settling:1;   /* for a replica */
    unsigned                           final:1;      /* no search follows */
    unsigned                           heard:1;      /* the server's protocol
                                                        has been seen */
    unsigned                           explained:1;  /* "error" stays */
};


/*
 * Starts.  The name is resolved anew each time where conf->resolver is there,
 * else the addresses of the node are tried, from node->next on, which each
 * failure moves on.  "beside" is NULL, or a ready connection: to the very same
 * address.  TCP connect, TLS, AUTH, SELECT and ROLE at one address have
 * conf->connect_timeout.  Node, log and handlers have to last.  Returns NULL
 * when memory is out.
 *
 * With a URL of a single server a replica is passed over.  Where all addresses
 * were tried, and one has a replica, the connection is "ready" with that if
 * "replica_ok" is set, and else goes on looking for a master for some seconds.
 *
 * While it is ready it is watched: a server that gives no answer, whose role
 * changes, or that its name does not lead to any more, ends it.
 */
perm_redis_connection_t *perm_redis_connection_open(perm_redis_conf_t *conf,
    perm_redis_node_t *node, perm_redis_connection_t *beside, ngx_log_t *log,
    perm_redis_connection_handlers_t *handlers, void *data);

/*
 * At once; no handler is called any more, neither of the connection nor of
 * its commands.  In exit_process at the latest: a connection stays as long as
 * its worker, quitting or not.
 */
void perm_redis_connection_close(perm_redis_connection_t *connection);

/*
 * Closes it from the event loop, with "closed" and the handlers of commands
 * called; until then it takes no command.  The reason is copied.
 */
void perm_redis_connection_fail(perm_redis_connection_t *connection,
    const char *reason);


/*
 * Queues a command; all commands of one turn of the event loop leave in one
 * write.  Without an answer for conf->timeout the connection is closed: later
 * replies could not be matched.  Returns a handle for
 * perm_redis_command_cancel(), valid until the handler is called, or NULL when
 * the connection is not ready, too much is outstanding, or memory is out.  A
 * SUBSCRIBE names one channel: its confirmation is the reply.
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


/* of one that is ready.  1: bytes of the server are there to be read */
ngx_uint_t perm_redis_connection_unread(perm_redis_connection_t *connection);


/*
 * One turn without an event loop, for perm_redis_client_drain(): waits for the
 * socket for up to "msec", and handles its events and the timer.
 */
void perm_redis_connection_turn(perm_redis_connection_t *connection,
    ngx_msec_t msec);


/*
 * ms to the next attempt, jittered: 25 to 50 after the first failure, at most
 * 400 to 800
 */
ngx_msec_t perm_redis_connection_backoff(ngx_uint_t failures);


#endif /* _PERM_REDIS_CONNECTION_H_INCLUDED_ */
