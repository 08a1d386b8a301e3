
/*
 * What happens to a connection: its socket, its timer, its log.
 */


#include "redis/connection_priv.h"


#define PERM_REDIS_READ_SIZE   16384   /* bytes of one recv() */
#define PERM_REDIS_READ_TURNS  16      /* before others have their turn */


/*
 * What nginx's functions say about the socket and TLS is the reason of the
 * failure, which the owner logs if it differs from the last one: they must
 * not fill the log themselves at every attempt.
 */

void
perm_redis_connection_log_writer(ngx_log_t *log, ngx_uint_t level,
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

    if (p == NULL || last - p < 2) {
        return;
    }

    p += 2;

    connection->error_len = ngx_min(last - p, PERM_REDIS_REASON_MAX);
    ngx_memcpy(connection->error, p, connection->error_len);
}


static void
perm_redis_connection_opened(perm_redis_connection_t *connection)
{
    connection->connected = 1;
    connection->error_len = 0;

    if (perm_redis_handshake(connection) != NGX_OK) {
        perm_redis_connection_lost(connection);
    }
}


static ngx_int_t
perm_redis_connection_test(perm_redis_connection_t *connection)
{
    int         err;
    socklen_t   len;

    err = 0;
    len = sizeof(int);

    if (getsockopt(connection->peer.connection->fd, SOL_SOCKET, SO_ERROR,
                   (void *) &err, &len)
        == -1)
    {
        err = ngx_socket_errno;
    }

    if (err) {
        (void) ngx_connection_error(connection->peer.connection, err,
                                    "connect() failed");
        return NGX_ERROR;
    }

    return NGX_OK;
}


void
perm_redis_connection_write(ngx_event_t *wev)
{
    ngx_connection_t         *c;
    perm_redis_connection_t  *connection;

    c = wev->data;
    connection = c->data;

    perm_redis_connection_enter(connection);

    if (connection->connected) {

        if (perm_redis_pipeline_write(connection) != NGX_OK) {
            perm_redis_connection_lost(connection);
        }

    } else if (perm_redis_connection_test(connection) != NGX_OK) {
        perm_redis_connection_lost(connection);

    } else {
        perm_redis_connection_opened(connection);
    }

    perm_redis_connection_leave(connection);
}


/* NGX_OK: come back later; NGX_ERROR: it ends, with "error" set */

static ngx_int_t
perm_redis_connection_receive(perm_redis_connection_t *connection)
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

        if (n == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (n == 0) {

            if (connection->error_len == 0) {
                perm_redis_connection_error(connection,
                                            "the server closed the connection");
            }

            return NGX_ERROR;
        }

        if (perm_redis_pipeline_read(connection, buf, n) != NGX_OK) {
            return NGX_ERROR;
        }

        if (connection->gone || connection->failed) {
            return NGX_OK;
        }
    }

    ngx_post_event(rev, &ngx_posted_next_events);

    return NGX_OK;
}


void
perm_redis_connection_read(ngx_event_t *rev)
{
    ngx_connection_t         *c;
    perm_redis_connection_t  *connection;

    c = rev->data;
    connection = c->data;

    perm_redis_connection_enter(connection);

    if (c->close) {

        /* the worker's time to quit is up: worker_shutdown_timeout */

        perm_redis_connection_error(connection, "the worker shuts down");
        perm_redis_connection_lost(connection);

    } else if (connection->connected && !connection->failed
               && perm_redis_connection_receive(connection) != NGX_OK)
    {
        perm_redis_connection_lost(connection);
    }

    perm_redis_connection_leave(connection);
}


void
perm_redis_connection_post_handler(ngx_event_t *ev)
{
    perm_redis_connection_t  *connection;

    connection = ev->data;

    if (connection->failed) {
        perm_redis_connection_enter(connection);
        perm_redis_connection_lost(connection);
        perm_redis_connection_leave(connection);

        return;
    }

    perm_redis_connection_write(connection->peer.connection->write);
}


static void
perm_redis_connection_late(perm_redis_connection_t *connection)
{
    const char  *what;

    what = "no connection within %M ms";

    if (connection->connected) {
        what = "no answer to the handshake within %M ms";

#if (NGX_SSL)
        if (connection->peer.connection->ssl
            && !connection->peer.connection->ssl->handshaked)
        {
            what = "no answer to the TLS handshake within %M ms: does the "
                   "server speak TLS on this port?";
        }
#endif
    }

    perm_redis_connection_error(connection, what,
                                connection->conf->connect_timeout);
}


void
perm_redis_connection_timer_handler(ngx_event_t *ev)
{
    perm_redis_connection_t  *connection;

    connection = ev->data;

    perm_redis_connection_enter(connection);

    if (!connection->ready) {
        perm_redis_connection_late(connection);
        perm_redis_connection_lost(connection);

        goto done;
    }

    /* a worker that was busy elsewhere may not have read what is there */

    perm_redis_connection_read(connection->peer.connection->read);

    if (connection->gone || connection->failed) {
        goto done;
    }

    if (perm_redis_pipeline_expire(connection) != NGX_OK) {
        perm_redis_connection_lost(connection);
    }

done:

    perm_redis_connection_leave(connection);
}
