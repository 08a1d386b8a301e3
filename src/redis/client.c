
#include "redis/client_priv.h"

#include "core/grant_key.h"


static void perm_redis_client_changed(void *data,
    perm_redis_endpoint_t *endpoint, ngx_str_t *reason);
static void perm_redis_client_found(void *data);
static void perm_redis_client_same(void *data);
static void perm_redis_client_lost(void *data, ngx_str_t *reason);


static perm_redis_endpoint_handlers_t  perm_redis_client_link_handlers = {
    perm_redis_client_report_accept,
    perm_redis_client_changed
};


static perm_redis_discovery_handlers_t  perm_redis_client_nodes_handlers = {
    perm_redis_client_found,
    perm_redis_client_same,
    perm_redis_client_lost
};


static void
perm_redis_client_set_state(perm_redis_client_t *redis,
    perm_redis_client_state_t state)
{
    ngx_uint_t  reported;

    /* after a failure nothing waits for an attempt */

    if (state == PERM_REDIS_CONNECTING && redis->state == PERM_REDIS_DOWN) {
        return;
    }

    redis->state = state;

    if (state == PERM_REDIS_CONNECTING) {
        return;
    }

    reported = (state == PERM_REDIS_UP) ? 2 : 1;

    if (redis->reported != reported) {
        redis->reported = reported;

        if (redis->handler != NULL) {
            redis->handler(redis->data, state == PERM_REDIS_UP);
        }
    }
}


/* is it among the masters known now? */

static ngx_uint_t
perm_redis_client_known(perm_redis_client_t *redis,
    perm_redis_endpoint_t *endpoint)
{
    ngx_uint_t          i, n;
    perm_redis_node_t  *list;

    n = perm_redis_discovery_list(redis->nodes, &list);

    for (i = 0; i < n; i++) {
        if (perm_redis_discovery_node_equal(&list[i], &endpoint->node)) {
            return 1;
        }
    }

    return 0;
}


static void
perm_redis_client_forget(perm_redis_endpoint_t *endpoint)
{
    ngx_queue_remove(&endpoint->queue);
    perm_redis_endpoint_destroy(endpoint);
}


static void
perm_redis_client_changed(void *data, perm_redis_endpoint_t *endpoint,
    ngx_str_t *reason)
{
    perm_redis_client_t       *redis = data;
    ngx_uint_t                 known;
    perm_redis_client_state_t  state;

    if (endpoint->state == PERM_REDIS_ENDPOINT_RETIRED) {
        perm_redis_client_forget(endpoint);
        return;
    }

    /* ASK or an old map may have led to a node that is no master */

    known = !redis->cluster || perm_redis_client_known(redis, endpoint);

    if (reason != NULL) {

        /* a link that ended as soon as it was up is no news */

        if (endpoint->failures <= 1) {
            perm_redis_client_report_forget(&endpoint->logged);
        }

        perm_redis_client_report_endpoint(redis, endpoint, known, reason);
        perm_redis_discovery_refresh(redis->nodes);
    }

    if (redis->cluster) {
        if (endpoint->state == PERM_REDIS_ENDPOINT_DOWN && !known) {
            perm_redis_client_forget(endpoint);
        }

        return;
    }

    switch (endpoint->state) {

    case PERM_REDIS_ENDPOINT_UP:
        perm_redis_client_report_role(redis, endpoint);
        state = PERM_REDIS_UP;
        break;

    case PERM_REDIS_ENDPOINT_DOWN:
        state = PERM_REDIS_DOWN;
        break;

    default:
        state = PERM_REDIS_CONNECTING;
        break;
    }

    perm_redis_client_set_state(redis, state);
}


perm_redis_endpoint_t *
perm_redis_client_endpoint(perm_redis_client_t *redis, perm_redis_node_t *node)
{
    ngx_queue_t            *q;
    perm_redis_endpoint_t  *endpoint;

    for (q = ngx_queue_head(&redis->endpoints);
         q != ngx_queue_sentinel(&redis->endpoints);
         q = ngx_queue_next(q))
    {
        endpoint = ngx_queue_data(q, perm_redis_endpoint_t, queue);

        if (endpoint->state != PERM_REDIS_ENDPOINT_RETIRED
            && perm_redis_discovery_node_equal(&endpoint->node, node))
        {
            return endpoint;
        }
    }

    endpoint = perm_redis_endpoint_create(redis->conf, node, redis->log,
                                          &perm_redis_client_link_handlers,
                                          redis);

    if (endpoint != NULL) {
        ngx_queue_insert_tail(&redis->endpoints, &endpoint->queue);
    }

    return endpoint;
}


/* NGX_ERROR: the caller still owns the command */

static ngx_int_t
perm_redis_client_route(perm_redis_client_t *redis,
    perm_redis_command_t *command)
{
    perm_redis_endpoint_t  *endpoint;
    perm_redis_node_t      *node;

    if (!redis->cluster) {
        endpoint = redis->endpoint;

    } else {
        node = perm_redis_discovery_slot(redis->nodes, command->slot);

        if (node == NULL) {
            perm_redis_discovery_refresh(redis->nodes);
            return NGX_ERROR;
        }

        endpoint = perm_redis_client_endpoint(redis, node);
    }

    return endpoint != NULL ? perm_redis_endpoint_send(endpoint,
                                                       command) : NGX_ERROR;
}


static void
perm_redis_client_retire(perm_redis_client_t *redis)
{
    ngx_queue_t            *q;
    perm_redis_endpoint_t  *endpoint;

    for (q = ngx_queue_head(&redis->endpoints);
         q != ngx_queue_sentinel(&redis->endpoints);
         q = ngx_queue_next(q))
    {
        endpoint = ngx_queue_data(q, perm_redis_endpoint_t, queue);

        if (perm_redis_client_known(redis, endpoint)) {
            continue;
        }

        if (endpoint == redis->endpoint) {
            redis->endpoint = NULL;
        }

        perm_redis_endpoint_retire(endpoint, "the server is a master no more");
    }
}


static void
perm_redis_client_found(void *data)
{
    perm_redis_client_t  *redis = data;
    perm_redis_node_t    *list;

    perm_redis_client_retire(redis);

    if (!redis->cluster) {
        (void) perm_redis_discovery_list(redis->nodes, &list);

        redis->endpoint = perm_redis_client_endpoint(redis, &list[0]);

        if (redis->endpoint == NULL) {
            perm_redis_parked_fail(&redis->parked);
            return;
        }

        perm_redis_endpoint_open(redis->endpoint);

        if (redis->endpoint->state == PERM_REDIS_ENDPOINT_CONNECTING) {
            perm_redis_client_set_state(redis, PERM_REDIS_CONNECTING);
        }
    }

    perm_redis_client_report_forget(&redis->logged);
    perm_redis_client_report_forget(&redis->strays);
    perm_redis_client_same(redis);

    if (redis->cluster) {
        perm_redis_client_set_state(redis, PERM_REDIS_UP);
    }
}


/* what waits to be told where to go */

static void
perm_redis_client_same(void *data)
{
    perm_redis_client_t   *redis = data;
    perm_redis_command_t  *command;

    while ((command = perm_redis_parked_take(&redis->parked)) != NULL) {

        if (perm_redis_client_route(redis, command) != NGX_OK) {
            perm_redis_command_finish(command, NULL);
        }
    }
}


static void
perm_redis_client_lost(void *data, ngx_str_t *reason)
{
    perm_redis_client_t  *redis = data;

    perm_redis_client_report_search(redis, reason);

    perm_redis_parked_fail(&redis->parked);

    /* the master that was found serves on */

    if (redis->endpoint == NULL) {
        perm_redis_client_set_state(redis, PERM_REDIS_DOWN);
    }
}


perm_redis_client_t *
perm_redis_client_create(perm_redis_conf_t *conf, ngx_log_t *log,
    perm_redis_stat_t *stat, perm_redis_client_state_pt handler, void *data)
{
    perm_redis_client_t  *redis;

    redis = ngx_calloc(sizeof(perm_redis_client_t), log);
    if (redis == NULL) {
        return NULL;
    }

    redis->conf = conf;
    redis->log = log;
    redis->meter.stat = stat;
    redis->meter.data = data;
    redis->handler = handler;
    redis->data = data;
    redis->cluster = (conf->url->kind == PERM_REDIS_CLUSTER);

    ngx_queue_init(&redis->endpoints);
    perm_redis_parked_init(&redis->parked, log);

    redis->nodes = perm_redis_discovery_start(conf, log,
                                              &perm_redis_client_nodes_handlers,
                                              redis);
    if (redis->nodes == NULL) {
        ngx_free(redis);
        return NULL;
    }

    return redis;
}


void
perm_redis_client_destroy(perm_redis_client_t *redis)
{
    ngx_queue_t  *q;

    while (!ngx_queue_empty(&redis->endpoints)) {
        q = ngx_queue_head(&redis->endpoints);
        perm_redis_client_forget(ngx_queue_data(q, perm_redis_endpoint_t,
                                                queue));
    }

    perm_redis_discovery_stop(redis->nodes);
    perm_redis_parked_done(&redis->parked);

    ngx_free(redis);
}


perm_redis_client_state_t
perm_redis_client_state(perm_redis_client_t *redis)
{
    return redis->state;
}


void
perm_redis_client_set_timing(perm_redis_client_t *redis,
    perm_redis_timing_pt handler)
{
    redis->meter.timing = handler;
}


perm_redis_command_t *
perm_redis_client_send(perm_redis_client_t *redis, ngx_str_t *key,
    ngx_uint_t argc, ngx_str_t *argv, perm_redis_reply_pt handler, void *data)
{
    perm_str_t             name;
    perm_redis_command_t  *command;

    if (redis->state == PERM_REDIS_DOWN) {
        return NULL;
    }

    command = perm_redis_command_create(argc, argv, redis->conf->timeout,
                                        handler, data);
    if (command == NULL) {
        return NULL;
    }

    perm_redis_command_meter(command, &redis->meter);

    command->intercept = perm_redis_client_redirect;
    command->owner = redis;

    if (redis->cluster) {
        name.data = (const char *) key->data;
        name.len = key->len;
        command->slot = perm_grant_key_slot(name);
    }

    if (redis->state == PERM_REDIS_CONNECTING
        && (redis->cluster || redis->endpoint == NULL))
    {
        perm_redis_parked_add(&redis->parked, command);
        return command;
    }

    if (perm_redis_client_route(redis, command) != NGX_OK) {
        perm_redis_command_free(command);
        return NULL;
    }

    return command;
}


ngx_uint_t
perm_redis_client_tracked(perm_redis_client_t *redis)
{
    return !redis->cluster
           || perm_redis_client_known(redis, redis->answering);
}


void
perm_redis_client_drop(perm_redis_client_t *redis)
{
    ngx_queue_t            *q;
    perm_redis_endpoint_t  *endpoint;

    if (redis->answering != NULL) {
        perm_redis_endpoint_drop(redis->answering,
                                 "the server gave an unexpected answer");
        goto done;
    }

    for (q = ngx_queue_head(&redis->endpoints);
         q != ngx_queue_sentinel(&redis->endpoints);
         q = ngx_queue_next(q))
    {
        endpoint = ngx_queue_data(q, perm_redis_endpoint_t, queue);

        if (redis->cluster) {
            perm_redis_endpoint_probe(endpoint, "the server does not answer");

        } else {
            perm_redis_endpoint_drop(endpoint, "the server does not answer");
        }
    }

done:

    /* "changed" tells the others */

    if (!redis->cluster && redis->endpoint != NULL) {
        redis->state = PERM_REDIS_DOWN;
    }
}
