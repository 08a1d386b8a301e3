
#include "redis/endpoint.h"


#define PERM_REDIS_ENDPOINT_BACKOFF_MIN  50     /* ms */
#define PERM_REDIS_ENDPOINT_BACKOFF_MAX  800

/* a link that ends sooner did not really come up */
#define PERM_REDIS_ENDPOINT_SETTLED  1000  /* ms */

/* an answer that takes longer is one that may not come */
#define PERM_REDIS_ENDPOINT_SLOW     100   /* ms */


static void perm_redis_endpoint_closed(void *data,
    perm_redis_connection_t *connection, ngx_str_t *reason);
static void perm_redis_endpoint_connected(void *data,
    perm_redis_connection_t *connection, ngx_str_t *reason);


static perm_redis_connection_handlers_t  perm_redis_endpoint_handlers = {
    NULL,
    perm_redis_endpoint_closed,
    NULL
};


ngx_msec_t
perm_redis_endpoint_backoff(ngx_uint_t failures)
{
    ngx_msec_t  delay;

    delay = PERM_REDIS_ENDPOINT_BACKOFF_MIN << ngx_min(failures, 5);
    delay = ngx_min(delay, PERM_REDIS_ENDPOINT_BACKOFF_MAX);

    return delay - (ngx_msec_t) ngx_random() % (delay / 2);
}


static void
perm_redis_endpoint_connect(perm_redis_endpoint_t *endpoint)
{
    endpoint->connector =
        perm_redis_connector_start(endpoint->conf, PERM_REDIS_SERVER,
                                   &endpoint->node, &endpoint->next,
                                   endpoint->log,
                                   &perm_redis_endpoint_handlers, endpoint,
                                   perm_redis_endpoint_connected);

    if (endpoint->connector == NULL) {
        endpoint->state = PERM_REDIS_ENDPOINT_DOWN;
        ngx_post_event(&endpoint->post, &ngx_posted_events);
    }
}


/* from the event loop: an attempt, or the link, failed */

static void
perm_redis_endpoint_failed(perm_redis_endpoint_t *endpoint, ngx_str_t *reason)
{
    if (endpoint->state != PERM_REDIS_ENDPOINT_RETIRED) {
        endpoint->state = PERM_REDIS_ENDPOINT_DOWN;

        if (!endpoint->retry.timer_set) {
            ngx_add_timer(&endpoint->retry,
                          perm_redis_endpoint_backoff(endpoint->failures));
        }

        endpoint->failures++;
    }

    perm_redis_parked_fail(&endpoint->parked);

    endpoint->handlers->changed(endpoint->data, endpoint, reason);
}


static void
perm_redis_endpoint_connected(void *data, perm_redis_connection_t *connection,
    ngx_str_t *reason)
{
    ngx_str_t               text;
    const char             *refusal;
    perm_redis_endpoint_t  *endpoint = data;
    perm_redis_command_t   *command;

    endpoint->connector = NULL;

    if (connection == NULL) {
        perm_redis_endpoint_failed(endpoint, reason);
        return;
    }

    refusal =
        endpoint->handlers->accept(endpoint->data,
                                   perm_redis_connection_role(connection));

    if (refusal != NULL) {
        perm_redis_connection_close(connection);

        text.data = (u_char *) refusal;
        text.len = ngx_strlen(refusal);

        perm_redis_endpoint_failed(endpoint, &text);
        return;
    }

    endpoint->connection = connection;
    endpoint->state = PERM_REDIS_ENDPOINT_UP;
    endpoint->since = ngx_current_msec;

    while ((command = perm_redis_parked_take(&endpoint->parked)) != NULL) {

        if (perm_redis_endpoint_send(endpoint, command) != NGX_OK) {
            perm_redis_command_finish(command, NULL);
        }
    }

    endpoint->handlers->changed(endpoint->data, endpoint, NULL);
}


static void
perm_redis_endpoint_closed(void *data, perm_redis_connection_t *connection,
    ngx_str_t *reason)
{
    perm_redis_endpoint_t  *endpoint = data;

    endpoint->connection = NULL;

    if (ngx_current_msec - endpoint->since >= PERM_REDIS_ENDPOINT_SETTLED) {
        endpoint->failures = 0;

        if (endpoint->state == PERM_REDIS_ENDPOINT_UP
            && !perm_redis_connection_hung(connection))
        {
            /* it may well be back at once */

            endpoint->state = PERM_REDIS_ENDPOINT_CONNECTING;
            perm_redis_endpoint_connect(endpoint);

            endpoint->handlers->changed(endpoint->data, endpoint, reason);
            return;
        }
    }

    perm_redis_endpoint_failed(endpoint, reason);
}


static void
perm_redis_endpoint_retry_handler(ngx_event_t *ev)
{
    perm_redis_endpoint_t  *endpoint;

    endpoint = ev->data;

    if (endpoint->connector == NULL && endpoint->connection == NULL) {
        perm_redis_endpoint_connect(endpoint);
    }
}


static void
perm_redis_endpoint_post_handler(ngx_event_t *ev)
{
    ngx_str_t               reason = ngx_string("given up");
    perm_redis_endpoint_t  *endpoint;

    endpoint = ev->data;

    perm_redis_endpoint_failed(endpoint, &reason);
}


perm_redis_endpoint_t *
perm_redis_endpoint_create(perm_redis_conf_t *conf, perm_redis_node_t *node,
    ngx_log_t *log, perm_redis_endpoint_handlers_t *handlers, void *data)
{
    u_char                 *p;
    perm_redis_endpoint_t  *endpoint;
    static ngx_uint_t       number;

    endpoint = ngx_calloc(sizeof(perm_redis_endpoint_t) + node->name.len
                          + PERM_REDIS_NODE_NAME_MAX, log);
    if (endpoint == NULL) {
        return NULL;
    }

    p = (u_char *) endpoint + sizeof(perm_redis_endpoint_t);

    endpoint->number = ++number;
    endpoint->node = *node;
    endpoint->node.name.data = p;
    p = ngx_cpymem(p, node->name.data, node->name.len);

    endpoint->name.data = p;
    endpoint->name.len = perm_redis_connector_node_name(p, node);

    endpoint->conf = conf;
    endpoint->log = log;
    endpoint->handlers = handlers;
    endpoint->data = data;

    endpoint->retry.handler = perm_redis_endpoint_retry_handler;
    endpoint->retry.data = endpoint;
    endpoint->retry.log = log;
    endpoint->retry.cancelable = 1;

    endpoint->post.handler = perm_redis_endpoint_post_handler;
    endpoint->post.data = endpoint;
    endpoint->post.log = log;

    perm_redis_parked_init(&endpoint->parked, log);

    return endpoint;
}


static void
perm_redis_endpoint_stop(perm_redis_endpoint_t *endpoint)
{
    if (endpoint->connector != NULL) {
        perm_redis_connector_cancel(endpoint->connector);
        endpoint->connector = NULL;
    }

    if (endpoint->retry.timer_set) {
        ngx_del_timer(&endpoint->retry);
    }
}


void
perm_redis_endpoint_destroy(perm_redis_endpoint_t *endpoint)
{
    perm_redis_endpoint_stop(endpoint);

    if (endpoint->connection != NULL) {
        perm_redis_connection_close(endpoint->connection);
    }

    if (endpoint->post.posted) {
        ngx_delete_posted_event(&endpoint->post);
    }

    perm_redis_parked_done(&endpoint->parked);

    ngx_free(endpoint);
}


void
perm_redis_endpoint_open(perm_redis_endpoint_t *endpoint)
{
    if (endpoint->state == PERM_REDIS_ENDPOINT_IDLE) {
        endpoint->state = PERM_REDIS_ENDPOINT_CONNECTING;
        perm_redis_endpoint_connect(endpoint);
    }
}


/* without the right to it the command that follows fails: why, is told here */

static void
perm_redis_endpoint_asked(void *data, redisReply *reply)
{
    perm_redis_endpoint_t  *endpoint = data;

    if (reply == NULL || !perm_redis_reply_error(reply, "NOPERM")
        || endpoint->asking_logged)
    {
        return;
    }

    endpoint->asking_logged = 1;

    ngx_log_error(NGX_LOG_ERR, endpoint->log, 0,
                  "app_permission: Redis %V: the user has no right to ASKING, "
                  "calls whose slot is being moved are unavailable: it needs "
                  "\"+asking\"", &endpoint->name);
}


/* the server takes the next command although the slot is on its way there */

static ngx_int_t
perm_redis_endpoint_send_asking(perm_redis_endpoint_t *endpoint)
{
    ngx_str_t  asking = ngx_string("ASKING");

    return perm_redis_connection_send(endpoint->connection, 1, &asking,
                                      perm_redis_endpoint_asked, endpoint)
           != NULL ? NGX_OK : NGX_ERROR;
}


ngx_int_t
perm_redis_endpoint_send(perm_redis_endpoint_t *endpoint,
    perm_redis_command_t *command)
{
    perm_redis_endpoint_open(endpoint);

    switch (endpoint->state) {

    case PERM_REDIS_ENDPOINT_CONNECTING:
        perm_redis_parked_add(&endpoint->parked, command);
        return NGX_OK;

    case PERM_REDIS_ENDPOINT_UP:

        if (command->asking
            && perm_redis_endpoint_send_asking(endpoint) != NGX_OK)
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


static void
perm_redis_endpoint_end(perm_redis_endpoint_t *endpoint, const char *reason)
{
    if (endpoint->connection != NULL) {
        perm_redis_connection_fail(endpoint->connection, reason);

    } else {
        perm_redis_endpoint_stop(endpoint);
        ngx_post_event(&endpoint->post, &ngx_posted_events);
    }
}


void
perm_redis_endpoint_drop(perm_redis_endpoint_t *endpoint, const char *reason)
{
    if (endpoint->state == PERM_REDIS_ENDPOINT_UP
        || endpoint->state == PERM_REDIS_ENDPOINT_CONNECTING)
    {
        endpoint->state = PERM_REDIS_ENDPOINT_DOWN;
        perm_redis_endpoint_end(endpoint, reason);
    }
}


void
perm_redis_endpoint_probe(perm_redis_endpoint_t *endpoint, const char *reason)
{
    ngx_str_t  ping = ngx_string("PING");

    if (endpoint->state != PERM_REDIS_ENDPOINT_UP) {
        return;
    }

    if (perm_redis_connection_waiting(endpoint->connection)
        >= PERM_REDIS_ENDPOINT_SLOW)
    {
        perm_redis_endpoint_drop(endpoint, reason);
        return;
    }

    (void) perm_redis_connection_send(endpoint->connection, 1, &ping, NULL,
                                      NULL);
}


void
perm_redis_endpoint_retire(perm_redis_endpoint_t *endpoint, const char *reason)
{
    if (endpoint->state != PERM_REDIS_ENDPOINT_RETIRED) {
        endpoint->state = PERM_REDIS_ENDPOINT_RETIRED;
        perm_redis_endpoint_end(endpoint, reason);
    }
}


ngx_uint_t
perm_redis_endpoint_outstanding(perm_redis_endpoint_t *endpoint)
{
    ngx_uint_t    n;
    ngx_queue_t  *q;

    n = 0;

    for (q = ngx_queue_head(&endpoint->parked.commands);
         q != ngx_queue_sentinel(&endpoint->parked.commands);
         q = ngx_queue_next(q))
    {
        n++;
    }

    if (endpoint->connection != NULL) {
        n += perm_redis_connection_outstanding(endpoint->connection);
    }

    return n;
}


void
perm_redis_endpoint_poll(perm_redis_endpoint_t *endpoint, struct pollfd *pfd)
{
    if (endpoint->connection != NULL) {
        perm_redis_connection_poll(endpoint->connection, pfd);

    } else if (endpoint->connector != NULL) {
        perm_redis_connector_poll(endpoint->connector, pfd);

    } else {
        pfd->fd = -1;
        pfd->revents = 0;
    }
}


void
perm_redis_endpoint_polled(perm_redis_endpoint_t *endpoint, struct pollfd *pfd)
{
    if (endpoint->connection != NULL) {
        perm_redis_connection_polled(endpoint->connection, pfd);

    } else if (endpoint->connector != NULL) {
        perm_redis_connector_polled(endpoint->connector, pfd);
    }
}
