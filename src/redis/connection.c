
#include "redis/connection_priv.h"

#include "resp/printable.h"


#define PERM_REDIS_BACKOFF_MIN  50      /* ms */
#define PERM_REDIS_BACKOFF_MAX  800

#define PERM_REDIS_REASON_MAX                                                 \
    (PERM_REDIS_LABEL_MAX + PERM_PRINTABLE_SIZE(PERM_REDIS_ERROR_MAX))


static void perm_redis_connection_free(perm_redis_connection_t *connection);
static void perm_redis_connection_disconnect(
    perm_redis_connection_t *connection);
static void perm_redis_connection_reason(perm_redis_connection_t *connection,
    char reason[PERM_REDIS_REASON_MAX]);
static void perm_redis_connection_post_handler(ngx_event_t *ev);


perm_redis_connection_t *
perm_redis_connection_open(perm_redis_conf_t *conf, perm_redis_node_t *node,
    perm_redis_connection_t *beside, ngx_log_t *log,
    perm_redis_connection_handlers_t *handlers, void *data)
{
    ngx_pool_t               *pool;
    perm_redis_connection_t  *connection;

    pool = ngx_create_pool(4096, log);
    if (pool == NULL) {
        return NULL;
    }

    connection = ngx_pcalloc(pool, sizeof(perm_redis_connection_t));
    if (connection == NULL
        || ngx_array_init(&connection->addrs, pool, 1, sizeof(ngx_addr_t))
           != NGX_OK)
    {
        ngx_destroy_pool(pool);
        return NULL;
    }

    connection->conf = conf;
    connection->node = node;
    connection->handlers = handlers;
    connection->data = data;
    connection->pool = pool;
    connection->base = log;

    connection->post.data = connection;
    connection->post.handler = perm_redis_connection_post_handler;
    connection->post.log = &connection->log;

    connection->timer.data = connection;
    connection->timer.handler = perm_redis_connection_socket_timer;
    connection->timer.log = &connection->log;

    connection->watch.data = connection;
    connection->watch.handler = perm_redis_connection_watch_timer;
    connection->watch.log = &connection->log;
    connection->watch.cancelable = 1;

    connection->named = (conf->resolver != NULL && node->port != 0
                         && ngx_strchr(node->name, ':') == NULL
                         && ngx_inet_addr(node->name, ngx_strlen(node->name))
                            == INADDR_NONE);

    connection->log.log_level = ngx_max(log->log_level, NGX_LOG_INFO);
    connection->log.file = log->file;
    connection->log.writer = perm_redis_connection_socket_log;
    connection->log.wdata = connection;
    connection->log.action = "talking to Redis";

    pool->log = &connection->log;

    ngx_queue_init(&connection->pipeline);

    if (beside == NULL) {
        perm_redis_connection_address_find(connection);

    } else {
        connection->final = 1;
        perm_redis_connection_address_add(connection, beside->peer.sockaddr,
                                          beside->peer.socklen);
        ngx_post_event(&connection->post, &ngx_posted_events);
    }

    return connection;
}


void
perm_redis_connection_close(perm_redis_connection_t *connection)
{
    if (connection->gone) {
        return;
    }

    perm_redis_connection_disconnect(connection);

    connection->gone = 1;
    connection->ready = 0;

    if (connection->busy == 0) {
        perm_redis_connection_free(connection);
    }
}


static void
perm_redis_connection_free(perm_redis_connection_t *connection)
{
    ngx_pool_t  *pool;

    perm_redis_connection_pipeline_done(connection);

    pool = connection->pool;
    pool->log = connection->base;

    ngx_destroy_pool(pool);
}


static void
perm_redis_connection_disconnect(perm_redis_connection_t *connection)
{
    ngx_connection_t  *c;

    if (connection->resolving != NULL) {
        ngx_resolve_name_done(connection->resolving);
        connection->resolving = NULL;
    }

    if (connection->post.posted) {
        ngx_delete_posted_event(&connection->post);
    }

    if (connection->timer.timer_set) {
        ngx_del_timer(&connection->timer);
    }

    if (connection->watch.timer_set) {
        ngx_del_timer(&connection->watch);
    }

    c = connection->peer.connection;

    if (c == NULL) {
        return;
    }

#if (NGX_SSL)

    if (c->ssl) {
        c->ssl->no_wait_shutdown = 1;
        c->ssl->no_send_shutdown = !connection->ready;

        (void) ngx_ssl_shutdown(c);
    }

#endif

    ngx_close_connection(c);
    connection->peer.connection = NULL;
}


void
perm_redis_connection_fail(perm_redis_connection_t *connection,
    const char *reason)
{
    if (connection->gone || connection->failed) {
        return;
    }

    /* no other address is tried */

    connection->tried = connection->addrs.nelts;
    connection->final = 1;

    perm_redis_connection_error(connection, "%s", reason);
    perm_redis_connection_abort(connection);
}


void
perm_redis_connection_abort(perm_redis_connection_t *connection)
{
    connection->failed = 1;
    connection->ready = 0;

    ngx_post_event(&connection->post, &ngx_posted_events);
}


void
perm_redis_connection_error(perm_redis_connection_t *connection,
    const char *fmt, ...)
{
    u_char   *p;
    va_list   args;

    if (connection->explained) {
        return;
    }

    va_start(args, fmt);
    p = ngx_vslprintf(connection->error,
                      connection->error + PERM_REDIS_ERROR_MAX, fmt, args);
    va_end(args);

    connection->error_len = p - connection->error;
}


void
perm_redis_connection_enter(perm_redis_connection_t *connection)
{
    connection->busy++;
}


void
perm_redis_connection_leave(perm_redis_connection_t *connection)
{
    if (--connection->busy == 0 && connection->gone) {
        perm_redis_connection_free(connection);
    }
}


void
perm_redis_connection_lost(perm_redis_connection_t *connection)
{
    char  reason[PERM_REDIS_REASON_MAX];

    if (connection->gone) {
        return;
    }

    perm_redis_connection_disconnect(connection);
    perm_redis_connection_reason(connection, reason);

    if (!connection->begun) {
        connection->node->next++;

        if (connection->tried < connection->addrs.nelts) {
            ngx_log_debug2(NGX_LOG_DEBUG_CORE, connection->base, 0,
                           "app_permission: redis %s: the next address: %s",
                           connection->node->label, reason);

            connection->failed = 0;
            perm_redis_connection_pipeline_done(connection);
            ngx_post_event(&connection->post, &ngx_posted_events);
            return;
        }

        if (perm_redis_connection_watch_search(connection)) {
            ngx_log_debug2(NGX_LOG_DEBUG_CORE, connection->base, 0,
                           "app_permission: redis %s: no master yet: %s",
                           connection->node->label, reason);

            connection->failed = 0;
            perm_redis_connection_pipeline_done(connection);
            return;
        }
    }

    ngx_log_debug2(NGX_LOG_DEBUG_CORE, connection->base, 0,
                   "app_permission: redis %s: closed: %s",
                   connection->node->label, reason);

    connection->gone = 1;
    connection->ready = 0;

    connection->handlers->closed(connection->data, connection, reason);

    perm_redis_command_fail_all(&connection->pipeline);
}


/* "error", with the address in front where the node's label is a name */

static void
perm_redis_connection_reason(perm_redis_connection_t *connection,
    char reason[PERM_REDIS_REASON_MAX])
{
    char        *p;
    ngx_str_t   *address;
    perm_str_t   error;

    if (connection->error_len == 0) {
        perm_redis_connection_error(connection, "the connection failed");
    }

    p = reason;
    address = connection->peer.name;

    if (address != NULL
        && (address->len != ngx_strlen(connection->node->label)
            || ngx_memcmp(address->data, connection->node->label, address->len)
               != 0))
    {
        p = (char *) ngx_sprintf((u_char *) p, "%V: ", address);
    }

    error.data = (char *) connection->error;
    error.len = connection->error_len;

    (void) perm_printable(p, PERM_PRINTABLE_SIZE(PERM_REDIS_ERROR_MAX), error,
                          0);
}


static void
perm_redis_connection_post_handler(ngx_event_t *ev)
{
    perm_redis_connection_t  *connection;

    connection = ev->data;

    perm_redis_connection_enter(connection);

    if (connection->failed) {
        perm_redis_connection_lost(connection);

    } else if (connection->peer.connection == NULL) {
        perm_redis_connection_socket_connect(connection);

    } else {
        perm_redis_connection_socket_write(connection->peer.connection->write);
    }

    perm_redis_connection_leave(connection);
}


ngx_int_t
perm_redis_connection_submit(perm_redis_connection_t *connection,
    perm_redis_command_t *command)
{
    if (!connection->ready) {
        return NGX_ERROR;
    }

    return perm_redis_connection_pipeline_append(connection, command);
}


perm_redis_command_t *
perm_redis_connection_send(perm_redis_connection_t *connection,
    ngx_uint_t argc, ngx_str_t *argv, perm_redis_reply_pt handler, void *data)
{
    perm_redis_command_t  *command;

    command = perm_redis_command_create(argc, argv, connection->conf->timeout,
                                        handler, data);
    if (command == NULL) {
        return NULL;
    }

    if (perm_redis_connection_submit(connection, command) != NGX_OK) {
        free(command);
        return NULL;
    }

    return command;
}


ngx_msec_t
perm_redis_connection_backoff(ngx_uint_t failures)
{
    ngx_msec_t  delay;

    delay = PERM_REDIS_BACKOFF_MIN << ngx_min(failures, 5);
    delay = ngx_min(delay, PERM_REDIS_BACKOFF_MAX);

    return delay - (ngx_msec_t) ngx_random() % (delay / 2);
}
