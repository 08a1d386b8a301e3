
/*
 * Shared by tracking.c, which knows the masters, tracking_pair.c, the two
 * connections to one of them, and tracking_ask.c, a question to one of them.
 */


#ifndef _PERM_REDIS_TRACKING_PRIV_H_INCLUDED_
#define _PERM_REDIS_TRACKING_PRIV_H_INCLUDED_


#include "redis/discovery.h"
#include "redis/tracking.h"


#define PERM_TRACKING_PREFIXES_MAX  4
#define PERM_TRACKING_BEATS_MAX     16   /* heartbeats on their way */


typedef enum {
    PERM_TRACKING_LISTENER = 0,
    PERM_TRACKING_SOURCE
} perm_redis_pair_side_t;


struct perm_redis_tracking_s {
    perm_redis_conf_t               *conf;
    ngx_log_t                       *log;
    ngx_str_t                       *prefixes;
    ngx_uint_t                       nprefixes;
    perm_redis_tracking_handlers_t  *handlers;
    void                            *data;

    perm_redis_discovery_t          *discovery;
    struct perm_redis_pair_s        *pairs;     /* one of each master */
    ngx_uint_t                       active;    /* so are all pairs */
    unsigned                         known:1;   /* the masters are */

    perm_redis_question_t           *question;  /* of tracking_ask.c */
    unsigned                         asking:1;
    unsigned                         again:1;   /* to be asked once more */
};


typedef struct perm_redis_pair_s {
    struct perm_redis_pair_s        *next;
    perm_redis_tracking_t           *tracking;
    perm_redis_node_t                node;

    perm_redis_connection_t         *listener;  /* subscribed; or NULL */
    perm_redis_connection_t         *source;    /* tracked; or NULL */
    long long                        id;        /* the listener's, at Redis */
    ngx_uint_t                       step;      /* the command to be answered */

    ngx_event_t                      timer;     /* next try or heartbeat */
    ngx_uint_t                       failures;  /* in a row */
    ngx_uint_t                       refusals;  /* since it was active */
    uint32_t                         logged;    /* hash: why it ended */

    /* heartbeats, a PING of each side: times in ms, monotonic */
    ngx_msec_t                       sent[PERM_TRACKING_BEATS_MAX];
    ngx_uint_t                       first;     /* unanswered, in "sent" */
    ngx_uint_t                       beats;     /* unanswered, by a side */
    ngx_uint_t                       pings[2];  /* ... by this one */
    ngx_msec_t                       heard;     /* both answered the last one */

    size_t                           address_len;   /* 0: not known */
    u_char                           address[NGX_SOCKADDR_STRLEN];
                                                /* of the server that was
                                                   tracked last */

    ngx_uint_t                       questions; /* unanswered, and the PINGs */
    ngx_uint_t                       settling;  /* behind them */

    unsigned                         active:1;
    unsigned                         ping_logged:1;
} perm_redis_pair_t;


/*
 * Starts, and begins anew after every loss; the node is copied.  No handler is
 * called from here.  Returns NULL when memory is out.
 */
perm_redis_pair_t *perm_redis_tracking_pair_create(
    perm_redis_tracking_t *tracking, perm_redis_node_t *node);

/*
 * The caller takes it out of the list.  No handler is called from here or
 * after it; not to be called from one.
 */
void perm_redis_tracking_pair_destroy(perm_redis_pair_t *pair);

/* "active" of a pair changed */
void perm_redis_tracking_update(perm_redis_tracking_t *tracking);

/* "heard" of a pair changed */
void perm_redis_tracking_heard(perm_redis_tracking_t *tracking);


#endif /* _PERM_REDIS_TRACKING_PRIV_H_INCLUDED_ */
