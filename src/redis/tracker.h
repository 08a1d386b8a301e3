
/*
 * Tracking at one master: the listener, a connection that is subscribed to
 * __redis__:invalidate, and the source, whose tracking is redirected to it.
 * Either is worth nothing without the other.
 */


#ifndef _PERM_REDIS_TRACKER_H_INCLUDED_
#define _PERM_REDIS_TRACKER_H_INCLUDED_


#include "redis/discovery.h"
#include "redis/tracking.h"


#define PERM_TRACKING_PREFIXES_MAX  4


/* what the trackers of all masters have in common */

typedef struct {
    perm_redis_conf_t               *conf;
    ngx_log_t                       *log;
    perm_redis_discovery_t          *nodes;
    ngx_str_t                       *prefixes;
    ngx_uint_t                       nprefixes;
    perm_redis_tracking_handlers_t  *handlers;  /* "active": of this master */
    void                            *data;
} perm_redis_tracker_conf_t;


typedef struct {
    perm_redis_tracker_conf_t  *conf;
    perm_redis_node_t           node;
    ngx_uint_t                  next;      /* of several addresses */

    perm_redis_connector_t     *connector;
    perm_redis_connection_t    *listener;
    perm_redis_connection_t    *source;
    long long                   id;        /* the listener's, at the server */

    ngx_event_t                 timer;     /* to the next try or heartbeat */
    ngx_uint_t                  failures;  /* in a row */
    ngx_uint_t                  odd;       /* answers, since it was active */
    ngx_msec_t                  beat;      /* ms, monotonic: sent at */
    ngx_uint_t                  beats;     /* unanswered */

    unsigned                    witness:1; /* no master: nobody misses it */
    unsigned                    active:1;
    unsigned                    refused:1; /* and the log says so */
    unsigned                    mute:1;    /* no PING, and the log says so */

    u_char                      name[1];   /* of the node */
} perm_redis_tracker_t;


/*
 * Starts, and begins anew after every loss.  "conf" has to last; the node is
 * copied.  No handler is called from here.  Returns NULL when memory is out.
 */
perm_redis_tracker_t *perm_redis_tracker_create(
    perm_redis_tracker_conf_t *conf, perm_redis_node_t *node);

/* no handler is called from here or after it; not to be called from one */
void perm_redis_tracker_destroy(perm_redis_tracker_t *tracker);


/*
 * Between the life of the pair and its handshake, which ends in one of: it is
 * active; begin anew after a back-off; begin anew after "delay" ms.
 */
void perm_redis_tracker_handshake(perm_redis_tracker_t *tracker);
void perm_redis_tracker_gain(perm_redis_tracker_t *tracker);
void perm_redis_tracker_retry(perm_redis_tracker_t *tracker);
void perm_redis_tracker_lose(perm_redis_tracker_t *tracker, ngx_msec_t delay);

/* of both connections */
void perm_redis_tracker_closed(void *data,
    perm_redis_connection_t *connection, ngx_str_t *reason);


/* reports what a message of the listener says */
void perm_redis_invalidation(redisReply *reply,
    perm_redis_tracker_conf_t *conf);


#endif /* _PERM_REDIS_TRACKER_H_INCLUDED_ */
