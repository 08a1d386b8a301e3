
/*
 * A Redis command on its way: its bytes, its deadline and its handler.
 */


#ifndef _PERM_REDIS_COMMAND_H_INCLUDED_
#define _PERM_REDIS_COMMAND_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include <hiredis/hiredis.h>


typedef struct perm_redis_command_s  perm_redis_command_t;


/*
 * "reply" is valid during the call only; it may be of type REDIS_REPLY_ERROR.
 * NULL: the connection failed or the time was up.  Never called on the stack
 * of the function that sent the command.
 */
typedef void (*perm_redis_reply_pt)(void *data, redisReply *reply);

/*
 * Sees a reply, or NULL, before the handler.  NGX_DONE: the command, which is
 * in no queue, was taken over; NGX_OK: finish it.
 */
typedef ngx_int_t (*perm_redis_intercept_pt)(perm_redis_command_t *command,
    redisReply *reply);


typedef struct {
    ngx_atomic_t    *commands;   /* commands answered, errors included */
    ngx_atomic_t    *errors;     /* errors, time-outs, lost connections */

    /* NULL, or called for every command answered or failed; usec since it was
       sent */
    void           (*timing)(void *data, uint64_t usec);
    void            *data;
} perm_redis_meter_t;


struct perm_redis_command_s {
    ngx_queue_t              queue;
    perm_redis_reply_pt      handler;     /* NULL: cancelled, or called */
    void                    *data;
    perm_redis_intercept_pt  intercept;   /* NULL: none */
    void                    *owner;       /* of intercept: the client */
    void                    *via;         /* of intercept: the endpoint */
    ngx_uint_t               via_number;  /* its number, as it may be gone */
    perm_redis_meter_t      *meter;       /* NULL: none, or measured */
    uint64_t                 start;       /* usec, with a meter only */
    ngx_msec_t               deadline;    /* the handler is called by then */
    ngx_msec_t               sent;        /* to the connection it is on */
    unsigned                 tries:8;     /* connections it was sent to */
    unsigned                 slot:14;     /* of its key, in a cluster */
    unsigned                 asking:1;    /* in a cluster: ASK led here */
    unsigned                 parked:1;    /* in a cluster: once, when lost */
    ngx_str_t                name;        /* in "wire", for log lines */
    size_t                   len;
    u_char                   wire[1];     /* of len bytes, as sent */
};


/*
 * Encodes a command, which ends with perm_redis_command_finish(), or with
 * free() where nobody needs to know.  timeout: ms.  Returns NULL when memory is
 * out, with no line in the log.
 */
perm_redis_command_t *perm_redis_command_create(ngx_uint_t argc,
    ngx_str_t *argv, ngx_msec_t timeout, perm_redis_reply_pt handler,
    void *data);

/* counts it and calls the handler; the command stays where it is */
void perm_redis_command_answer(perm_redis_command_t *command,
    redisReply *reply);

/* the same, of a command in no queue, and frees it */
void perm_redis_command_finish(perm_redis_command_t *command,
    redisReply *reply);

/* the reply will be read and dropped; the handler is not called any more */
void perm_redis_command_cancel(perm_redis_command_t *command);

/* finishes, or frees, all of the queue; those added meanwhile, too */
void perm_redis_command_fail_all(ngx_queue_t *queue);
void perm_redis_command_free_all(ngx_queue_t *queue);

/* the clock that times commands, and requests: usec, monotonic */
uint64_t perm_redis_command_clock(void);

/* has the timer end at "when" (ms), unless it ends sooner already */
void perm_redis_command_timer(ngx_event_t *timer, ngx_msec_t when);


#endif /* _PERM_REDIS_COMMAND_H_INCLUDED_ */
