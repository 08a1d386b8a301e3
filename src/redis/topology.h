
/*
 * One worker's link to Redis, whatever is behind it: a single server, the
 * master that Sentinels name, or a cluster.  Finds the connection that serves
 * a key, keeps it, and finds the next one when it is gone.
 */


#ifndef _PERM_REDIS_TOPOLOGY_H_INCLUDED_
#define _PERM_REDIS_TOPOLOGY_H_INCLUDED_


#include <hiredis/hiredis.h>

#include "redis/conf.h"


typedef struct perm_redis_s          perm_redis_t;
typedef struct perm_redis_command_s  perm_redis_command_t;


typedef enum {
    PERM_REDIS_CONNECTING = 0,  /* commands wait for the first attempt since
                                   start, or since an established link ended */
    PERM_REDIS_UP,
    PERM_REDIS_DOWN             /* an attempt failed: commands fail at once
                                   until a connection is established */
} perm_redis_state_t;


typedef struct {
    ngx_atomic_t     commands;  /* commands answered, errors included */
    ngx_atomic_t     errors;    /* error replies, time-outs, lost links */
} perm_redis_stat_t;


/*
 * "reply" is the server's answer, valid during the call only; it may be of
 * type REDIS_REPLY_ERROR.  NULL means that there is none: the link failed or
 * the time was up.  Never called on the stack of perm_redis_send().
 */
typedef void (*perm_redis_reply_pt)(void *data, redisReply *reply);

/* "up" turned to 1 or 0; called on a change only */
typedef void (*perm_redis_state_pt)(void *data, ngx_uint_t up);

/* after every command answered or failed; usec since it was sent */
typedef void (*perm_redis_timing_pt)(void *data, uint64_t usec);


/*
 * Starts connecting.  Everything lives in memory of its own and is freed by
 * perm_redis_destroy().  Returns NULL when memory is out.
 */
perm_redis_t *perm_redis_create(perm_redis_conf_t *conf, ngx_log_t *log,
    perm_redis_stat_t *stat, perm_redis_state_pt handler, void *data);
void perm_redis_destroy(perm_redis_t *redis);

perm_redis_state_t perm_redis_state(perm_redis_t *redis);

/* measure the time of commands; NULL handler: do not */
void perm_redis_set_timing(perm_redis_t *redis, perm_redis_timing_pt handler);


/*
 * Queues a command for the server that serves "key", which is one of the
 * arguments.  What was queued in one turn of the event loop leaves in one
 * write.  Returns a handle for perm_redis_cancel(), valid until the handler
 * was called, or NULL when the link is down or memory is out; the handler is
 * not called then.
 */
perm_redis_command_t *perm_redis_send(perm_redis_t *redis, ngx_str_t *key,
    ngx_uint_t argc, ngx_str_t *argv, perm_redis_reply_pt handler,
    void *data);

/* the reply will be read and dropped; the handler is not called any more */
void perm_redis_cancel(perm_redis_command_t *command);


/*
 * Blocks until nothing is outstanding, or for "msec": for the last flush in
 * exit_process, when the event loop has ended.  Handlers are called from
 * here.  Returns NGX_OK when nothing is outstanding.
 */
ngx_int_t perm_redis_drain(perm_redis_t *redis, ngx_msec_t msec);


#endif /* _PERM_REDIS_TOPOLOGY_H_INCLUDED_ */
