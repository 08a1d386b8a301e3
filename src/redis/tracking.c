
#include "redis/tracking_priv.h"


static void perm_redis_tracking_found(void *data);


static perm_redis_discovery_handlers_t  perm_redis_tracking_discovery_handlers
    = {
    perm_redis_tracking_found,
    NULL,
    NULL      /* masters are tracked as long as they answer */
};


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

    tracking->conf = conf;
    tracking->log = log;
    tracking->prefixes = prefixes;
    tracking->nprefixes = ngx_min(nprefixes, PERM_TRACKING_PREFIXES_MAX);
    tracking->handlers = handlers;
    tracking->data = data;

    tracking->discovery =
        perm_redis_discovery_start(conf, log,
                                   &perm_redis_tracking_discovery_handlers,
                                   tracking);
    if (tracking->discovery == NULL) {
        ngx_free(tracking);
        return NULL;
    }

    return tracking;
}


void
perm_redis_tracking_stop(perm_redis_tracking_t *tracking)
{
    perm_redis_pair_t  *pair;

    while ((pair = tracking->pairs) != NULL) {
        tracking->pairs = pair->next;
        perm_redis_tracking_pair_destroy(pair);
    }

    perm_redis_discovery_stop(tracking->discovery);
    ngx_free(tracking);
}


static void
perm_redis_tracking_found(void *data)
{
    perm_redis_tracking_t *tracking = data;

    ngx_uint_t           i, n, first, moved;
    perm_redis_node_t   *masters;
    perm_redis_pair_t  **p, *pair;

    first = !tracking->known;
    moved = 0;

    tracking->known = 1;

    for (p = &tracking->pairs; (pair = *p) != NULL; /* void */ ) {

        if (perm_redis_discovery_is_master(tracking->discovery, &pair->node,
                                           0))
        {
            p = &pair->next;

        } else {
            *p = pair->next;
            perm_redis_tracking_pair_destroy(pair);
            tracking->asking = 0;
            moved = 1;
        }
    }

    n = perm_redis_discovery_list(tracking->discovery, &masters);

    for (i = 0; i < n; i++) {
        pair = tracking->pairs;

        while (pair && !perm_redis_conf_node_equal(&pair->node, &masters[i])) {
            pair = pair->next;
        }

        if (pair != NULL) {
            continue;
        }

        moved = 1;

        if (perm_redis_tracking_pair_create(tracking, &masters[i]) == NULL) {

            /* memory is out: not active without this one */

            tracking->known = 0;
            perm_redis_discovery_refresh(tracking->discovery);
            break;
        }
    }

    if (moved && !first) {
        ngx_log_debug1(NGX_LOG_DEBUG_CORE, tracking->log, 0,
                       "app_permission: redis tracking: the masters moved, "
                       "%ui now", n);

        tracking->handlers->moved(tracking->data);
    }

    perm_redis_tracking_update(tracking);
}


void
perm_redis_tracking_update(perm_redis_tracking_t *tracking)
{
    ngx_uint_t          active;
    perm_redis_pair_t  *pair;

    active = tracking->known;

    for (pair = tracking->pairs; pair != NULL; pair = pair->next) {
        active = active && pair->active;
    }

    if (active == tracking->active) {
        return;
    }

    ngx_log_debug1(NGX_LOG_DEBUG_CORE, tracking->log, 0,
                   "app_permission: redis tracking: %s",
                   active ? "active" : "not active");

    tracking->active = active;
    tracking->asking = 0;
    tracking->handlers->active(tracking->data, active);
}


void
perm_redis_tracking_heard(perm_redis_tracking_t *tracking)
{
    ngx_msec_t          heard;
    perm_redis_pair_t  *pair;

    if (!tracking->active) {
        return;
    }

    heard = ngx_current_msec;

    for (pair = tracking->pairs; pair != NULL; pair = pair->next) {

        if ((ngx_msec_int_t) (heard - pair->heard) > 0) {
            heard = pair->heard;
        }
    }

    tracking->handlers->heard(tracking->data, heard);
}
