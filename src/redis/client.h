
/*
 * One worker's access to Redis: a single server, the master that Sentinels
 * name, or a cluster.  Keeps a connection to the server of each key, and finds
 * the next server when one is gone.
 */


#ifndef _PERM_REDIS_CLIENT_H_INCLUDED_
#define _PERM_REDIS_CLIENT_H_INCLUDED_


#include "redis/command.h"
#include "redis/conf.h"


typedef struct perm_redis_client_s  perm_redis_client_t;


typedef enum {
    PERM_REDIS_CONNECTING = 0,  /* the first attempt since start, or since a
                                   connection ended: commands are parked */
    PERM_REDIS_UP,
    PERM_REDIS_DOWN             /* an attempt failed: commands fail at once
                                   until a connection is ready */
} perm_redis_client_state_t;


/*
 * "up" is 1 or 0; called on a change only.  A connection that is back with the
 * first attempt is no change.
 */
typedef void (*perm_redis_client_state_pt)(void *data, ngx_uint_t up);


/*
 * What its links meet.  Each may be NULL.  Never called on the stack of a
 * function below.
 */
typedef struct {
    /* a link ended, or cannot be made; both texts are printable.  Returns 0
       where the log of all workers has it already */
    ngx_uint_t  (*failed)(void *data, const char *address,
        const char *reason);

    /* a link is up; "replica": the server says that it is one, and no master
       can be reached */
    void  (*up)(void *data, const char *address, ngx_uint_t replica);

    /* its server is no master any more, or was replaced: replies of the last
       second or two may be out of date */
    void  (*moved)(void *data);

    /* a link to a master, opened then (ms, monotonic), ended: its server may
       have been replaced without a word */
    void  (*ended)(void *data, ngx_msec_t opened);
} perm_redis_client_watch_t;


/*
 * Starts connecting.  The client is freed by perm_redis_client_destroy(), which
 * calls no handler any more; "conf", "log" and "meter" have to last.  Returns
 * NULL when memory is out.
 */
perm_redis_client_t *perm_redis_client_create(perm_redis_conf_t *conf,
    ngx_log_t *log, perm_redis_meter_t *meter,
    perm_redis_client_state_pt handler, void *data);
void perm_redis_client_destroy(perm_redis_client_t *redis);

/* for a client that was just created; "watch" has to last */
void perm_redis_client_watch(perm_redis_client_t *redis,
    perm_redis_client_watch_t *watch, void *data);

perm_redis_client_state_t perm_redis_client_state(perm_redis_client_t *redis);


/*
 * Queues a command for the server that serves "key", which is one of the
 * arguments.  All commands of one turn of the event loop leave in one write.
 * Returns a handle for perm_redis_command_cancel(), valid until the handler is
 * called, or NULL when Redis is down or memory is out; the handler is not
 * called then.
 */
perm_redis_command_t *perm_redis_client_send(perm_redis_client_t *redis,
    ngx_str_t *key, ngx_uint_t argc, ngx_str_t *argv,
    perm_redis_reply_pt handler, void *data);


/*
 * The number of the server that serves "key" now, or 0: it is not known.
 */
ngx_uint_t perm_redis_client_server(perm_redis_client_t *redis,
    ngx_str_t *key);


/*
 * The server hangs, or, called by a handler of a reply, its reply makes no
 * sense.  Closes the connection and fails all that is outstanding, not on the
 * caller's stack; DOWN until a handshake is answered again.  This is for the
 * server that sent the reply, or else for each one that owes an answer; the
 * others are asked for one.
 */
void perm_redis_client_drop(perm_redis_client_t *redis);


/*
 * Called by a handler of a reply.  1: it is from a server that is tracked; the
 * reply may be cached until perm_redis_tracking_t reports a change.  0: it is
 * from a replica, or from a node of a cluster that is not tracked, or not for
 * long enough to be sure.  ASK or MOVED led there, or it became a master just
 * now.  Changes there are not reported: the reply is used as stale only.
 */
ngx_uint_t perm_redis_client_tracked(perm_redis_client_t *redis);

/*
 * Likewise.  1: it is from a replica, which nobody can ask for how old its
 * data are.
 */
ngx_uint_t perm_redis_client_replica(perm_redis_client_t *redis);

/* likewise: the address that it is from, printable */
const char *perm_redis_client_address(perm_redis_client_t *redis);


/*
 * Blocks until nothing is outstanding, or for "msec": for the last flush in
 * exit_process, when the event loop has ended.  Calls handlers.  Returns NGX_OK
 * when nothing is outstanding.
 */
ngx_int_t perm_redis_client_drain(perm_redis_client_t *redis, ngx_msec_t msec);


#endif /* _PERM_REDIS_CLIENT_H_INCLUDED_ */
