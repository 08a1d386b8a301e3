
#include "redis/connection_priv.h"


static void
perm_redis_connection_socket_close(perm_redis_connection_t *connection)
{
    ngx_connection_t  *c;

    if (connection->post.posted) {
        ngx_delete_posted_event(&connection->post);
    }

    if (connection->timer.timer_set) {
        ngx_del_timer(&connection->timer);
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


static void
perm_redis_connection_free(perm_redis_connection_t *connection)
{
    ngx_pool_t  *pool;

    perm_redis_command_free_all(&connection->pipeline);
    perm_redis_reader_done(&connection->reader);
    free(connection->out);

    pool = connection->pool;
    pool->log = connection->base;

    ngx_destroy_pool(pool);
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
perm_redis_connection_error(perm_redis_connection_t *connection,
    const char *fmt, ...)
{
    u_char   *p;
    va_list   args;

    va_start(args, fmt);
    p = ngx_vslprintf(connection->error,
                      connection->error + PERM_REDIS_REASON_MAX, fmt, args);
    va_end(args);

    connection->error_len = p - connection->error;
}


void
perm_redis_connection_lost(perm_redis_connection_t *connection)
{
    size_t     i;
    ngx_str_t  reason;

    if (connection->gone) {
        return;
    }

    perm_redis_connection_socket_close(connection);

    connection->gone = 1;
    connection->ready = 0;

    if (connection->error_len == 0) {
        perm_redis_connection_error(connection, "the connection failed");
    }

    /* it may hold what a server said */

    for (i = 0; i < connection->error_len; i++) {
        if (connection->error[i] < ' ' || connection->error[i] > '~') {
            connection->error[i] = '?';
        }
    }

    reason.data = connection->error;
    reason.len = connection->error_len;

    connection->handlers->closed(connection->data, connection, &reason);

    perm_redis_command_fail_all(&connection->pipeline);
}


static ngx_int_t
perm_redis_connection_copy(perm_redis_connection_t *connection,
    ngx_addr_t *addr, ngx_str_t *host)
{
    ngx_pool_t  *pool;

    pool = connection->pool;

    connection->addr.socklen = addr->socklen;
    connection->addr.sockaddr = ngx_palloc(pool, addr->socklen);
    if (connection->addr.sockaddr == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(connection->addr.sockaddr, addr->sockaddr, addr->socklen);

    /* with a NUL, for OpenSSL */

    connection->host.len = host->len;
    connection->host.data = ngx_pcalloc(pool, host->len + 1);
    if (connection->host.data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(connection->host.data, host->data, host->len);

    connection->addr.name.len = addr->name.len;
    connection->addr.name.data = ngx_pstrdup(pool, &addr->name);
    if (connection->addr.name.data == NULL) {
        return NGX_ERROR;
    }

    return perm_redis_reader_init(&connection->reader, PERM_REDIS_REPLY_MAX);
}


static void
perm_redis_connection_start(perm_redis_connection_t *connection)
{
    ngx_int_t               rc;
    ngx_connection_t       *c;
    ngx_peer_connection_t  *peer;

    peer = &connection->peer;

    peer->sockaddr = connection->addr.sockaddr;
    peer->socklen = connection->addr.socklen;
    peer->name = &connection->addr.name;
    peer->get = ngx_event_get_peer;
    peer->log = &connection->log;
    peer->log_error = NGX_ERROR_ERR;
    peer->so_keepalive = 1;

    rc = ngx_event_connect_peer(peer);

    if (rc != NGX_OK && rc != NGX_AGAIN) {
        connection->failed = 1;
        ngx_post_event(&connection->post, &ngx_posted_events);
        return;
    }

    c = peer->connection;

    c->data = connection;
    c->pool = connection->pool;
    c->log = &connection->log;

    c->read->handler = perm_redis_connection_read;
    c->write->handler = perm_redis_connection_write;

    /* whoever waits for it has a timer of its own */

    connection->timer.cancelable = 1;
    ngx_add_timer(&connection->timer, connection->conf->connect_timeout);

    if (rc == NGX_OK) {
        ngx_post_event(&connection->post, &ngx_posted_events);
    }
}


perm_redis_connection_t *
perm_redis_connection_open(perm_redis_conf_t *conf, perm_redis_peer_t kind,
    ngx_addr_t *addr, ngx_str_t *host, ngx_log_t *log,
    perm_redis_connection_handlers_t *handlers, void *data)
{
    ngx_pool_t               *pool;
    perm_redis_connection_t  *connection;

    pool = ngx_create_pool(2048, log);
    if (pool == NULL) {
        return NULL;
    }

    connection = ngx_pcalloc(pool, sizeof(perm_redis_connection_t));
    if (connection == NULL) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    connection->conf = conf;
    connection->kind = kind;
    connection->handlers = handlers;
    connection->data = data;
    connection->pool = pool;
    connection->base = log;

    connection->log.log_level = ngx_max(log->log_level, NGX_LOG_INFO);
    connection->log.file = log->file;
    connection->log.writer = perm_redis_connection_log_writer;
    connection->log.wdata = connection;
    connection->log.action = "talking to Redis";

    connection->post.data = connection;
    connection->post.handler = perm_redis_connection_post_handler;
    connection->post.log = &connection->log;

    connection->timer.data = connection;
    connection->timer.handler = perm_redis_connection_timer_handler;
    connection->timer.log = &connection->log;

    ngx_queue_init(&connection->pipeline);

    if (perm_redis_connection_copy(connection, addr, host) != NGX_OK) {
        perm_redis_connection_free(connection);
        return NULL;
    }

    pool->log = &connection->log;

    perm_redis_connection_start(connection);

    return connection;
}


void
perm_redis_connection_close(perm_redis_connection_t *connection)
{
    if (connection->gone) {
        return;
    }

    perm_redis_connection_socket_close(connection);

    connection->gone = 1;
    connection->ready = 0;

    if (connection->busy == 0) {
        perm_redis_connection_free(connection);
    }
}


void
perm_redis_connection_fail(perm_redis_connection_t *connection,
    const char *reason)
{
    if (connection->gone || connection->failed) {
        return;
    }

    perm_redis_connection_error(connection, "%s", reason);

    connection->failed = 1;
    connection->ready = 0;

    ngx_post_event(&connection->post, &ngx_posted_events);
}


ngx_int_t
perm_redis_connection_submit(perm_redis_connection_t *connection,
    perm_redis_command_t *command)
{
    if (!connection->ready || connection->failed) {
        return NGX_ERROR;
    }

    return perm_redis_pipeline_append(connection, command);
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
        perm_redis_command_free(command);
        return NULL;
    }

    return command;
}


void
perm_redis_connection_adopt(perm_redis_connection_t *connection,
    perm_redis_connection_handlers_t *handlers, void *data)
{
    connection->handlers = handlers;
    connection->data = data;
}


ngx_uint_t
perm_redis_connection_hung(perm_redis_connection_t *connection)
{
    return connection->hung;
}


ngx_uint_t
perm_redis_connection_ready(perm_redis_connection_t *connection)
{
    return connection->ready;
}


perm_redis_role_t
perm_redis_connection_role(perm_redis_connection_t *connection)
{
    return connection->role;
}


ngx_str_t *
perm_redis_connection_name(perm_redis_connection_t *connection)
{
    return &connection->addr.name;
}


ngx_uint_t
perm_redis_connection_outstanding(perm_redis_connection_t *connection)
{
    return connection->outstanding;
}


ngx_msec_t
perm_redis_connection_waiting(perm_redis_connection_t *connection)
{
    ngx_queue_t           *q;
    perm_redis_command_t  *command;

    if (ngx_queue_empty(&connection->pipeline)) {
        return 0;
    }

    q = ngx_queue_head(&connection->pipeline);
    command = ngx_queue_data(q, perm_redis_command_t, queue);

    return ngx_current_msec - command->sent;
}


void
perm_redis_connection_poll(perm_redis_connection_t *connection,
    struct pollfd *pfd)
{
    ngx_connection_t  *c;

    c = connection->peer.connection;

    pfd->fd = (c != NULL) ? c->fd : -1;
    pfd->events = POLLIN;
    pfd->revents = 0;

    if (!connection->connected || connection->pos < connection->last) {
        pfd->events |= POLLOUT;
    }
}


void
perm_redis_connection_polled(perm_redis_connection_t *connection,
    struct pollfd *pfd)
{
    ngx_event_t  *ev;

    perm_redis_connection_enter(connection);

    if (connection->post.posted) {
        ngx_delete_posted_event(&connection->post);
        perm_redis_connection_post_handler(&connection->post);
    }

    if (pfd->revents && !connection->gone && (pfd->revents & ~POLLIN)) {
        ev = connection->peer.connection->write;
        ev->ready = 1;
        ev->handler(ev);
    }

    if (pfd->revents && !connection->gone && (pfd->revents & ~POLLOUT)) {
        ev = connection->peer.connection->read;
        ev->ready = 1;
        ev->available = -1;
        ev->handler(ev);
    }

    ev = &connection->timer;

    if (!connection->gone && ev->timer_set
        && (ngx_msec_int_t) (ev->timer.key - ngx_current_msec) <= 0)
    {
        ngx_del_timer(ev);
        ev->handler(ev);
    }

    perm_redis_connection_leave(connection);
}
