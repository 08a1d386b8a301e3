
#include "redis/tracker.h"

#include "redis/endpoint.h"


#define PERM_TRACKER_BEAT  1000   /* ms between heartbeats */


/* whatever there is, is gone */

static void
perm_redis_tracker_drop(perm_redis_tracker_t *tracker)
{
    if (tracker->timer.timer_set) {
        ngx_del_timer(&tracker->timer);
    }

    if (tracker->connector) {
        perm_redis_connector_cancel(tracker->connector);
        tracker->connector = NULL;
    }

    if (tracker->source) {
        perm_redis_connection_close(tracker->source);
        tracker->source = NULL;
    }

    if (tracker->listener) {
        perm_redis_connection_close(tracker->listener);
        tracker->listener = NULL;
    }

    tracker->beats = 0;
}


/* every change is reported from now on */

void
perm_redis_tracker_gain(perm_redis_tracker_t *tracker)
{
    perm_redis_tracker_conf_t  *conf;

    conf = tracker->conf;

    tracker->active = 1;
    tracker->refused = 0;
    tracker->odd = 0;

    ngx_add_timer(&tracker->timer, PERM_TRACKER_BEAT);

    if (tracker->witness) {
        conf->handlers->witness(conf->data);
        return;
    }

    conf->handlers->active(conf->data, 1);
}


/* begin anew after "delay" ms */

void
perm_redis_tracker_lose(perm_redis_tracker_t *tracker, ngx_msec_t delay)
{
    perm_redis_tracker_conf_t  *conf;

    conf = tracker->conf;

    perm_redis_tracker_drop(tracker);

    ngx_add_timer(&tracker->timer, delay);

    if (tracker->active) {
        tracker->active = 0;
        conf->handlers->active(conf->data, 0);
    }
}


void
perm_redis_tracker_retry(perm_redis_tracker_t *tracker)
{
    perm_redis_tracker_lose(tracker,
                            perm_redis_endpoint_backoff(tracker->failures++));

    if (!tracker->witness) {
        perm_redis_discovery_refresh(tracker->conf->nodes);
    }
}


/* of the listener, whose answer takes the way that the reports take */

static void
perm_redis_tracker_heard(void *data, redisReply *reply)
{
    perm_redis_tracker_t *tracker = data;

    if (reply == NULL) {
        return;
    }

    /* only now: a server that takes connections to drop them would be asked
       without a pause */

    tracker->failures = 0;

    tracker->beats--;

    if (tracker->witness) {
        return;
    }

    tracker->conf->handlers->lag(tracker->conf->data,
                                 ngx_current_msec - tracker->beat);
}


/*
 * Of the source.  That PING is not allowed is as good an answer, but each one
 * gets into the server's ACL LOG.
 */

static void
perm_redis_tracker_sounded(void *data, redisReply *reply)
{
    perm_redis_tracker_t *tracker = data;

    if (reply == NULL) {
        return;
    }

    tracker->beats--;

    if (!tracker->mute && !tracker->witness
        && perm_redis_reply_error(reply, "NOPERM"))
    {
        tracker->mute = 1;

        ngx_log_error(NGX_LOG_WARN, tracker->conf->log, 0,
                      "app_permission: Redis %s: the user has no right to "
                      "PING: it works without, but ACL LOG fills; it should "
                      "have \"+ping\"", tracker->name);
    }
}


static void
perm_redis_tracker_heartbeat(perm_redis_tracker_t *tracker)
{
    static ngx_str_t  ping = ngx_string("PING");

    ngx_add_timer(&tracker->timer, PERM_TRACKER_BEAT);

    if (tracker->beats) {

        /* the time-out of a command may be longer than a beat */

        return;
    }

    tracker->beat = ngx_current_msec;
    tracker->beats = 2;

    if (perm_redis_connection_send(tracker->listener, 1, &ping,
                                   perm_redis_tracker_heard, tracker)
        == NULL
        || perm_redis_connection_send(tracker->source, 1, &ping,
                                      perm_redis_tracker_sounded, tracker)
           == NULL)
    {
        perm_redis_tracker_retry(tracker);
    }
}


static void
perm_redis_tracker_timer(ngx_event_t *ev)
{
    perm_redis_tracker_t *tracker = ev->data;

    if (tracker->active) {
        perm_redis_tracker_heartbeat(tracker);

    } else {
        perm_redis_tracker_handshake(tracker);
    }
}


/* either of the two */

void
perm_redis_tracker_closed(void *data, perm_redis_connection_t *connection,
    ngx_str_t *reason)
{
    perm_redis_tracker_t *tracker = data;

    ngx_uint_t                  level;
    perm_redis_tracker_conf_t  *conf;

    conf = tracker->conf;

    if (connection == tracker->listener) {
        tracker->listener = NULL;

    } else {
        tracker->source = NULL;
    }

    level = (tracker->active && !tracker->witness) ? NGX_LOG_NOTICE
                                                   : NGX_LOG_INFO;

    ngx_log_error(level, conf->log, 0,
                  "app_permission: a connection for tracking to Redis %s "
                  "ended: %V", tracker->name, reason);

    if (tracker->beats
        && !tracker->witness
        && ngx_current_msec - tracker->beat >= conf->conf->timeout)
    {
        conf->handlers->hung(conf->data);
    }

    perm_redis_tracker_retry(tracker);
}


perm_redis_tracker_t *
perm_redis_tracker_create(perm_redis_tracker_conf_t *conf,
    perm_redis_node_t *node)
{
    u_char                *p;
    perm_redis_tracker_t  *tracker;

    /* two names: the one for the log, and the node's own */

    tracker = ngx_calloc(sizeof(perm_redis_tracker_t)
                         + PERM_REDIS_NODE_NAME_MAX + node->name.len + 1,
                         conf->log);
    if (tracker == NULL) {
        return NULL;
    }

    tracker->conf = conf;

    p = tracker->name;
    p += perm_redis_connector_node_name(p, node);
    *p++ = '\0';

    tracker->node = *node;
    tracker->node.name.data = p;
    ngx_memcpy(p, node->name.data, node->name.len);

    tracker->timer.handler = perm_redis_tracker_timer;
    tracker->timer.data = tracker;
    tracker->timer.log = conf->log;
    tracker->timer.cancelable = 1;

    ngx_add_timer(&tracker->timer, 1);

    return tracker;
}


void
perm_redis_tracker_destroy(perm_redis_tracker_t *tracker)
{
    perm_redis_tracker_drop(tracker);
    ngx_free(tracker);
}
