
#include "redis/tracking.h"

#include "redis/discovery.h"
#include "redis/tracker.h"
#include "redis/witness.h"


#define PERM_TRACKING_POLL  1000   /* ms between questions for witnesses */
#define PERM_TRACKING_MAX   128    /* servers: witnesses beyond do without */


typedef struct {
    ngx_queue_t                      queue;
    perm_redis_tracker_t            *tracker;
    unsigned                         master:1;  /* found to be one just now */
    unsigned                         known:1;   /* to the cluster, likewise */
} perm_redis_tracked_t;


struct perm_redis_tracking_s {
    perm_redis_tracker_conf_t        conf;      /* of the trackers */
    ngx_queue_t                      trackers;  /* perm_redis_tracked_t */
    ngx_uint_t                       ntrackers;
    ngx_uint_t                       active;
    ngx_uint_t                       masters;   /* 0: none found yet */
    ngx_event_t                      timer;     /* of a cluster: witnesses */

    perm_redis_tracking_handlers_t  *handlers;
    void                            *data;
};


static void perm_redis_tracking_changed(void *data, ngx_str_t *key);
static void perm_redis_tracking_active(void *data, ngx_uint_t active);
static void perm_redis_tracking_lag(void *data, ngx_msec_t msec);
static void perm_redis_tracking_gained(void *data);
static void perm_redis_tracking_refused(void *data);
static void perm_redis_tracking_hung(void *data);
static void perm_redis_tracking_found(void *data);
static void perm_redis_tracking_lost(void *data, ngx_str_t *reason);


static perm_redis_tracking_handlers_t  perm_redis_tracking_handlers = {
    perm_redis_tracking_changed,
    perm_redis_tracking_active,
    perm_redis_tracking_lag,
    NULL,                              /* moved: not of a single master */
    perm_redis_tracking_gained,
    perm_redis_tracking_refused,
    perm_redis_tracking_hung
};


static perm_redis_discovery_handlers_t  perm_redis_tracking_nodes_handlers = {
    perm_redis_tracking_found,
    NULL,
    perm_redis_tracking_lost
};


static void
perm_redis_tracking_changed(void *data, ngx_str_t *key)
{
    perm_redis_tracking_t *tracking = data;

    tracking->handlers->changed(tracking->data, key);
}


static void
perm_redis_tracking_lag(void *data, ngx_msec_t msec)
{
    perm_redis_tracking_t *tracking = data;

    tracking->handlers->lag(tracking->data, msec);
}


static void
perm_redis_tracking_gained(void *data)
{
    perm_redis_tracking_t *tracking = data;

    tracking->handlers->witness(tracking->data);
}


static void
perm_redis_tracking_refused(void *data)
{
    perm_redis_tracking_t *tracking = data;

    tracking->handlers->refused(tracking->data);
}


static void
perm_redis_tracking_hung(void *data)
{
    perm_redis_tracking_t *tracking = data;

    tracking->handlers->hung(tracking->data);
}


/* active is the whole when every master is */

static void
perm_redis_tracking_active(void *data, ngx_uint_t active)
{
    perm_redis_tracking_t *tracking = data;

    ngx_queue_t           *q;
    perm_redis_tracked_t  *tracked;

    active = (tracking->masters != 0);

    for (q = ngx_queue_head(&tracking->trackers);
         q != ngx_queue_sentinel(&tracking->trackers);
         q = ngx_queue_next(q))
    {
        tracked = ngx_queue_data(q, perm_redis_tracked_t, queue);

        if (!tracked->tracker->witness && !tracked->tracker->active) {
            active = 0;
            break;
        }
    }

    if (active != tracking->active) {
        tracking->active = active;
        tracking->handlers->active(tracking->data, active);
    }
}


static perm_redis_tracked_t *
perm_redis_tracking_find(perm_redis_tracking_t *tracking,
    perm_redis_node_t *node)
{
    ngx_queue_t           *q;
    perm_redis_tracked_t  *tracked;

    for (q = ngx_queue_head(&tracking->trackers);
         q != ngx_queue_sentinel(&tracking->trackers);
         q = ngx_queue_next(q))
    {
        tracked = ngx_queue_data(q, perm_redis_tracked_t, queue);

        if (perm_redis_discovery_node_equal(&tracked->tracker->node, node)) {
            return tracked;
        }
    }

    return NULL;
}


/* as a witness, until it is found to be a master */

static perm_redis_tracked_t *
perm_redis_tracking_add(perm_redis_tracking_t *tracking,
    perm_redis_node_t *node)
{
    perm_redis_tracked_t  *tracked;

    tracked = ngx_calloc(sizeof(perm_redis_tracked_t), tracking->conf.log);
    if (tracked == NULL) {
        return NULL;
    }

    tracked->tracker = perm_redis_tracker_create(&tracking->conf, node);
    if (tracked->tracker == NULL) {
        ngx_free(tracked);
        return NULL;
    }

    tracked->tracker->witness = 1;

    ngx_queue_insert_tail(&tracking->trackers, &tracked->queue);
    tracking->ntrackers++;

    return tracked;
}


static void
perm_redis_tracking_remove(perm_redis_tracking_t *tracking,
    perm_redis_tracked_t *tracked)
{
    ngx_queue_remove(&tracked->queue);
    tracking->ntrackers--;

    perm_redis_tracker_destroy(tracked->tracker);
    ngx_free(tracked);
}


/*
 * Settles who is a master and who a witness, and lets go who is neither.
 * Returns 1 when the masters are others than they were.
 */

static ngx_uint_t
perm_redis_tracking_settle(perm_redis_tracking_t *tracking)
{
    ngx_uint_t             moved;
    ngx_queue_t           *q, *next;
    perm_redis_tracked_t  *tracked;

    moved = 0;

    for (q = ngx_queue_head(&tracking->trackers);
         q != ngx_queue_sentinel(&tracking->trackers);
         q = next)
    {
        next = ngx_queue_next(q);
        tracked = ngx_queue_data(q, perm_redis_tracked_t, queue);

        if (tracked->tracker->witness == tracked->master) {
            tracked->tracker->witness = !tracked->master;
            moved = 1;
        }

        if (!tracked->master && !tracked->known) {
            perm_redis_tracking_remove(tracking, tracked);
        }
    }

    return moved;
}


static void
perm_redis_tracking_found(void *data)
{
    perm_redis_tracking_t *tracking = data;

    ngx_uint_t             i, n, first;
    ngx_queue_t           *q;
    perm_redis_node_t     *list;
    perm_redis_tracked_t  *tracked;

    for (q = ngx_queue_head(&tracking->trackers);
         q != ngx_queue_sentinel(&tracking->trackers);
         q = ngx_queue_next(q))
    {
        tracked = ngx_queue_data(q, perm_redis_tracked_t, queue);
        tracked->master = 0;
    }

    first = (tracking->masters == 0);
    n = perm_redis_discovery_list(tracking->conf.nodes, &list);
    tracking->masters = n;

    for (i = 0; i < n; i++) {
        tracked = perm_redis_tracking_find(tracking, &list[i]);

        if (tracked == NULL) {
            tracked = perm_redis_tracking_add(tracking, &list[i]);
        }

        if (tracked == NULL) {

            /* memory is out: not active without this one */

            tracking->masters = 0;
            perm_redis_discovery_refresh(tracking->conf.nodes);
            break;
        }

        tracked->master = 1;
    }

    if (perm_redis_tracking_settle(tracking) && !first) {
        tracking->handlers->moved(tracking->data);
    }

    perm_redis_tracking_active(tracking, 0);
}


/* under the name that it is known by already, if it is */

static void
perm_redis_tracking_witness(void *data, perm_redis_node_t *address,
    perm_redis_node_t *host)
{
    perm_redis_tracking_t *tracking = data;

    perm_redis_tracked_t  *tracked;

    tracked = perm_redis_tracking_find(tracking, address);

    if (tracked == NULL && host->name.len) {
        tracked = perm_redis_tracking_find(tracking, host);
    }

    if (tracked == NULL && tracking->ntrackers < PERM_TRACKING_MAX) {
        tracked = perm_redis_tracking_add(tracking, address);
    }

    if (tracked != NULL) {
        tracked->known = 1;
    }
}


/* no right to ask is no harm: there are only no witnesses then */

static void
perm_redis_tracking_witnesses(void *data, redisReply *reply)
{
    perm_redis_tracking_t *tracking = data;

    ngx_queue_t           *q;
    perm_redis_tracked_t  *tracked;

    if (reply == NULL || reply->type != REDIS_REPLY_STRING) {
        return;
    }

    for (q = ngx_queue_head(&tracking->trackers);
         q != ngx_queue_sentinel(&tracking->trackers);
         q = ngx_queue_next(q))
    {
        tracked = ngx_queue_data(q, perm_redis_tracked_t, queue);
        tracked->known = 0;
    }

    perm_redis_witnesses(reply, perm_redis_tracking_witness, tracking);

    (void) perm_redis_tracking_settle(tracking);
}


static void
perm_redis_tracking_timer(ngx_event_t *ev)
{
    perm_redis_tracking_t *tracking = ev->data;

    ngx_queue_t           *q;
    perm_redis_tracked_t  *tracked;

    static ngx_str_t  question[] = {
        ngx_string("CLUSTER"),
        ngx_string("NODES")
    };

    ngx_add_timer(&tracking->timer, PERM_TRACKING_POLL);

    for (q = ngx_queue_head(&tracking->trackers);
         q != ngx_queue_sentinel(&tracking->trackers);
         q = ngx_queue_next(q))
    {
        tracked = ngx_queue_data(q, perm_redis_tracked_t, queue);

        if (!tracked->tracker->witness
            && tracked->tracker->active
            && perm_redis_connection_send(tracked->tracker->source, 2,
                                          question,
                                          perm_redis_tracking_witnesses,
                                          tracking)
               != NULL)
        {
            return;
        }
    }
}


/* the masters that were known go on being tracked as long as they answer */

static void
perm_redis_tracking_lost(void *data, ngx_str_t *reason)
{
}


perm_redis_tracking_t *
perm_redis_tracking_start(perm_redis_conf_t *conf, ngx_log_t *log,
    ngx_str_t *prefixes, ngx_uint_t nprefixes,
    perm_redis_tracking_handlers_t *handlers, void *data)
{
    perm_redis_tracking_t  *tracking;

    tracking = ngx_calloc(sizeof(perm_redis_tracking_t), log);
    if (tracking == NULL) {
        return NULL;
    }

    ngx_queue_init(&tracking->trackers);

    tracking->handlers = handlers;
    tracking->data = data;

    tracking->conf.conf = conf;
    tracking->conf.log = log;
    tracking->conf.prefixes = prefixes;
    tracking->conf.nprefixes = ngx_min(nprefixes, PERM_TRACKING_PREFIXES_MAX);
    tracking->conf.handlers = &perm_redis_tracking_handlers;
    tracking->conf.data = tracking;

    tracking->conf.nodes = perm_redis_discovery_start(conf, log,
                                          &perm_redis_tracking_nodes_handlers,
                                          tracking);
    if (tracking->conf.nodes == NULL) {
        ngx_free(tracking);
        return NULL;
    }

    tracking->timer.handler = perm_redis_tracking_timer;
    tracking->timer.data = tracking;
    tracking->timer.log = log;
    tracking->timer.cancelable = 1;

    if (conf->url->kind == PERM_REDIS_CLUSTER) {
        ngx_add_timer(&tracking->timer, PERM_TRACKING_POLL);
    }

    return tracking;
}


void
perm_redis_tracking_stop(perm_redis_tracking_t *tracking)
{
    ngx_queue_t  *q;

    if (tracking->timer.timer_set) {
        ngx_del_timer(&tracking->timer);
    }

    while (!ngx_queue_empty(&tracking->trackers)) {
        q = ngx_queue_head(&tracking->trackers);
        perm_redis_tracking_remove(tracking,
                                   ngx_queue_data(q, perm_redis_tracked_t,
                                                  queue));
    }

    perm_redis_discovery_stop(tracking->conf.nodes);
    ngx_free(tracking);
}
