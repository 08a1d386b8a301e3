
/*
 * One server, kept connected: connects, again with a back-off, and lets
 * commands wait for the first attempt.
 */


#ifndef _PERM_REDIS_ENDPOINT_H_INCLUDED_
#define _PERM_REDIS_ENDPOINT_H_INCLUDED_


#include "redis/connector.h"
#include "redis/parked.h"


typedef struct perm_redis_endpoint_s  perm_redis_endpoint_t;


typedef enum {
    PERM_REDIS_ENDPOINT_IDLE = 0,     /* nobody asked for it yet */
    PERM_REDIS_ENDPOINT_CONNECTING,   /* commands wait */
    PERM_REDIS_ENDPOINT_UP,
    PERM_REDIS_ENDPOINT_DOWN,         /* commands are refused; tries again */
    PERM_REDIS_ENDPOINT_RETIRED       /* to be destroyed */
} perm_redis_endpoint_state_t;


typedef struct {
    /* may a server with this role be used?  NULL, or the reason why not */
    const char  *(*accept)(void *data, perm_redis_role_t role);

    /*
     * The state is another one, or an attempt failed again: "reason" then,
     * else NULL.  Never on the stack of a function below.  The link may be
     * destroyed, and is to be when it is retired.
     */
    void         (*changed)(void *data, perm_redis_endpoint_t *endpoint,
        ngx_str_t *reason);
} perm_redis_endpoint_handlers_t;


/* reasons that do not go to the log again when they alternate */

#define PERM_REDIS_LOGGED  4

typedef struct {
    uint32_t                     reasons[PERM_REDIS_LOGGED];  /* hashes */
    ngx_uint_t                   n;
} perm_redis_logged_t;


struct perm_redis_endpoint_s {
    ngx_queue_t                      queue;    /* of the owner */
    ngx_uint_t                       number;   /* no other link ever had it */
    perm_redis_node_t                node;
    ngx_str_t                        name;     /* "host:port" */
    perm_redis_endpoint_state_t      state;

    perm_redis_conf_t               *conf;
    ngx_log_t                       *log;
    perm_redis_endpoint_handlers_t  *handlers;
    void                            *data;

    perm_redis_connector_t          *connector;         /* CONNECTING or DOWN */
    perm_redis_connection_t         *connection; /* UP, or about to be closed */
    ngx_uint_t                       next;     /* of its addresses */

    perm_redis_parked_t              parked;
    ngx_event_t                      retry;
    ngx_event_t                      post;     /* what waits is to fail */
    ngx_uint_t                       failures; /* since it was up */
    ngx_msec_t                       since;    /* when it came up */
    perm_redis_logged_t              logged;   /* for the owner */
    /* that ASKING is refused */
    unsigned                         asking_logged:1;
};


/* idle; node and its name are copied.  NULL: memory is out */
perm_redis_endpoint_t *perm_redis_endpoint_create(perm_redis_conf_t *conf,
    perm_redis_node_t *node, ngx_log_t *log,
    perm_redis_endpoint_handlers_t *handlers, void *data);

/* at once; no handler is called */
void perm_redis_endpoint_destroy(perm_redis_endpoint_t *endpoint);

/* connects, if it is idle */
void perm_redis_endpoint_open(perm_redis_endpoint_t *endpoint);

/*
 * NGX_OK: the link owns the command now; NGX_ERROR: it is down, or too much
 * is outstanding.  A command with "asking" set has ASKING go before it.
 */
ngx_int_t perm_redis_endpoint_send(perm_redis_endpoint_t *endpoint,
    perm_redis_command_t *command);

/* closes; everything fails, from the event loop; it is DOWN for now */
void perm_redis_endpoint_drop(perm_redis_endpoint_t *endpoint,
    const char *reason);

/* drops it if it owes an answer, else has it owe one */
void perm_redis_endpoint_probe(perm_redis_endpoint_t *endpoint,
    const char *reason);

/* as a drop, but for good; "changed" says when it is RETIRED */
void perm_redis_endpoint_retire(perm_redis_endpoint_t *endpoint,
    const char *reason);


/* commands outstanding */
ngx_uint_t perm_redis_endpoint_outstanding(perm_redis_endpoint_t *endpoint);

/* as of a connection; see there */
void perm_redis_endpoint_poll(perm_redis_endpoint_t *endpoint,
    struct pollfd *pfd);
void perm_redis_endpoint_polled(perm_redis_endpoint_t *endpoint,
    struct pollfd *pfd);


/* ms, jittered: 25 to 50 after the first failure, at most 400 to 800 */
ngx_msec_t perm_redis_endpoint_backoff(ngx_uint_t failures);


#endif /* _PERM_REDIS_ENDPOINT_H_INCLUDED_ */
