
/*
 * One worker's link to Redis, whatever is behind it: a single server, the
 * master that Sentinels name, or a cluster.  Finds the connection that serves
 * a key, keeps it, and finds the next one when it is gone.
 */


#ifndef _PERM_REDIS_CLIENT_H_INCLUDED_
#define _PERM_REDIS_CLIENT_H_INCLUDED_


#include "redis/command.h"
#include "redis/conf.h"


typedef struct perm_redis_client_s  perm_redis_client_t;


typedef enum {
    PERM_REDIS_CONNECTING = 0,  /* commands wait for the first attempt since
                                   start, or since an established link ended */
    PERM_REDIS_UP,
    PERM_REDIS_DOWN             /* an attempt failed: commands fail at once
                                   until a connection is established */
} perm_redis_client_state_t;


/*
 * "up" turned to 1 or 0; called on a change only.  A link that is back with
 * the first attempt never was down.
 */
typedef void (*perm_redis_client_state_pt)(void *data, ngx_uint_t up);


/*
 * Starts connecting.  Everything lives in memory of its own and is freed by
 * perm_redis_client_destroy(), which calls no handler any more.  Returns NULL when
 * memory is out.
 */
perm_redis_client_t *perm_redis_client_create(perm_redis_conf_t *conf,
    ngx_log_t *log, perm_redis_stat_t *stat,
    perm_redis_client_state_pt handler, void *data);
void perm_redis_client_destroy(perm_redis_client_t *redis);

perm_redis_client_state_t perm_redis_client_state(perm_redis_client_t *redis);

/* measure the time of commands, with the data of the state handler; NULL: do
   not */
void perm_redis_client_set_timing(perm_redis_client_t *redis,
    perm_redis_timing_pt handler);


/*
 * Queues a command for the server that serves "key", which is one of the
 * arguments.  What was queued in one turn of the event loop leaves in one
 * write.  Returns a handle for perm_redis_command_cancel(), valid until the handler
 * was called, or NULL when the link is down or memory is out; the handler is
 * not called then.
 */
perm_redis_command_t *perm_redis_client_send(perm_redis_client_t *redis,
    ngx_str_t *key, ngx_uint_t argc, ngx_str_t *argv,
    perm_redis_reply_pt handler, void *data);


/*
 * The server hangs, or, called by a handler of a reply, makes no sense: closes
 * the connection and fails what is outstanding, not on the caller's stack, and
 * is DOWN until a handshake is answered again.  In a cluster that is for those
 * that owe an answer, the others are asked for one; or for the one that sent
 * the reply.
 */
void perm_redis_client_drop(perm_redis_client_t *redis);


/*
 * Called by a handler of a reply: is it to be cached as one whose changes are
 * told?  1: it is of one of the masters known, at which perm_redis_tracking_t
 * says when it misses any.  0: ASK, or MOVED to one that is not known yet, led
 * to another node of a cluster, where changes may be missed without a word.
 */
ngx_uint_t perm_redis_client_tracked(perm_redis_client_t *redis);


/*
 * Blocks until nothing is outstanding, or for "msec": for the last flush in
 * exit_process, when the event loop has ended.  Handlers are called from
 * here.  Returns NGX_OK when nothing is outstanding.
 */
ngx_int_t perm_redis_client_drain(perm_redis_client_t *redis, ngx_msec_t msec);


#endif /* _PERM_REDIS_CLIENT_H_INCLUDED_ */
