
/*
 * One server that is kept connected, with a back-off.  Commands may wait for
 * the first attempt.
 */


#ifndef _PERM_REDIS_ENDPOINT_H_INCLUDED_
#define _PERM_REDIS_ENDPOINT_H_INCLUDED_


#include "redis/connection.h"
#include "redis/parked.h"


typedef struct perm_redis_endpoint_s  perm_redis_endpoint_t;


typedef enum {
    PERM_REDIS_ENDPOINT_CONNECTING = 0,   /* commands are parked */
    PERM_REDIS_ENDPOINT_UP,
    PERM_REDIS_ENDPOINT_DOWN,         /* commands are refused; tries again */
    PERM_REDIS_ENDPOINT_RETIRED       /* to be destroyed */
} perm_redis_endpoint_state_t;


typedef enum {
    PERM_REDIS_LOSS_ERROR = 0,
    PERM_REDIS_LOSS_IDLE,             /* nobody waited for an answer */
    PERM_REDIS_LOSS_MOVED             /* the server is no master any more, or
                                         its name leads elsewhere */
} perm_redis_loss_t;


typedef struct {
    /* NULL, or the reason why a server with this role cannot be used */
    const char  *(*accept)(void *data, perm_redis_endpoint_t *endpoint,
        perm_role_t role);

    /*
     * The state changed, or an attempt failed again: "reason" then, else NULL.
     * A connection that ended without harm, and is made again at once, has a
     * "loss" of its own.  Never on the stack of a function below.  The
     * endpoint may be destroyed, and is to be when it is retired.
     */
    void         (*changed)(void *data, perm_redis_endpoint_t *endpoint,
        const char *reason);
} perm_redis_endpoint_handlers_t;


/* the reasons that were logged last: reasons may alternate */

#define PERM_REDIS_LOGGED  4

typedef struct {
    uint32_t                     reasons[PERM_REDIS_LOGGED];  /* hashes */
    ngx_uint_t                   n;
} perm_redis_logged_t;


struct perm_redis_endpoint_s {
    perm_redis_endpoint_t           *next;        /* of the owner's */
    ngx_uint_t                       number;      /* of no other, ever */
    perm_redis_node_t                node;
    perm_redis_endpoint_state_t      state;

    perm_redis_conf_t               *conf;
    ngx_log_t                       *log;
    perm_redis_endpoint_handlers_t  *handlers;
    void                            *data;

    perm_redis_connection_t         *connection;  /* or NULL */
    perm_redis_connection_t         *successor;   /* of a replica: looks for a
                                                     master; or NULL */
    perm_redis_parked_t              parked;
    ngx_event_t                      retry;
    ngx_uint_t                       failures;    /* since it was up, and 1
                                                     that ended too soon */
    perm_redis_loss_t                loss;        /* of the last reason */
    ngx_msec_t                       since;       /* it is up; 0: it is not */
    ngx_msec_t                       opened;      /* to a master; 0: it is not,
                                                     or the owner was told */

    perm_redis_logged_t              logged;      /* by the owner */
    unsigned                         asking_logged:1;
};


/* starts connecting; the node is copied.  NULL: memory is out */
perm_redis_endpoint_t *perm_redis_endpoint_create(perm_redis_conf_t *conf,
    perm_redis_node_t *node, ngx_log_t *log,
    perm_redis_endpoint_handlers_t *handlers, void *data);

/* at once, after the owner took it out of its list; no handler is called */
void perm_redis_endpoint_destroy(perm_redis_endpoint_t *endpoint);

/*
 * NGX_OK: the endpoint owns the command now.  NGX_ERROR: it is down, or too
 * much is outstanding.  ASKING precedes a command with "asking" set.
 */
ngx_int_t perm_redis_endpoint_send(perm_redis_endpoint_t *endpoint,
    perm_redis_command_t *command);

/* closes; all commands fail, from the event loop; it is DOWN for now */
void perm_redis_endpoint_drop(perm_redis_endpoint_t *endpoint,
    const char *reason);

/* connects anew: the server is a master no more */
void perm_redis_endpoint_moved(perm_redis_endpoint_t *endpoint,
    const char *reason);

/* is it up at a replica? */
ngx_uint_t perm_redis_endpoint_replica(perm_redis_endpoint_t *endpoint);

/* drops it if an answer is overdue, else asks for one */
void perm_redis_endpoint_probe(perm_redis_endpoint_t *endpoint,
    const char *reason);

/*
 * The same for good, from the event loop only.  NGX_OK: it may be destroyed
 * now; NGX_AGAIN: when "changed" reports that it is RETIRED.
 */
ngx_int_t perm_redis_endpoint_retire(perm_redis_endpoint_t *endpoint,
    const char *reason);


/* is a command parked or outstanding?  It has a connection then */
ngx_uint_t perm_redis_endpoint_busy(perm_redis_endpoint_t *endpoint);


#endif /* _PERM_REDIS_ENDPOINT_H_INCLUDED_ */
