
/*
 * A Redis command on its way: its bytes, its time and who waits for it.
 */


#ifndef _PERM_REDIS_COMMAND_H_INCLUDED_
#define _PERM_REDIS_COMMAND_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include <hiredis/hiredis.h>


typedef struct perm_redis_command_s  perm_redis_command_t;


/*
 * "reply" is the server's answer, valid during the call only; it may be of
 * type REDIS_REPLY_ERROR.  NULL means that there is none: the link failed or
 * the time was up.  Never called on the stack of the function that sent.
 */
typedef void (*perm_redis_reply_pt)(void *data, redisReply *reply);

/* after every command answered or failed; usec since it was sent */
typedef void (*perm_redis_timing_pt)(void *data, uint64_t usec);

/*
 * Sees a reply, or NULL, before the handler.  NGX_DONE: the command, which is
 * in no queue, was taken over; NGX_OK: finish it.
 */
typedef ngx_int_t (*perm_redis_intercept_pt)(perm_redis_command_t *command,
    redisReply *reply);


/* the caller's counters */

typedef struct {
    ngx_atomic_t    *commands;  /* commands answered, errors included */
    ngx_atomic_t    *errors;    /* error replies, time-outs, lost links */
} perm_redis_stat_t;


/* who counts commands and measures their time */

typedef struct {
    perm_redis_stat_t     *stat;     /* lives as long; may be NULL */
    perm_redis_timing_pt   timing;   /* may be NULL */
    void                  *data;     /* of timing */
} perm_redis_meter_t;


struct perm_redis_command_s {
    ngx_queue_t              queue;
    perm_redis_reply_pt      handler;     /* NULL: cancelled, or failed */
    void                    *data;
    perm_redis_intercept_pt  intercept;   /* NULL: none */
    void                    *owner;       /* of intercept */
    void                    *via;         /* of intercept: the link */
    ngx_uint_t               via_number;  /* its number, when it may be gone */
    perm_redis_meter_t      *meter;       /* NULL: nobody counts */
    uint64_t                 start;       /* usec, with timing only */
    ngx_msec_t               deadline;    /* the handler is called by then */
    ngx_msec_t               sent;        /* to the connection it is on */
    unsigned                 tries:8;     /* connections it was sent to */
    unsigned                 slot:14;     /* of its key, in a cluster */
    unsigned                 asking:1;    /* in a cluster: ASK led here */
    unsigned                 held:1;      /* in a cluster: once, when lost */
    unsigned                 counted:1;   /* in the account already */
    size_t                   len;
    u_char                   wire[1];     /* of len bytes, as sent */
};


/*
 * Encodes a command.  timeout: ms.  Returns NULL when memory is out, with no
 * line in the log.
 */
perm_redis_command_t *perm_redis_command_create(ngx_uint_t argc,
    ngx_str_t *argv, ngx_msec_t timeout, perm_redis_reply_pt handler,
    void *data);

void perm_redis_command_meter(perm_redis_command_t *command,
    perm_redis_meter_t *meter);

/* out of no queue: counts it, calls the handler, and frees it */
void perm_redis_command_finish(perm_redis_command_t *command,
    redisReply *reply);

/* calls the handler with NULL now; the command stays where it is */
void perm_redis_command_expire(perm_redis_command_t *command);

/* frees it without a word */
void perm_redis_command_free(perm_redis_command_t *command);

/* finishes, or frees, all that are in the queue; those added meanwhile too */
void perm_redis_command_fail_all(ngx_queue_t *queue);
void perm_redis_command_free_all(ngx_queue_t *queue);

/* the reply will be read and dropped; the handler is not called any more */
void perm_redis_command_cancel(perm_redis_command_t *command);


/* the clock that times commands, and requests: usec, monotonic */
uint64_t perm_redis_command_clock(void);


/* is the reply an error that begins with this word? */
ngx_uint_t perm_redis_reply_error(redisReply *reply, const char *word);

/* is the reply an array of n elements, all of this type? */
ngx_uint_t perm_redis_reply_array(redisReply *reply, size_t n, int type);


#endif /* _PERM_REDIS_COMMAND_H_INCLUDED_ */
