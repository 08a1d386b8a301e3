
#include "redis/tracking.h"

#include "redis/nodes.h"
#include "redis/tracker.h"


typedef struct {
    ngx_queue_t                      queue;
    perm_redis_tracker_t            *tracker;
    unsigned                         master:1;
} perm_redis_tracked_t;


struct perm_redis_tracking_s {
    perm_redis_tracker_conf_t        conf;      /* of the trackers */
    ngx_queue_t                      trackers;  /* perm_redis_tracked_t */
    ngx_uint_t                       active;

    perm_redis_tracking_handlers_t  *handlers;
    void                            *data;
};


static void perm_redis_tracking_changed(void *data, ngx_str_t *key);
static void perm_redis_tracking_active(void *data, ngx_uint_t active);
static void perm_redis_tracking_lag(void *data, ngx_msec_t msec);
static void perm_redis_tracking_refused(void *data);
static void perm_redis_tracking_hung(void *data);
static void perm_redis_tracking_found(void *data);
static void perm_redis_tracking_lost(void *data, ngx_str_t *reason);


static perm_redis_tracking_handlers_t  perm_redis_tracking_handlers = {
    perm_redis_tracking_changed,
    perm_redis_tracking_active,
    perm_redis_tracking_lag,
    perm_redis_tracking_refused,
    perm_redis_tracking_hung
};


static perm_redis_nodes_handlers_t  perm_redis_tracking_nodes_handlers = {
    perm_redis_tracking_found,
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

    active = !ngx_queue_empty(&tracking->trackers);

    for (q = ngx_queue_head(&tracking->trackers);
         q != ngx_queue_sentinel(&tracking->trackers);
         q = ngx_queue_next(q))
    {
        tracked = ngx_queue_data(q, perm_redis_tracked_t, queue);

        if (!tracked->tracker->active) {
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

        if (perm_redis_node_equal(&tracked->tracker->node, node)) {
            return tracked;
        }
    }

    return NULL;
}


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

    ngx_queue_insert_tail(&tracking->trackers, &tracked->queue);

    return tracked;
}


/* those that were not found to be masters, or all */

static void
perm_redis_tracking_remove(perm_redis_tracking_t *tracking, ngx_uint_t all)
{
    ngx_queue_t           *q, *next;
    perm_redis_tracked_t  *tracked;

    for (q = ngx_queue_head(&tracking->trackers);
         q != ngx_queue_sentinel(&tracking->trackers);
         q = next)
    {
        next = ngx_queue_next(q);
        tracked = ngx_queue_data(q, perm_redis_tracked_t, queue);

        if (!all && tracked->master) {
            tracked->master = 0;
            continue;
        }

        ngx_queue_remove(q);
        perm_redis_tracker_destroy(tracked->tracker);
        ngx_free(tracked);
    }
}


static void
perm_redis_tracking_found(void *data)
{
    perm_redis_tracking_t *tracking = data;

    ngx_uint_t             i, n;
    perm_redis_node_t     *list;
    perm_redis_tracked_t  *tracked;

    n = perm_redis_nodes_list(tracking->conf.nodes, &list);

    for (i = 0; i < n; i++) {
        tracked = perm_redis_tracking_find(tracking, &list[i]);

        if (tracked == NULL) {
            tracked = perm_redis_tracking_add(tracking, &list[i]);
        }

        if (tracked == NULL) {

            /* memory is out: not active without this one */

            perm_redis_tracking_remove(tracking, 1);
            perm_redis_nodes_refresh(tracking->conf.nodes);
            break;
        }

        tracked->master = 1;
    }

    perm_redis_tracking_remove(tracking, 0);
    perm_redis_tracking_active(tracking, 0);
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

    tracking->conf.nodes = perm_redis_nodes_start(conf, log,
                                          &perm_redis_tracking_nodes_handlers,
                                          tracking);
    if (tracking->conf.nodes == NULL) {
        ngx_free(tracking);
        return NULL;
    }

    return tracking;
}


void
perm_redis_tracking_stop(perm_redis_tracking_t *tracking)
{
    perm_redis_tracking_remove(tracking, 1);
    perm_redis_nodes_stop(tracking->conf.nodes);
    ngx_free(tracking);
}
