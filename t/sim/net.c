
/*
 * Sockets: nginx's functions that make them, and the network behind them.
 * Bytes arrive in order within a link, in pieces, and when they like.
 */


#include "sim.h"

#include <poll.h>


sim_link_t  sim_links[SIM_LINKS];
ngx_msec_t  sim_latency_min;
ngx_msec_t  sim_latency_max = 2;

static ngx_uint_t  sim_link_ids;


static void sim_link_connected(uintptr_t data);
static void sim_link_up(uintptr_t data);
static void sim_link_down(uintptr_t data);
static void sim_link_end_up(uintptr_t data);
static void sim_link_end_down(uintptr_t data);
static void sim_link_waited(uintptr_t data);
static void sim_link_free(sim_link_t *link);
static ssize_t sim_link_recv(ngx_connection_t *c, u_char *buf, size_t size);
static ssize_t sim_link_send(ngx_connection_t *c, u_char *buf, size_t size);


/* ---- bytes --------------------------------------------------------------- */

void
sim_buf_add(sim_buf_t *buf, const void *data, size_t len)
{
    if (buf->pos + buf->len + len > buf->size) {

        if (buf->len) {
            memmove(buf->data, buf->data + buf->pos, buf->len);
        }

        buf->pos = 0;

        if (buf->len + len > buf->size) {
            buf->size = 2 * (buf->len + len);
            buf->data = realloc(buf->data, buf->size);
        }
    }

    memcpy(buf->data + buf->pos + buf->len, data, len);
    buf->len += len;
}


static void
sim_buf_move(sim_buf_t *to, sim_buf_t *from, size_t len)
{
    len = ngx_min(len, from->len);

    if (len) {
        sim_buf_add(to, from->data + from->pos, len);
        from->pos += len;
        from->len -= len;
    }
}


static void
sim_buf_drop(sim_buf_t *buf)
{
    buf->pos = 0;
    buf->len = 0;
}


/* ---- links --------------------------------------------------------------- */

/* an event of a link: its id, and how many bytes */

#define sim_link_data(link, bytes)  ((uintptr_t) (link)->id << 32 | (bytes))
#define sim_link_of(data)           sim_link_find((data) >> 32)
#define sim_link_bytes(data)        ((data) & 0xffffffff)


sim_link_t *
sim_link_find(ngx_uint_t id)
{
    sim_link_t  *link;

    link = &sim_links[id % SIM_LINKS];

    return (id && link->id == id) ? link : NULL;
}


static sim_link_t *
sim_link_create(void)
{
    ngx_uint_t   n;
    sim_link_t  *link;

    for (n = 0; n < SIM_LINKS; n++) {
        link = &sim_links[++sim_link_ids % SIM_LINKS];

        if (link->id == 0 && sim_link_ids % SIM_LINKS) {
            memset(link, 0, sizeof(sim_link_t));
            link->id = sim_link_ids;
            return link;
        }
    }

    sim_failed("too many links");
}


static ngx_msec_t
sim_link_when(sim_link_t *link, ngx_msec_t *last)
{
    ngx_msec_t  at;

    at = sim_now + sim_between(sim_latency_min, sim_latency_max);
    at = ngx_max(at, link->stalled);
    *last = ngx_max(*last, at);

    return *last;
}


/* what is on its way ends at any byte */

static void
sim_link_cut(sim_buf_t *buf)
{
    if (sim_chance(500)) {
        buf->len = sim_random(buf->len + 1);
    }
}


/* in one piece or in two */

static void
sim_link_transmit(sim_link_t *link, sim_handler_pt handler, ngx_msec_t *last,
    size_t len)
{
    size_t  first;

    first = (len > 1 && sim_chance(30)) ? 1 + sim_random(len - 1) : len;

    sim_at(sim_link_when(link, last), handler, sim_link_data(link, first));

    if (first < len) {
        sim_at(sim_link_when(link, last), handler,
               sim_link_data(link, len - first));
    }
}


/* 1: it is postponed, as the link is stalled by now */

static ngx_uint_t
sim_link_stalled(sim_link_t *link, sim_handler_pt handler, ngx_msec_t *last,
    uintptr_t data)
{
    if (link->stalled <= sim_now) {
        return 0;
    }

    *last = ngx_max(*last, link->stalled);
    sim_at(link->stalled, handler, data);

    return 1;
}


static void
sim_link_ready(sim_link_t *link, ngx_uint_t write)
{
    if (!link->client) {
        return;
    }

    if (write) {
        link->writable = 1;

    } else {
        link->readable = 1;
    }

    sim_worker_wake(link->worker, sim_now);
}


static void
sim_link_connected(uintptr_t data)
{
    sim_link_t  *link = sim_link_of(data);

    if (link == NULL
        || sim_link_stalled(link, sim_link_connected, &link->up.last, data))
    {
        return;
    }

    if (sim_redis.state == SIM_REDIS_GONE) {
        link->failed = 1;

    } else if (link->client) {
        link->server = 1;
    }

    if (!link->client) {
        sim_link_free(link);
        return;
    }

    sim_link_ready(link, 1);
}


static void
sim_link_up(uintptr_t data)
{
    sim_link_t  *link = sim_link_of(data);

    if (link == NULL || !link->server
        || sim_link_stalled(link, sim_link_up, &link->up.last, data))
    {
        return;
    }

    sim_buf_move(&link->up.arrived, &link->up.flight, sim_link_bytes(data));
    sim_redis_wake();
}


static void
sim_link_down(uintptr_t data)
{
    sim_link_t  *link = sim_link_of(data);

    if (link == NULL || !link->client || link->failed
        || sim_link_stalled(link, sim_link_down, &link->down.last, data))
    {
        return;
    }

    sim_buf_move(&link->down.arrived, &link->down.flight,
                 sim_link_bytes(data));
    sim_link_ready(link, 0);
}


void
sim_link_reply(sim_link_t *link, const char *data, size_t len)
{
    link->pushed += len;
    sim_buf_add(&link->down.flight, data, len);
    sim_link_transmit(link, sim_link_down, &link->down.last, len);
}


void
sim_link_close(sim_link_t *link, ngx_uint_t reset)
{
    ngx_msec_t  at;

    link->server = 0;
    link->tracking = 0;
    link->subscribed = 0;

    if (!link->client) {
        sim_link_free(link);
        return;
    }

    if (reset) {
        link->failed = 1;
        sim_buf_drop(&link->down.arrived);
        sim_link_ready(link, 0);
        return;
    }

    sim_link_cut(&link->down.flight);

    at = sim_link_when(link, &link->down.last);
    link->down.last = at + 1;
    sim_at(at + 1, sim_link_end_down, sim_link_data(link, 0));
}


static void
sim_link_end_down(uintptr_t data)
{
    sim_link_t  *link = sim_link_of(data);

    if (link == NULL
        || sim_link_stalled(link, sim_link_end_down, &link->down.last, data))
    {
        return;
    }

    sim_buf_move(&link->down.arrived, &link->down.flight,
                 link->down.flight.len);
    link->eof = 1;
    sim_link_ready(link, 0);
}


/* the worker has closed it, and Redis hears of it */

static void
sim_link_end_up(uintptr_t data)
{
    sim_link_t  *link = sim_link_of(data);

    if (link == NULL
        || sim_link_stalled(link, sim_link_end_up, &link->up.last, data))
    {
        return;
    }

    /* what was sent before is executed, though nobody reads the answers */

    if (link->server && link->up.flight.len) {
        sim_buf_move(&link->up.arrived, &link->up.flight,
                     link->up.flight.len);
    }

    if (link->server && link->up.arrived.len && sim_chance(500)) {
        sim_redis_wake();
        sim_at(sim_now + 10, sim_link_end_up, data);
        return;
    }

    sim_link_free(link);
}


static void
sim_link_free(sim_link_t *link)
{
    sim_judge_gone(link);

    free(link->up.flight.data);
    free(link->up.arrived.data);
    free(link->down.flight.data);
    free(link->down.arrived.data);

    memset(link, 0, sizeof(sim_link_t));
}


static void
sim_link_client_closed(sim_link_t *link)
{
    sim_judge_read(link);
    sim_judge_gone(link);
    link->client = 0;

    sim_buf_drop(&link->down.flight);
    sim_buf_drop(&link->down.arrived);
    sim_link_cut(&link->up.flight);

    sim_at(sim_link_when(link, &link->up.last) + 1, sim_link_end_up,
           sim_link_data(link, 0));
}


void
sim_link_killed(sim_worker_t *worker)
{
    ngx_uint_t   i;
    sim_link_t  *link;

    for (i = 0; i < SIM_LINKS; i++) {
        link = &sim_links[i];

        if (link->id && link->client && link->worker == worker) {
            sim_link_client_closed(link);
        }
    }
}


void
sim_links_events(sim_worker_t *worker)
{
    ngx_uint_t   i, id, first;
    sim_link_t  *link;

    first = sim_random(SIM_LINKS);

    for (i = 0; i < SIM_LINKS; i++) {
        link = &sim_links[(first + i) % SIM_LINKS];

        if (!link->client || link->worker != worker) {
            continue;
        }

        id = link->id;

        if (link->writable) {
            link->writable = 0;
            link->write.ready = 1;
            link->write.handler(&link->write);
        }

        if (link->id == id && link->client && link->readable) {
            link->readable = 0;
            link->read.ready = 1;
            link->read.handler(&link->read);

            if (link->id == id && link->client) {
                sim_judge_read(link);
            }
        }
    }
}


/* ---- nginx's functions --------------------------------------------------- */

ngx_int_t
ngx_event_connect_peer(ngx_peer_connection_t *pc)
{
    sim_link_t        *link;
    ngx_connection_t  *c;

    link = sim_link_create();
    link->worker = sim_worker;
    link->process = sim_worker->process;
    link->client = 1;

    c = &link->c;
    c->fd = (ngx_socket_t) (link - sim_links);
    c->read = &link->read;
    c->write = &link->write;
    c->recv = sim_link_recv;
    c->send = sim_link_send;

    link->read.data = c;
    link->write.data = c;
    link->write.write = 1;
    link->read.log = pc->log;
    link->write.log = pc->log;

    pc->connection = c;

    sim_at(sim_link_when(link, &link->up.last), sim_link_connected,
           sim_link_data(link, 0));

    return NGX_AGAIN;
}


ngx_int_t
ngx_event_get_peer(ngx_peer_connection_t *pc, void *data)
{
    return NGX_OK;
}


void
ngx_close_connection(ngx_connection_t *c)
{
    sim_link_t  *link = (sim_link_t *) c;

    if (link->read.posted) {
        ngx_delete_posted_event(&link->read);
    }

    sim_link_client_closed(link);
}


ngx_int_t
ngx_handle_read_event(ngx_event_t *rev, ngx_uint_t flags)
{
    return NGX_OK;
}


ngx_int_t
ngx_handle_write_event(ngx_event_t *wev, size_t lowat)
{
    return NGX_OK;
}


ngx_int_t
ngx_connection_error(ngx_connection_t *c, ngx_err_t err, char *text)
{
    ngx_log_error(NGX_LOG_ERR, c->log, err, text);

    return NGX_ERROR;
}


ngx_int_t
ngx_tcp_nodelay(ngx_connection_t *c)
{
    return NGX_OK;
}


/* an address is configured: no name is resolved */

ngx_resolver_ctx_t *
ngx_resolve_start(ngx_resolver_t *r, ngx_resolver_ctx_t *temp)
{
    return NGX_NO_RESOLVER;
}


ngx_int_t
ngx_resolve_name(ngx_resolver_ctx_t *ctx)
{
    return NGX_ERROR;
}


void
ngx_resolve_name_done(ngx_resolver_ctx_t *ctx)
{
}


char *
ngx_resolver_strerror(ngx_int_t err)
{
    return "";
}


int
getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
    *(int *) value = sim_links[fd].failed ? ECONNREFUSED : 0;

    return 0;
}


static ssize_t
sim_link_recv(ngx_connection_t *c, u_char *buf, size_t size)
{
    size_t       n;
    sim_buf_t   *in;
    sim_link_t  *link = (sim_link_t *) c;

    in = &link->down.arrived;

    if (in->len) {
        n = ngx_min(size, in->len);
        memcpy(buf, in->data + in->pos, n);
        in->pos += n;
        in->len -= n;
        link->taken += n;
        return (ssize_t) n;
    }

    if (link->failed) {
        return NGX_ERROR;
    }

    if (link->eof) {
        return 0;
    }

    link->read.ready = 0;

    return NGX_AGAIN;
}


static ssize_t
sim_link_send(ngx_connection_t *c, u_char *buf, size_t size)
{
    sim_link_t  *link = (sim_link_t *) c;

    if (link->failed) {
        return NGX_ERROR;
    }

    sim_buf_add(&link->up.flight, buf, size);
    sim_link_transmit(link, sim_link_up, &link->up.last, size);

    return (ssize_t) size;
}


/*
 * The event loop of a worker has ended, and it waits for one socket.  The rest
 * of the world goes on.
 */

int
poll(struct pollfd *fds, nfds_t n, int msec)
{
    ngx_msec_t     end;
    sim_link_t    *link;
    sim_worker_t  *self;

    self = sim_worker;
    end = sim_now + msec;

    for ( ;; ) {
        link = (fds->fd == -1) ? NULL : &sim_links[fds->fd];
        fds->revents = 0;

        if (link && link->client) {

            if (link->readable) {
                fds->revents |= POLLIN;
                link->readable = 0;
            }

            if (link->writable
                || (link->server && (fds->events & POLLOUT)))
            {
                fds->revents |= POLLOUT;
                link->writable = 0;
            }
        }

        if (fds->revents || sim_now >= end) {
            return fds->revents ? 1 : 0;
        }

        sim_at(end, sim_link_waited, 0);
        sim_worker_leave();
        sim_step();
        sim_worker_enter(self);
    }
}


static void
sim_link_waited(uintptr_t data)
{
}
