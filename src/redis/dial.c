
#include "redis/dial.h"


#define PERM_REDIS_DIAL_REASON_MAX  480   /* bytes */


struct perm_redis_dial_s {
    ngx_pool_t                        *pool;
    perm_redis_conf_t                 *conf;
    perm_redis_peer_t                  kind;
    perm_redis_node_t                  node;
    ngx_log_t                         *log;

    perm_redis_connection_handlers_t  *handlers;
    void                              *data;
    perm_redis_dialed_pt               dialed;

    ngx_resolver_ctx_t                *ctx;     /* while resolving */
    ngx_event_t                        post;    /* when addresses are there */

    ngx_addr_t                        *addrs;
    ngx_uint_t                         naddrs;
    ngx_uint_t                         tried;
    ngx_uint_t                        *next;
    ngx_uint_t                         own_next;

    perm_redis_connection_t           *connection;

    ngx_str_t                          reason;
    u_char                             buf[PERM_REDIS_DIAL_REASON_MAX];
};


static void perm_redis_dial_ready(void *data,
    perm_redis_connection_t *connection);
static void perm_redis_dial_closed(void *data,
    perm_redis_connection_t *connection, ngx_str_t *reason);


static perm_redis_connection_handlers_t  perm_redis_dial_handlers = {
    perm_redis_dial_ready,
    perm_redis_dial_closed,
    NULL
};


ngx_uint_t
perm_redis_node_valid(ngx_str_t *name)
{
    size_t  i;

    for (i = 0; i < name->len; i++) {
        if (name->data[i] <= ' ' || name->data[i] > '~') {
            return 0;
        }
    }

    return name->len > 0 && name->len <= PERM_REDIS_NODE_HOST_MAX;
}


size_t
perm_redis_node_name(u_char *buf, perm_redis_node_t *node)
{
    ngx_str_t  name;

    name = node->name;
    name.len = ngx_min(name.len, PERM_REDIS_NODE_HOST_MAX);

    if (node->port == 0) {
        return ngx_sprintf(buf, "unix:%V", &name) - buf;
    }

    if (ngx_strlchr(name.data, name.data + name.len, ':') != NULL) {
        return ngx_sprintf(buf, "[%V]:%ui", &name, (ngx_uint_t) node->port)
               - buf;
    }

    return ngx_sprintf(buf, "%V:%ui", &name, (ngx_uint_t) node->port) - buf;
}


static void
perm_redis_dial_free(perm_redis_dial_t *dial)
{
    if (dial->post.posted) {
        ngx_delete_posted_event(&dial->post);
    }

    ngx_destroy_pool(dial->pool);
}


static void
perm_redis_dial_done(perm_redis_dial_t *dial,
    perm_redis_connection_t *connection)
{
    dial->dialed(dial->data, connection, &dial->reason);

    perm_redis_dial_free(dial);
}


static void
perm_redis_dial_reason(perm_redis_dial_t *dial, ngx_str_t *address,
    ngx_str_t *reason)
{
    u_char     *p;
    size_t      len;
    u_char      name[PERM_REDIS_NODE_NAME_MAX];

    p = dial->buf;

    /* which of several, where the node's name does not say it */

    len = perm_redis_node_name(name, &dial->node);

    if (len != address->len || ngx_memcmp(name, address->data, len) != 0) {
        p = ngx_snprintf(p, PERM_REDIS_DIAL_REASON_MAX, "%V: ", address);
    }

    p = ngx_slprintf(p, dial->buf + PERM_REDIS_DIAL_REASON_MAX, "%V", reason);

    dial->reason.data = dial->buf;
    dial->reason.len = p - dial->buf;
}


static void
perm_redis_dial_say(perm_redis_dial_t *dial, const char *what,
    const char *reason)
{
    dial->reason.data = dial->buf;
    dial->reason.len = ngx_snprintf(dial->buf, PERM_REDIS_DIAL_REASON_MAX,
                                    "%s%s", what, reason)
                       - dial->buf;
}


/* the next address, or the end */

static void
perm_redis_dial_next(perm_redis_dial_t *dial)
{
    ngx_addr_t  *addr;

    if (dial->tried == dial->naddrs) {
        perm_redis_dial_done(dial, NULL);
        return;
    }

    dial->tried++;

    addr = &dial->addrs[*dial->next % dial->naddrs];

    dial->connection = perm_redis_connect(dial->conf, dial->kind, addr,
                                          &dial->node.name, dial->log,
                                          &perm_redis_dial_handlers, dial);

    if (dial->connection == NULL) {
        perm_redis_dial_say(dial, "out of memory", "");
        perm_redis_dial_done(dial, NULL);
    }
}


static void
perm_redis_dial_ready(void *data, perm_redis_connection_t *connection)
{
    perm_redis_dial_t  *dial = data;

    perm_redis_connection_adopt(connection, dial->handlers, dial->data);
    perm_redis_dial_done(dial, connection);
}


static void
perm_redis_dial_closed(void *data, perm_redis_connection_t *connection,
    ngx_str_t *reason)
{
    perm_redis_dial_t  *dial = data;

    dial->connection = NULL;
    (*dial->next)++;

    perm_redis_dial_reason(dial, perm_redis_connection_name(connection),
                           reason);
    perm_redis_dial_next(dial);
}


static void
perm_redis_dial_post_handler(ngx_event_t *ev)
{
    perm_redis_dial_next(ev->data);
}


static ngx_int_t
perm_redis_dial_name_addr(perm_redis_dial_t *dial, ngx_addr_t *addr)
{
    ngx_inet_set_port(addr->sockaddr, dial->node.port);

    addr->name.data = ngx_pnalloc(dial->pool, NGX_SOCKADDR_STRLEN);
    if (addr->name.data == NULL) {
        return NGX_ERROR;
    }

    addr->name.len = ngx_sock_ntop(addr->sockaddr, addr->socklen,
                                   addr->name.data, NGX_SOCKADDR_STRLEN, 1);

    return NGX_OK;
}


static ngx_int_t
perm_redis_dial_room(perm_redis_dial_t *dial, ngx_uint_t n)
{
    dial->addrs = ngx_pcalloc(dial->pool, n * sizeof(ngx_addr_t));

    return dial->addrs != NULL ? NGX_OK : NGX_ERROR;
}


/* with the node's port */

static ngx_int_t
perm_redis_dial_copy_addr(perm_redis_dial_t *dial, struct sockaddr *sockaddr,
    socklen_t socklen)
{
    ngx_addr_t  *addr;

    addr = &dial->addrs[dial->naddrs];

    addr->socklen = socklen;
    addr->sockaddr = ngx_palloc(dial->pool, sizeof(ngx_sockaddr_t));
    if (addr->sockaddr == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(addr->sockaddr, sockaddr, socklen);

    if (perm_redis_dial_name_addr(dial, addr) != NGX_OK) {
        return NGX_ERROR;
    }

    dial->naddrs++;

    return NGX_OK;
}


static ngx_int_t
perm_redis_dial_copy_addrs(perm_redis_dial_t *dial, ngx_resolver_ctx_t *ctx)
{
    ngx_uint_t  i;

    if (perm_redis_dial_room(dial, ctx->naddrs) != NGX_OK) {
        return NGX_ERROR;
    }

    for (i = 0; i < ctx->naddrs; i++) {
        if (perm_redis_dial_copy_addr(dial, ctx->addrs[i].sockaddr,
                                      ctx->addrs[i].socklen)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/*
 * What start resolved is better than nothing.  A node of a cluster that does
 * not know its address is at that of another one, with its own port.
 */

static void
perm_redis_dial_known_addrs(perm_redis_dial_t *dial)
{
    ngx_uint_t               i;
    perm_redis_conf_host_t  *host;

    host = dial->node.host;

    if (host == NULL) {
        return;
    }

    if (host->port == dial->node.port) {
        dial->addrs = host->addrs;
        dial->naddrs = host->naddrs;
        return;
    }

    if (perm_redis_dial_room(dial, host->naddrs) != NGX_OK) {
        return;
    }

    for (i = 0; i < host->naddrs; i++) {
        if (perm_redis_dial_copy_addr(dial, host->addrs[i].sockaddr,
                                      host->addrs[i].socklen)
            != NGX_OK)
        {
            return;
        }
    }
}


/* may be called within ngx_resolve_name() */

static void
perm_redis_dial_resolved(ngx_resolver_ctx_t *ctx)
{
    perm_redis_dial_t  *dial;

    dial = ctx->data;

    if (ctx->state || ctx->naddrs == 0) {
        perm_redis_dial_say(dial, "the name cannot be resolved: ",
                            ctx->state ? ngx_resolver_strerror(ctx->state)
                                       : "it has no address");
        perm_redis_dial_known_addrs(dial);

    } else if (perm_redis_dial_copy_addrs(dial, ctx) != NGX_OK) {
        perm_redis_dial_say(dial, "out of memory", "");
        dial->naddrs = 0;
    }

    ngx_resolve_name_done(ctx);
    dial->ctx = NULL;

    ngx_post_event(&dial->post, &ngx_posted_events);
}


static ngx_int_t
perm_redis_dial_resolve(perm_redis_dial_t *dial)
{
    ngx_resolver_ctx_t  *ctx;

    ctx = ngx_resolve_start(dial->conf->resolver, NULL);

    if (ctx == NULL || ctx == NGX_NO_RESOLVER) {
        return NGX_ERROR;
    }

    ctx->name = dial->node.name;
    ctx->handler = perm_redis_dial_resolved;
    ctx->data = dial;
    ctx->timeout = ngx_min(dial->conf->resolver_timeout,
                           dial->conf->connect_timeout);

    /* a worker that quits waits for commands, not for names */

    ctx->cancelable = 1;

    dial->ctx = ctx;

    if (ngx_resolve_name(ctx) != NGX_OK) {
        dial->ctx = NULL;
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* finds the addresses, now or later */

static void
perm_redis_dial_start(perm_redis_dial_t *dial)
{
    ngx_addr_t  *addr;

    addr = ngx_pcalloc(dial->pool, sizeof(ngx_addr_t));

    if (addr == NULL) {
        perm_redis_dial_say(dial, "out of memory", "");

    } else if (dial->node.port != 0
               && ngx_parse_addr(dial->pool, addr, dial->node.name.data,
                                 dial->node.name.len)
                  == NGX_OK
               && perm_redis_dial_name_addr(dial, addr) == NGX_OK)
    {
        dial->addrs = addr;
        dial->naddrs = 1;

    } else if (dial->node.port != 0 && dial->conf->resolver != NULL
               && perm_redis_dial_resolve(dial) == NGX_OK)
    {
        return;

    } else {
        perm_redis_dial_known_addrs(dial);

        if (dial->naddrs == 0) {
            perm_redis_dial_say(dial, "the name cannot be resolved without ",
                                "\"resolver\" in the http block");
        }
    }

    ngx_post_event(&dial->post, &ngx_posted_events);
}


perm_redis_dial_t *
perm_redis_dial(perm_redis_conf_t *conf, perm_redis_peer_t kind,
    perm_redis_node_t *node, ngx_uint_t *next, ngx_log_t *log,
    perm_redis_connection_handlers_t *handlers, void *data,
    perm_redis_dialed_pt dialed)
{
    ngx_pool_t         *pool;
    perm_redis_dial_t  *dial;

    pool = ngx_create_pool(2048, log);
    if (pool == NULL) {
        return NULL;
    }

    dial = ngx_pcalloc(pool, sizeof(perm_redis_dial_t));
    if (dial == NULL) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    dial->node = *node;
    dial->node.name.data = ngx_pstrdup(pool, &node->name);
    if (dial->node.name.data == NULL) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    dial->pool = pool;
    dial->conf = conf;
    dial->kind = kind;
    dial->log = log;
    dial->handlers = handlers;
    dial->data = data;
    dial->dialed = dialed;
    dial->next = (next != NULL) ? next : &dial->own_next;

    dial->post.data = dial;
    dial->post.handler = perm_redis_dial_post_handler;
    dial->post.log = log;

    perm_redis_dial_start(dial);

    return dial;
}


void
perm_redis_dial_cancel(perm_redis_dial_t *dial)
{
    if (dial->ctx != NULL) {
        ngx_resolve_name_done(dial->ctx);
    }

    if (dial->connection != NULL) {
        perm_redis_connection_close(dial->connection);
    }

    perm_redis_dial_free(dial);
}


void
perm_redis_dial_poll(perm_redis_dial_t *dial, struct pollfd *pfd)
{
    if (dial->connection != NULL) {
        perm_redis_connection_poll(dial->connection, pfd);
        return;
    }

    pfd->fd = -1;
    pfd->revents = 0;
}


void
perm_redis_dial_polled(perm_redis_dial_t *dial, struct pollfd *pfd)
{
    if (dial->connection != NULL) {
        perm_redis_connection_polled(dial->connection, pfd);

    } else if (dial->post.posted) {
        ngx_delete_posted_event(&dial->post);
        perm_redis_dial_next(dial);
    }
}
