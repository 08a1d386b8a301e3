
/*
 * The socket of a connection: its events, its timer, its log.
 */


#include "redis/connection_priv.h"

#include <poll.h>


#define PERM_REDIS_READ_SIZE   16384   /* bytes of one recv() */
#define PERM_REDIS_READ_TURNS  16      /* before others have a turn */
#define PERM_REDIS_SHOWN       128     /* bytes of an error within another */


static ngx_int_t perm_redis_socket_opened(perm_redis_connection_t *connection);
static ngx_int_t perm_redis_socket_receive(perm_redis_connection_t *connection);
static void perm_redis_socket_look(ngx_event_t *rev);
static void perm_redis_socket_ended(perm_redis_connection_t *connection);
static ngx_uint_t perm_redis_socket_tls(perm_redis_connection_t *connection,
    u_char *buf, size_t len);


void
perm_redis_connection_socket_connect(perm_redis_connection_t *connection)
{
    ngx_int_t               rc;
    ngx_addr_t             *addr;
    ngx_connection_t       *c;
    ngx_peer_connection_t  *peer;

    if (connection->addrs.nelts == 0) {
        perm_redis_connection_lost(connection);
        return;
    }

    addr = connection->addrs.elts;
    addr += connection->node->next % connection->addrs.nelts;

    connection->tried++;
    connection->connected = 0;
    connection->heard = 0;
    connection->explained = 0;
    connection->error_len = 0;

    peer = &connection->peer;

    peer->sockaddr = addr->sockaddr;
    peer->socklen = addr->socklen;
    peer->name = &addr->name;
    peer->get = ngx_event_get_peer;
    peer->log = &connection->log;
    peer->log_error = NGX_ERROR_ERR;
    peer->so_keepalive = 1;

    ngx_log_debug2(NGX_LOG_DEBUG_CORE, connection->base, 0,
                   "app_permission: redis %s: connect to %V",
                   connection->node->label, peer->name);

    if (perm_redis_connection_pipeline_init(connection) != NGX_OK) {
        perm_redis_connection_error(connection, "out of memory");
        perm_redis_connection_abort(connection);
        return;
    }

    connection->opened = ngx_current_msec;

    rc = ngx_event_connect_peer(peer);

    if (rc != NGX_OK && rc != NGX_AGAIN) {
        perm_redis_connection_abort(connection);
        return;
    }

    c = peer->connection;

    c->data = connection;
    c->pool = connection->pool;
    c->log = &connection->log;

    c->read->handler = perm_redis_connection_socket_read;
    c->write->handler = perm_redis_connection_socket_write;

    /* commands that wait for the connection have a timer of their own */

    connection->timer.cancelable = 1;
    ngx_add_timer(&connection->timer, connection->conf->connect_timeout);

    if (rc == NGX_OK) {
        ngx_post_event(&connection->post, &ngx_posted_events);
    }
}


void
perm_redis_connection_socket_write(ngx_event_t *wev)
{
    ngx_int_t                 rc;
    ngx_connection_t         *c;
    perm_redis_connection_t  *connection;

    c = wev->data;
    connection = c->data;

    perm_redis_connection_enter(connection);

    rc = connection->connected
         ? perm_redis_connection_pipeline_write(connection)
         : perm_redis_socket_opened(connection);

    if (rc != NGX_OK) {
        perm_redis_connection_lost(connection);
    }

    perm_redis_connection_leave(connection);
}


static ngx_int_t
perm_redis_socket_opened(perm_redis_connection_t *connection)
{
    int                err;
    socklen_t          len;
    ngx_connection_t  *c;

    c = connection->peer.connection;
    err = 0;
    len = sizeof(int);

    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, (void *) &err, &len) == -1) {
        err = ngx_socket_errno;
    }

    if (err) {
        (void) ngx_connection_error(c, err, "connect() failed");
        return NGX_ERROR;
    }

    connection->connected = 1;
    connection->error_len = 0;

    ngx_log_debug1(NGX_LOG_DEBUG_CORE, connection->base, 0,
                   "app_permission: redis %s: connected",
                   connection->node->label);

    if (connection->peer.sockaddr->sa_family != AF_UNIX
        && ngx_tcp_nodelay(c) != NGX_OK)
    {
        return NGX_ERROR;
    }

#if (NGX_SSL)

    if (connection->conf->url->tls) {
        return perm_redis_connection_tls_start(connection);
    }

#endif

    return perm_redis_connection_handshake(connection);
}


void
perm_redis_connection_socket_read(ngx_event_t *rev)
{
    ngx_connection_t         *c;
    perm_redis_connection_t  *connection;

    c = rev->data;
    connection = c->data;

    perm_redis_connection_enter(connection);

    if (c->close) {

        /* worker_shutdown_timeout is over, which says nothing of the server */

        connection->opened = 0;
        perm_redis_connection_error(connection, "the worker shuts down");
        perm_redis_connection_lost(connection);

    } else if (connection->connected && !connection->failed
               && perm_redis_socket_receive(connection) != NGX_OK)
    {
        perm_redis_connection_lost(connection);
    }

    perm_redis_connection_leave(connection);
}


/* NGX_OK: come back later; NGX_ERROR: it ends, with "error" set */

static ngx_int_t
perm_redis_socket_receive(perm_redis_connection_t *connection)
{
    u_char             buf[PERM_REDIS_READ_SIZE];
    ssize_t            n;
    ngx_uint_t         turns;
    ngx_event_t       *rev;
    ngx_connection_t  *c;

    c = connection->peer.connection;
    rev = c->read;

    for (turns = 0; turns < PERM_REDIS_READ_TURNS; turns++) {

        n = c->recv(c, buf, PERM_REDIS_READ_SIZE);

        if (n == NGX_AGAIN) {
            return ngx_handle_read_event(rev, 0);
        }

        if (n == NGX_ERROR || n == 0) {
            perm_redis_socket_ended(connection);
            return NGX_ERROR;
        }

        if (!connection->heard) {
            connection->heard = 1;

            if (perm_redis_socket_tls(connection, buf, n)) {
                return NGX_ERROR;
            }
        }

        if (perm_redis_connection_pipeline_read(connection, buf, n) != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (connection->gone || connection->failed) {
            return NGX_OK;
        }
    }

    ngx_post_event(rev, &ngx_posted_next_events);

    return NGX_OK;
}


/* reads, also before epoll says that there is something: nginx would not */

static void
perm_redis_socket_look(ngx_event_t *rev)
{
    rev->ready = 1;
    rev->available = -1;
    rev->handler(rev);
}


/* a server that expects TLS closes when it reads anything else */

static void
perm_redis_socket_ended(perm_redis_connection_t *connection)
{
    size_t  len;
    u_char  why[PERM_REDIS_SHOWN];

    if (connection->error_len == 0) {
        perm_redis_connection_error(connection,
                                    "the server closed the connection");
    }

    if (connection->heard || connection->node->met
        || connection->conf->url->tls)
    {
        return;
    }

    len = ngx_min(connection->error_len, PERM_REDIS_SHOWN);
    ngx_memcpy(why, connection->error, len);

    perm_redis_connection_error(connection,
                                "%*s, before it answered: does it expect TLS "
                                "on this port?  Then the URL in "
                                "\"app_permission_redis\" begins with "
                                "\"rediss\"", len, why);
}


/* a record of TLS in place of a reply: its type, and version 3.x */

static ngx_uint_t
perm_redis_socket_tls(perm_redis_connection_t *connection, u_char *buf,
    size_t len)
{
    if (connection->conf->url->tls || len < 2
        || buf[0] < 0x14 || buf[0] > 0x17 || buf[1] != 0x03)
    {
        return 0;
    }

    perm_redis_connection_error(connection,
                                "the server speaks TLS on this port: the URL "
                                "in \"app_permission_redis\" should begin "
                                "with \"rediss\"");
    return 1;
}


void
perm_redis_connection_socket_timer(ngx_event_t *ev)
{
    const char               *what;
    perm_redis_connection_t  *connection;

    connection = ev->data;

    perm_redis_connection_enter(connection);

    if (connection->ready) {

        /* a worker that was busy or stopped may not have read the answers */

        perm_redis_socket_look(connection->peer.connection->read);

        if (!connection->gone && !connection->failed
            && perm_redis_connection_pipeline_expire(connection) != NGX_OK)
        {
            perm_redis_connection_lost(connection);
        }

    } else {

        what = connection->connected ? "no answer to the handshake within %M ms"
                                     : "no connection within %M ms";
#if (NGX_SSL)
        if (connection->connected && connection->peer.connection->ssl
            && !connection->peer.connection->ssl->handshaked)
        {
            what = connection->node->met
                   ? "no answer to the TLS handshake within %M ms"
                   : "no answer to the TLS handshake within %M ms: does the "
                     "server hang, or not speak TLS on this port?  Without "
                     "TLS, the URL in \"app_permission_redis\" begins with "
                     "\"redis\"";
        }
#endif
        if (!connection->failed) {
            perm_redis_connection_error(connection, what,
                                        connection->conf->connect_timeout);
        }

        perm_redis_connection_lost(connection);
    }

    perm_redis_connection_leave(connection);
}


ngx_uint_t
perm_redis_connection_unread(perm_redis_connection_t *connection)
{
    u_char  byte;

    return recv(connection->peer.connection->fd, &byte, 1, MSG_PEEK) > 0;
}


void
perm_redis_connection_turn(perm_redis_connection_t *connection,
    ngx_msec_t msec)
{
    ngx_event_t       *ev;
    struct pollfd      pfd;
    ngx_connection_t  *c;

    perm_redis_connection_enter(connection);

    if (connection->post.posted) {
        ngx_delete_posted_event(&connection->post);
        connection->post.handler(&connection->post);
    }

    c = connection->peer.connection;

    pfd.fd = (c != NULL) ? c->fd : -1;
    pfd.events = POLLIN;

    if (!connection->connected || connection->pos < connection->last) {
        pfd.events |= POLLOUT;
    }

    if (poll(&pfd, 1, (int) msec) == -1) {
        pfd.revents = 0;
    }

    ngx_time_update();

    if (c != NULL && (pfd.revents & ~POLLIN)) {
        c->write->ready = 1;
        c->write->handler(c->write);
    }

    if (c != NULL && connection->peer.connection == c
        && (pfd.revents & ~POLLOUT))
    {
        perm_redis_socket_look(c->read);
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


/*
 * Lines of nginx's functions about the socket and TLS become the reason of the
 * failure.  The owner logs a reason once, not at every attempt.
 */

void
perm_redis_connection_socket_log(ngx_log_t *log, ngx_uint_t level,
    u_char *buf, size_t len)
{
    u_char                   *p, *last;
    ngx_log_t                *base;
    perm_redis_connection_t  *connection;

    connection = log->wdata;
    base = connection->base;

    if (level <= NGX_LOG_ALERT || level == NGX_LOG_DEBUG) {

        if (base->writer) {
            base->writer(base, level, buf, len);

        } else if (base->file) {
            (void) ngx_write_fd(base->file->fd, buf, len);
        }

        return;
    }

    /* "2026/01/01 00:00:00 [error] 1#1: message" LF */

    last = buf + len;

    if (len && last[-1] == LF) {
        last--;
    }

    p = ngx_strlchr(buf, last, ']');

    if (p != NULL) {
        p = ngx_strlchr(p, last, ':');
    }

    if (p == NULL || last - p < 2 || connection->explained) {
        return;
    }

    p += 2;

    connection->error_len = ngx_min(last - p, PERM_REDIS_ERROR_MAX);
    ngx_memcpy(connection->error, p, connection->error_len);
}
