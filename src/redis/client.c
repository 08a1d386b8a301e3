
#include "redis/client_priv.h"

#include "core/grant_key.h"


#define PERM_REDIS_DRAIN_STEP  20   /* ms to wait for one server */


static void perm_redis_client_found(void *data);
static void perm_redis_client_same(void *data);
static void perm_redis_client_lost(void *data, const char *reason);
static void perm_redis_client_remove(perm_redis_client_t *redis,
    perm_redis_endpoint_t *endpoint);
static const char *perm_redis_client_accept(void *data,
    perm_redis_endpoint_t *endpoint, perm_role_t role);
static void perm_redis_client_changed(void *data,
    perm_redis_endpoint_t *endpoint, const char *reason);
static void perm_redis_client_loss(perm_redis_client_t *redis,
    perm_redis_endpoint_t *endpoint, ngx_uint_t master, const char *reason);
static ngx_uint_t perm_redis_client_failed(perm_redis_client_t *redis,
    const char *address, const char *reason);
static void perm_redis_client_set_state(perm_redis_client_t *redis,
    perm_redis_client_state_t state);
static ngx_uint_t perm_redis_client_log_once(perm_redis_logged_t *logged,
    const void *label, const char *reason);


static perm_redis_endpoint_handlers_t  perm_redis_client_endpoint_handlers = {
    perm_redis_client_accept,
    perm_redis_client_changed
};


static perm_redis_discovery_handlers_t  perm_redis_client_discovery_handlers
    = {
    perm_redis_client_found,
    perm_redis_client_same,
    perm_redis_client_lost
};


perm_redis_client_t *
perm_redis_client_create(perm_redis_conf_t *conf, ngx_log_t *log,
    perm_redis_meter_t *meter, perm_redis_client_state_pt handler, void *data)
{
    perm_redis_client_t  *redis;

    redis = ngx_calloc(sizeof(perm_redis_client_t), log);
    if (redis == NULL) {
        return NULL;
    }

    redis->conf = conf;
    redis->log = log;
    redis->meter = meter;
    redis->handler = handler;
    redis->data = data;
    redis->cluster = (conf->url->kind == PERM_REDIS_CLUSTER);

    perm_redis_parked_init(&redis->parked, log);

    redis->discovery =
        perm_redis_discovery_start(conf, log,
                                   &perm_redis_client_discovery_handlers,
                                   redis);
    if (redis->discovery == NULL) {
        ngx_free(redis);
        return NULL;
    }

    return redis;
}


void
perm_redis_client_destroy(perm_redis_client_t *redis)
{
    while (redis->endpoints != NULL) {
        perm_redis_client_remove(redis, redis->endpoints);
    }

    perm_redis_discovery_stop(redis->discovery);
    perm_redis_parked_done(&redis->parked);

    ngx_free(redis);
}


void
perm_redis_client_watch(perm_redis_client_t *redis,
    perm_redis_client_watch_t *watch, void *data)
{
    redis->watch = watch;
    redis->watch_data = data;
}


perm_redis_client_state_t
perm_redis_client_state(perm_redis_client_t *redis)
{
    return redis->state;
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

    command->meter = redis->meter;
    command->start = perm_redis_command_clock();
    command->intercept = perm_redis_client_redirect;
    command->owner = redis;

    if (redis->cluster) {
        name.data = (const char *) key->data;
        name.len = key->len;
        command->slot = perm_grant_key_slot(name);
    }

    if (redis->state == PERM_REDIS_CONNECTING && redis->endpoint == NULL) {
        perm_redis_parked_add(&redis->parked, command);
        return command;
    }

    if (perm_redis_client_route(redis, command, 0) != NGX_OK) {
        free(command);
        return NULL;
    }

    return command;
}


ngx_uint_t
perm_redis_client_server(perm_redis_client_t *redis, ngx_str_t *key)
{
    perm_str_t              name;
    perm_redis_node_t      *node;
    perm_redis_endpoint_t  *endpoint;

    endpoint = redis->endpoint;

    if (redis->cluster) {
        name.data = (const char *) key->data;
        name.len = key->len;
        node = perm_redis_discovery_slot(redis->discovery,
                                         perm_grant_key_slot(name));

        endpoint = node ? perm_redis_client_endpoint(redis, node) : NULL;
    }

    return endpoint ? endpoint->number : 0;
}


ngx_uint_t
perm_redis_client_tracked(perm_redis_client_t *redis)
{
    if (perm_redis_client_replica(redis)) {
        return 0;
    }

    return !redis->cluster
           || perm_redis_discovery_is_master(redis->discovery,
                                             &redis->answering->node,
                                             PERM_REDIS_DISCOVERY_SETTLED);
}


ngx_uint_t
perm_redis_client_replica(perm_redis_client_t *redis)
{
    return perm_redis_endpoint_replica(redis->answering);
}


const char *
perm_redis_client_address(perm_redis_client_t *redis)
{
    return (const char *) redis->answering->node.label;
}


void
perm_redis_client_drop(perm_redis_client_t *redis)
{
    perm_redis_endpoint_t  *endpoint;

    if (redis->answering != NULL) {
        perm_redis_endpoint_drop(redis->answering,
                                 "the server gave an unexpected answer");
        goto done;
    }

    /* a connection that was made since then is as good as any */

    for (endpoint = redis->endpoints; endpoint; endpoint = endpoint->next) {
        perm_redis_endpoint_probe(endpoint, "the server does not answer");
    }

done:

    /* the handler is called when the endpoint reports it */

    if (redis->endpoint != NULL
        && redis->endpoint->state == PERM_REDIS_ENDPOINT_DOWN)
    {
        redis->state = PERM_REDIS_DOWN;
    }
}


perm_redis_endpoint_t *
perm_redis_client_endpoint(perm_redis_client_t *redis, perm_redis_node_t *node)
{
    perm_redis_endpoint_t  *endpoint;

    for (endpoint = redis->endpoints; endpoint; endpoint = endpoint->next) {

        if (endpoint->state != PERM_REDIS_ENDPOINT_RETIRED
            && perm_redis_conf_node_equal(&endpoint->node, node))
        {
            return endpoint;
        }
    }

    endpoint = perm_redis_endpoint_create(redis->conf, node, redis->log,
                                          &perm_redis_client_endpoint_handlers,
                                          redis);

    if (endpoint != NULL) {
        endpoint->next = redis->endpoints;
        redis->endpoints = endpoint;
    }

    return endpoint;
}


ngx_int_t
perm_redis_client_route(perm_redis_client_t *redis,
    perm_redis_command_t *command, ngx_uint_t except)
{
    perm_redis_node_t      *node;
    perm_redis_endpoint_t  *endpoint;

    endpoint = redis->endpoint;

    if (redis->cluster) {
        node = perm_redis_discovery_slot(redis->discovery, command->slot);

        if (node == NULL) {
            perm_redis_discovery_refresh(redis->discovery);
            return NGX_ERROR;
        }

        endpoint = perm_redis_client_endpoint(redis, node);
    }

    if (endpoint == NULL || endpoint->number == except) {
        return NGX_ERROR;
    }

    return perm_redis_endpoint_send(endpoint, command);
}


static void
perm_redis_client_found(void *data)
{
    perm_redis_client_t    *redis = data;
    perm_redis_node_t      *master;
    perm_redis_endpoint_t  *endpoint, *next;

    /* former masters, and other nodes that ASK led to, retire */

    for (endpoint = redis->endpoints; endpoint; endpoint = next) {
        next = endpoint->next;

        if (perm_redis_discovery_is_master(redis->discovery, &endpoint->node,
                                           0))
        {
            continue;
        }

        if (endpoint == redis->endpoint) {
            redis->endpoint = NULL;
        }

        if (perm_redis_endpoint_retire(endpoint,
                                       "the server is a master no more")
            == NGX_OK)
        {
            perm_redis_client_remove(redis, endpoint);
        }
    }

    if (!redis->cluster) {
        master = perm_redis_discovery_slot(redis->discovery, 0);
        redis->endpoint = perm_redis_client_endpoint(redis, master);

        if (redis->endpoint == NULL) {
            perm_redis_parked_fail(&redis->parked);
            return;
        }

        if (redis->endpoint->state == PERM_REDIS_ENDPOINT_CONNECTING) {
            perm_redis_client_set_state(redis, PERM_REDIS_CONNECTING);
        }
    }

    ngx_memzero(&redis->logged, sizeof(perm_redis_logged_t));
    ngx_memzero(&redis->strays, sizeof(perm_redis_logged_t));

    perm_redis_client_same(redis);

    if (redis->cluster) {
        perm_redis_client_set_state(redis, PERM_REDIS_UP);
    }
}


static void
perm_redis_client_remove(perm_redis_client_t *redis,
    perm_redis_endpoint_t *endpoint)
{
    perm_redis_endpoint_t  **p;

    for (p = &redis->endpoints; *p != endpoint; p = &(*p)->next) { /* void */ }

    *p = endpoint->next;
    perm_redis_endpoint_destroy(endpoint);
}


static void
perm_redis_client_same(void *data)
{
    perm_redis_client_t   *redis = data;
    perm_redis_command_t  *command;

    while ((command = perm_redis_parked_take(&redis->parked)) != NULL) {

        if (perm_redis_client_route(redis, command, 0) != NGX_OK) {
            perm_redis_command_finish(command, NULL);
        }
    }
}


static void
perm_redis_client_lost(void *data, const char *reason)
{
    perm_redis_client_t  *redis = data;

    ngx_uint_t  anew;

    anew = perm_redis_client_log_once(&redis->logged, "", reason);

    if (perm_redis_client_failed(redis,
                                 redis->cluster ? "the nodes of the cluster"
                                                : "the Sentinels",
                                 reason)
        && anew)
    {
        ngx_log_error(NGX_LOG_ERR, redis->log, 0,
                      "app_permission: no %s helps; the last one, %s",
                      redis->cluster ? "node of the cluster" : "Sentinel",
                      reason);
    }

    perm_redis_parked_fail(&redis->parked);

    /* the master known before serves on */

    if (redis->endpoint == NULL) {
        perm_redis_client_set_state(redis, PERM_REDIS_DOWN);
    }
}


/* a single server may be used although it is no master */

static const char *
perm_redis_client_accept(void *data, perm_redis_endpoint_t *endpoint,
    perm_role_t role)
{
    perm_redis_client_t  *redis = data;
    ngx_uint_t            refused;

    refused = !perm_redis_discovery_accept(redis->discovery, role);

    if (!refused && (role != PERM_ROLE_UNKNOWN || redis->role_logged)) {
        return NULL;
    }

    switch (role) {

    case PERM_ROLE_SENTINEL:
        return "this is a Sentinel, whose URL begins with "
               "\"redis+sentinel://\"";

    case PERM_ROLE_REPLICA:
        return "the server says that it is a replica, which is not trusted";

    default: /* PERM_ROLE_UNKNOWN */

        if (refused) {
            return "the server does not say that it is a master: its user "
                   "needs the right to ROLE";
        }

        ngx_log_error(NGX_LOG_NOTICE, redis->log, 0,
                      "app_permission: Redis %s does not say whether it is "
                      "a master: its user has no right to ROLE",
                      endpoint->node.label);
    }

    redis->role_logged = 1;

    return NULL;
}


static void
perm_redis_client_changed(void *data, perm_redis_endpoint_t *endpoint,
    const char *reason)
{
    perm_redis_client_t  *redis = data;
    ngx_uint_t            master;

    static const perm_redis_client_state_t  states[] = {
        PERM_REDIS_CONNECTING,   /* PERM_REDIS_ENDPOINT_CONNECTING */
        PERM_REDIS_UP,
        PERM_REDIS_DOWN
    };

    if (reason != NULL && endpoint->opened) {

        if (redis->watch != NULL && redis->watch->ended != NULL) {
            redis->watch->ended(redis->watch_data, endpoint->opened);
        }

        endpoint->opened = 0;
    }

    if (endpoint->state == PERM_REDIS_ENDPOINT_RETIRED) {
        perm_redis_client_remove(redis, endpoint);
        return;
    }

    /* ASK or an old map may have led to a node that is no master */

    master = !redis->cluster
             || perm_redis_discovery_is_master(redis->discovery,
                                               &endpoint->node, 0);

    if (reason != NULL) {
        perm_redis_client_loss(redis, endpoint, master, reason);

    } else if (endpoint->state == PERM_REDIS_ENDPOINT_UP
               && redis->watch != NULL && redis->watch->up != NULL)
    {
        redis->watch->up(redis->watch_data, (char *) endpoint->node.label,
                         perm_redis_endpoint_replica(endpoint));
    }

    if (redis->cluster) {
        if (endpoint->state == PERM_REDIS_ENDPOINT_DOWN && !master) {
            perm_redis_client_remove(redis, endpoint);
        }

        return;
    }

    perm_redis_client_set_state(redis, states[endpoint->state]);
}


static void
perm_redis_client_loss(perm_redis_client_t *redis,
    perm_redis_endpoint_t *endpoint, ngx_uint_t master, const char *reason)
{
    u_char               *label;
    ngx_uint_t            anew;
    perm_redis_logged_t  *logged;

    label = endpoint->node.label;

    switch (endpoint->loss) {

    case PERM_REDIS_LOSS_MOVED:
        ngx_log_error(NGX_LOG_NOTICE, redis->log, 0,
                      "app_permission: Redis %s: %s; connecting anew", label,
                      reason);

        if (redis->watch != NULL && redis->watch->moved != NULL) {
            redis->watch->moved(redis->watch_data);
        }

        break;

    case PERM_REDIS_LOSS_IDLE:

        /* as a server with a "timeout" does; no error, unless it goes on */

        ngx_log_error(NGX_LOG_INFO, redis->log, 0,
                      "app_permission: Redis %s: the idle connection ended: "
                      "%s", label, reason);
        break;

    default: /* PERM_REDIS_LOSS_ERROR */

        /* again, unless the connection ended as soon as it was up */

        if (endpoint->failures <= 1) {
            ngx_memzero(&endpoint->logged, sizeof(perm_redis_logged_t));
        }

        /*
         * Each endpoint knows what was logged of it: many that are down would
         * push each other out.  The endpoint of a node that is no master does
         * not outlive an attempt.
         */

        logged = master ? &endpoint->logged : &redis->strays;

        anew = perm_redis_client_log_once(logged, label, reason);

        if (perm_redis_client_failed(redis, (char *) label, reason) && anew) {
            ngx_log_error(NGX_LOG_ERR, redis->log, 0,
                          "app_permission: Redis %s: %s", label, reason);
        }
    }

    perm_redis_discovery_refresh(redis->discovery);
}


/* 1: no other worker has logged it */

static ngx_uint_t
perm_redis_client_failed(perm_redis_client_t *redis, const char *address,
    const char *reason)
{
    return redis->watch == NULL || redis->watch->failed == NULL
           || redis->watch->failed(redis->watch_data, address, reason);
}


static void
perm_redis_client_set_state(perm_redis_client_t *redis,
    perm_redis_client_state_t state)
{
    ngx_uint_t  reported;

    /* after a failure commands do not wait for the next attempt */

    if (state == PERM_REDIS_CONNECTING && redis->state == PERM_REDIS_DOWN) {
        return;
    }

    redis->state = state;

    if (state == PERM_REDIS_CONNECTING) {
        return;
    }

    reported = (state == PERM_REDIS_UP) ? 2 : 1;

    if (redis->reported == reported) {
        return;
    }

    redis->reported = reported;

    ngx_log_debug1(NGX_LOG_DEBUG_CORE, redis->log, 0,
                   "app_permission: redis client: %s",
                   (state == PERM_REDIS_UP) ? "up" : "down");

    if (redis->handler != NULL) {
        redis->handler(redis->data, state == PERM_REDIS_UP);
    }
}


ngx_int_t
perm_redis_client_drain(perm_redis_client_t *redis, ngx_msec_t msec)
{
    ngx_uint_t              busy, first;
    ngx_msec_t              end;
    ngx_msec_int_t          left;
    perm_redis_endpoint_t  *endpoint, *next;

    ngx_time_update();
    end = ngx_current_msec + msec;

    for (first = 1; /* void */ ; first = 0) {

        busy = 0;

        for (endpoint = redis->endpoints; endpoint; endpoint = next) {
            next = endpoint->next;

            if (perm_redis_endpoint_busy(endpoint)) {
                busy = 1;

                /* before any wait all that is queued leaves */

                left = (ngx_msec_int_t) (end - ngx_current_msec);
                left = (first || left < 0) ? 0 : left;

                perm_redis_connection_turn(endpoint->connection,
                                           ngx_min(left,
                                                   PERM_REDIS_DRAIN_STEP));
            }
        }

        /* there is no discovery without an event loop */

        perm_redis_parked_fail(&redis->parked);

        if (!busy) {
            return NGX_OK;
        }

        if ((ngx_msec_int_t) (end - ngx_current_msec) <= 0) {
            return NGX_AGAIN;
        }
    }
}


/* 1: this reason was not logged yet */

static ngx_uint_t
perm_redis_client_log_once(perm_redis_logged_t *logged, const void *label,
    const char *reason)
{
    uint32_t    hash;
    ngx_uint_t  i;

    hash = ngx_murmur_hash2((u_char *) label, ngx_strlen(label))
           ^ ngx_murmur_hash2((u_char *) reason, ngx_strlen(reason));

    for (i = 0; i < PERM_REDIS_LOGGED; i++) {
        if (logged->reasons[i] == hash) {
            return 0;
        }
    }

    logged->reasons[logged->n++ % PERM_REDIS_LOGGED] = hash;

    return 1;
}
