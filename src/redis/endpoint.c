
#include "redis/endpoint.h"


/* one that ends sooner counts as a failure, but for the first */
#define PERM_REDIS_ENDPOINT_SETTLED  1000   /* ms */

/* at a replica: from one search for a master to the next */
#define PERM_REDIS_ENDPOINT_SEARCH   1000   /* ms */

/* an answer that takes longer may never come */
#define PERM_REDIS_ENDPOINT_SLOW     100    /* ms */


static void perm_redis_endpoint_ready(void *data,
    perm_redis_connection_t *connection);
static void perm_redis_endpoint_closed(void *data,
    perm_redis_connection_t *connection, const char *reason);
static void perm_redis_endpoint_connect(perm_redis_endpoint_t *endpoint);
static void perm_redis_endpoint_adopt(perm_redis_endpoint_t *endpoint);
static void perm_redis_endpoint_up(perm_redis_endpoint_t *endpoint);
static void perm_redis_endpoint_search(perm_redis_endpoint_t *endpoint);
static void perm_redis_endpoint_search_end(perm_redis_endpoint_t *endpoint);
static void perm_redis_endpoint_failed(perm_redis_endpoint_t *endpoint,
    const char *reason);
static void perm_redis_endpoint_asked(void *data, redisReply *reply);
static void perm_redis_endpoint_retry_handler(ngx_event_t *ev);


static perm_redis_connection_handlers_t  perm_redis_endpoint_handlers = {
    perm_redis_endpoint_ready,
    perm_redis_endpoint_closed,
    NULL
};


perm_redis_endpoint_t *
perm_redis_endpoint_create(perm_redis_conf_t *conf, perm_redis_node_t *node,
    ngx_log_t *log, perm_redis_endpoint_handlers_t *handlers, void *data)
{
    perm_redis_endpoint_t  *endpoint;
    static ngx_uint_t       number;

    endpoint = ngx_calloc(sizeof(perm_redis_endpoint_t), log);
    if (endpoint == NULL) {
        return NULL;
    }

    endpoint->number = ++number;
    endpoint->node = *node;
    endpoint->conf = conf;
    endpoint->log = log;
    endpoint->handlers = handlers;
    endpoint->data = data;

    endpoint->retry.handler = perm_redis_endpoint_retry_handler;
    endpoint->retry.data = endpoint;
    endpoint->retry.log = log;
    endpoint->retry.cancelable = 1;

    perm_redis_parked_init(&endpoint->parked, log);
    perm_redis_endpoint_connect(endpoint);

    return endpoint;
}


void
perm_redis_endpoint_destroy(perm_redis_endpoint_t *endpoint)
{
    perm_redis_endpoint_search_end(endpoint);

    if (endpoint->connection != NULL) {
        perm_redis_connection_close(endpoint->connection);
    }

    if (endpoint->retry.timer_set) {
        ngx_del_timer(&endpoint->retry);
    }

    perm_redis_parked_done(&endpoint->parked);
    ngx_free(endpoint);
}


static void
perm_redis_endpoint_connect(perm_redis_endpoint_t *endpoint)
{
    endpoint->connection =
        perm_redis_connection_open(endpoint->conf, &endpoint->node, NULL,
                                   endpoint->log,
                                   &perm_redis_endpoint_handlers, endpoint);

    if (endpoint->connection != NULL) {
        endpoint->connection->replica_ok = 1;

    } else {

        /* memory is out; commands that are parked have a deadline */

        endpoint->state = PERM_REDIS_ENDPOINT_DOWN;
        ngx_add_timer(&endpoint->retry,
                      perm_redis_connection_backoff(endpoint->failures++));
    }
}


static void
perm_redis_endpoint_ready(void *data, perm_redis_connection_t *connection)
{
    const char             *refusal;
    perm_redis_endpoint_t  *endpoint = data;

    if (connection == endpoint->successor) {

        /* the former one ends for another reason, and this one with it */

        if (endpoint->state != PERM_REDIS_ENDPOINT_UP) {
            return;
        }

        /* it takes over when the commands of the former one have failed */

        endpoint->state = PERM_REDIS_ENDPOINT_CONNECTING;
        perm_redis_connection_fail(endpoint->connection,
                                   "a master is reached again");
        return;
    }

    refusal = endpoint->handlers->accept(endpoint->data, endpoint,
                                         connection->role);

    if (refusal != NULL) {
        perm_redis_connection_close(connection);
        endpoint->connection = NULL;

        perm_redis_endpoint_failed(endpoint, refusal);
        return;
    }

    perm_redis_endpoint_up(endpoint);
}


static void
perm_redis_endpoint_up(perm_redis_endpoint_t *endpoint)
{
    perm_redis_command_t  *command;

    ngx_log_debug1(NGX_LOG_DEBUG_CORE, endpoint->log, 0,
                   "app_permission: redis %s: up", endpoint->node.label);

    endpoint->state = PERM_REDIS_ENDPOINT_UP;
    endpoint->since = ngx_current_msec;
    endpoint->opened = endpoint->connection->opened;

    if (perm_redis_endpoint_replica(endpoint)) {
        endpoint->opened = 0;
        ngx_add_timer(&endpoint->retry, PERM_REDIS_ENDPOINT_SEARCH);
    }

    while ((command = perm_redis_parked_take(&endpoint->parked)) != NULL) {

        if (perm_redis_endpoint_send(endpoint, command) != NGX_OK) {
            perm_redis_command_finish(command, NULL);
        }
    }

    endpoint->handlers->changed(endpoint->data, endpoint, NULL);
}


static void
perm_redis_endpoint_closed(void *data, perm_redis_connection_t *connection,
    const char *reason)
{
    ngx_uint_t              young;
    perm_redis_endpoint_t  *endpoint = data;

    if (connection == endpoint->successor) {
        endpoint->successor = NULL;

        if (endpoint->state == PERM_REDIS_ENDPOINT_UP) {
            ngx_add_timer(&endpoint->retry, PERM_REDIS_ENDPOINT_SEARCH);
        }

        return;
    }

    if (endpoint->successor != NULL && endpoint->successor->ready
        && endpoint->state == PERM_REDIS_ENDPOINT_CONNECTING)
    {
        perm_redis_endpoint_adopt(endpoint);
        return;
    }

    perm_redis_endpoint_search_end(endpoint);

    young = !connection->moved
            && (endpoint->since == 0
                || ngx_current_msec - endpoint->since
                   < PERM_REDIS_ENDPOINT_SETTLED);

    if (connection->opened == 0) {
        endpoint->opened = 0;
    }

    endpoint->connection = NULL;
    endpoint->since = 0;
    endpoint->loss = PERM_REDIS_LOSS_ERROR;

    if (!young) {
        endpoint->failures = 0;
        ngx_memzero(&endpoint->logged, sizeof(perm_redis_logged_t));
    }

    if (endpoint->failures == 0
        && endpoint->state == PERM_REDIS_ENDPOINT_UP
        && !connection->hung)
    {
        /* it may be back at once; two young ones in a row are a failure */

        endpoint->failures = young;

        if (connection->moved) {
            endpoint->loss = PERM_REDIS_LOSS_MOVED;

        } else if (connection->outstanding == connection->probing) {
            endpoint->loss = PERM_REDIS_LOSS_IDLE;
        }

        endpoint->state = PERM_REDIS_ENDPOINT_CONNECTING;
        perm_redis_endpoint_connect(endpoint);

        endpoint->handlers->changed(endpoint->data, endpoint, reason);
        return;
    }

    perm_redis_endpoint_failed(endpoint, reason);
}


static void
perm_redis_endpoint_adopt(perm_redis_endpoint_t *endpoint)
{
    const char  *refusal;

    endpoint->connection = endpoint->successor;
    endpoint->successor = NULL;

    refusal = endpoint->handlers->accept(endpoint->data, endpoint,
                                         endpoint->connection->role);

    if (refusal != NULL) {
        perm_redis_endpoint_drop(endpoint, refusal);
        return;
    }

    perm_redis_endpoint_up(endpoint);
}


/* the replica serves on meanwhile */

static void
perm_redis_endpoint_search(perm_redis_endpoint_t *endpoint)
{
    endpoint->successor =
        perm_redis_connection_open(endpoint->conf, &endpoint->node, NULL,
                                   endpoint->log,
                                   &perm_redis_endpoint_handlers, endpoint);

    if (endpoint->successor == NULL) {
        ngx_add_timer(&endpoint->retry, PERM_REDIS_ENDPOINT_SEARCH);
    }
}


static void
perm_redis_endpoint_search_end(perm_redis_endpoint_t *endpoint)
{
    if (endpoint->successor != NULL) {
        perm_redis_connection_close(endpoint->successor);
        endpoint->successor = NULL;
    }

    if (endpoint->retry.timer_set) {
        ngx_del_timer(&endpoint->retry);
    }
}


/* from the event loop: an attempt, or the connection, failed */

static void
perm_redis_endpoint_failed(perm_redis_endpoint_t *endpoint, const char *reason)
{
    ngx_msec_t  delay;

    endpoint->loss = PERM_REDIS_LOSS_ERROR;

    if (endpoint->state != PERM_REDIS_ENDPOINT_RETIRED) {
        endpoint->state = PERM_REDIS_ENDPOINT_DOWN;

        if (!endpoint->retry.timer_set) {
            delay = perm_redis_connection_backoff(endpoint->failures);
            ngx_add_timer(&endpoint->retry, delay);

            ngx_log_debug3(NGX_LOG_DEBUG_CORE, endpoint->log, 0,
                           "app_permission: redis %s: down, retry in %M ms: "
                           "%s", endpoint->node.label, delay, reason);
        }

        endpoint->failures++;
    }

    perm_redis_parked_fail(&endpoint->parked);

    endpoint->handlers->changed(endpoint->data, endpoint, reason);
}


static void
perm_redis_endpoint_retry_handler(ngx_event_t *ev)
{
    perm_redis_endpoint_t  *endpoint;

    endpoint = ev->data;

    if (endpoint->connection == NULL) {
        perm_redis_endpoint_connect(endpoint);

    } else if (endpoint->successor == NULL
               && perm_redis_endpoint_replica(endpoint))
    {
        perm_redis_endpoint_search(endpoint);
    }
}


ngx_int_t
perm_redis_endpoint_send(perm_redis_endpoint_t *endpoint,
    perm_redis_command_t *command)
{
    static ngx_str_t  asking = ngx_string("ASKING");

    switch (endpoint->state) {

    case PERM_REDIS_ENDPOINT_CONNECTING:
        perm_redis_parked_add(&endpoint->parked, command);
        return NGX_OK;

    case PERM_REDIS_ENDPOINT_UP:

        /* the server takes the next command of a slot that is on its way */

        if (command->asking
            && perm_redis_connection_send(endpoint->connection, 1, &asking,
                                          perm_redis_endpoint_asked, endpoint)
               == NULL)
        {
            return NGX_ERROR;
        }

        command->via = endpoint;
        command->via_number = endpoint->number;

        return perm_redis_connection_submit(endpoint->connection, command);

    default: /* PERM_REDIS_ENDPOINT_DOWN, PERM_REDIS_ENDPOINT_RETIRED */
        return NGX_ERROR;
    }
}


/* without the right to it the command that follows fails */

static void
perm_redis_endpoint_asked(void *data, redisReply *reply)
{
    perm_redis_endpoint_t  *endpoint = data;

    if (!perm_reply_error(reply, "NOPERM") || endpoint->asking_logged) {
        return;
    }

    endpoint->asking_logged = 1;

    ngx_log_error(NGX_LOG_ERR, endpoint->log, 0,
                  "app_permission: Redis %s: the user has no right to ASKING, "
                  "calls whose slot is being moved are unavailable: it needs "
                  "\"+asking\"", endpoint->node.label);
}


void
perm_redis_endpoint_drop(perm_redis_endpoint_t *endpoint, const char *reason)
{
    if (endpoint->state == PERM_REDIS_ENDPOINT_UP
        || endpoint->state == PERM_REDIS_ENDPOINT_CONNECTING)
    {
        endpoint->state = PERM_REDIS_ENDPOINT_DOWN;
        perm_redis_connection_fail(endpoint->connection, reason);
    }
}


void
perm_redis_endpoint_moved(perm_redis_endpoint_t *endpoint, const char *reason)
{
    if (endpoint->state == PERM_REDIS_ENDPOINT_UP) {
        endpoint->connection->moved = 1;
        perm_redis_connection_fail(endpoint->connection, reason);
    }
}


ngx_uint_t
perm_redis_endpoint_replica(perm_redis_endpoint_t *endpoint)
{
    return endpoint->state == PERM_REDIS_ENDPOINT_UP
           && endpoint->connection->role == PERM_ROLE_REPLICA;
}


ngx_int_t
perm_redis_endpoint_retire(perm_redis_endpoint_t *endpoint, const char *reason)
{
    if (endpoint->connection == NULL) {
        perm_redis_parked_fail(&endpoint->parked);
        return NGX_OK;
    }

    endpoint->state = PERM_REDIS_ENDPOINT_RETIRED;
    perm_redis_connection_fail(endpoint->connection, reason);

    return NGX_AGAIN;
}


void
perm_redis_endpoint_probe(perm_redis_endpoint_t *endpoint, const char *reason)
{
    ngx_str_t              ping = ngx_string("PING");
    ngx_queue_t           *pipeline;
    perm_redis_command_t  *oldest;

    if (endpoint->state != PERM_REDIS_ENDPOINT_UP) {
        return;
    }

    pipeline = &endpoint->connection->pipeline;
    oldest = ngx_queue_data(ngx_queue_head(pipeline), perm_redis_command_t,
                            queue);

    if (!ngx_queue_empty(pipeline)
        && ngx_current_msec - oldest->sent >= PERM_REDIS_ENDPOINT_SLOW
        && !perm_redis_connection_unread(endpoint->connection))
    {
        perm_redis_endpoint_drop(endpoint, reason);
        return;
    }

    (void) perm_redis_connection_send(endpoint->connection, 1, &ping, NULL,
                                      NULL);
}


ngx_uint_t
perm_redis_endpoint_busy(perm_redis_endpoint_t *endpoint)
{
    perm_redis_connection_t  *connection;

    connection = endpoint->connection;

    return connection != NULL
           && (!ngx_queue_empty(&endpoint->parked.commands)
               || (connection->begun && connection->outstanding));
}
