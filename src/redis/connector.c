
#include "redis/connector.h"


#define PERM_REDIS_CONNECTOR_REASON_MAX  480   /* bytes */


struct perm_redis_connector_s {
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
    u_char                             buf[PERM_REDIS_CONNECTOR_REASON_MAX];
};


static void perm_redis_connector_ready(void *data,
    perm_redis_connection_t *connection);
static void perm_redis_connector_closed(void *data,
    perm_redis_connection_t *connection, ngx_str_t *reason);


static perm_redis_connection_handlers_t  perm_redis_connector_handlers = {
    perm_redis_connector_ready,
    perm_redis_connector_closed,
    NULL
};


ngx_uint_t
perm_redis_connector_node_valid(ngx_str_t *name)
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
perm_redis_connector_node_name(u_char *buf, perm_redis_node_t *node)
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
perm_redis_connector_free(perm_redis_connector_t *connector)
{
    if (connector->post.posted) {
        ngx_delete_posted_event(&connector->post);
    }

    ngx_destroy_pool(connector->pool);
}


static void
perm_redis_connector_done(perm_redis_connector_t *connector,
    perm_redis_connection_t *connection)
{
    connector->dialed(connector->data, connection, &connector->reason);

    perm_redis_connector_free(connector);
}


static void
perm_redis_connector_reason(perm_redis_connector_t *connector,
    ngx_str_t *address, ngx_str_t *reason)
{
    u_char     *p;
    size_t      len;
    u_char      name[PERM_REDIS_NODE_NAME_MAX];

    p = connector->buf;

    /* which of several, where the node's name does not say it */

    len = perm_redis_connector_node_name(name, &connector->node);

    if (len != address->len || ngx_memcmp(name, address->data, len) != 0) {
        p = ngx_snprintf(p, PERM_REDIS_CONNECTOR_REASON_MAX, "%V: ", address);
    }

    p = ngx_slprintf(p, connector->buf + PERM_REDIS_CONNECTOR_REASON_MAX, "%V",
                     reason);

    connector->reason.data = connector->buf;
    connector->reason.len = p - connector->buf;
}


static void
perm_redis_connector_say(perm_redis_connector_t *connector, const char *what,
    const char *reason)
{
    connector->reason.data = connector->buf;
    connector->reason.len = ngx_snprintf(connector->buf,
                                         PERM_REDIS_CONNECTOR_REASON_MAX,
                                         "%s%s", what, reason)
                       - connector->buf;
}


/* the next address, or the end */

static void
perm_redis_connector_next(perm_redis_connector_t *connector)
{
    ngx_addr_t  *addr;

    if (connector->tried == connector->naddrs) {
        perm_redis_connector_done(connector, NULL);
        return;
    }

    connector->tried++;

    addr = &connector->addrs[*connector->next % connector->naddrs];

    connector->connection =
        perm_redis_connection_open(connector->conf, connector->kind, addr,
                                   &connector->node.name, connector->log,
                                   &perm_redis_connector_handlers, connector);

    if (connector->connection == NULL) {
        perm_redis_connector_say(connector, "out of memory", "");
        perm_redis_connector_done(connector, NULL);
    }
}


static void
perm_redis_connector_ready(void *data, perm_redis_connection_t *connection)
{
    perm_redis_connector_t  *connector = data;

    perm_redis_connection_adopt(connection, connector->handlers,
                                connector->data);
    perm_redis_connector_done(connector, connection);
}


static void
perm_redis_connector_closed(void *data, perm_redis_connection_t *connection,
    ngx_str_t *reason)
{
    perm_redis_connector_t  *connector = data;

    connector->connection = NULL;
    (*connector->next)++;

    perm_redis_connector_reason(connector,
                                perm_redis_connection_name(connection),
                                reason);
    perm_redis_connector_next(connector);
}


static void
perm_redis_connector_post_handler(ngx_event_t *ev)
{
    perm_redis_connector_next(ev->data);
}


static ngx_int_t
perm_redis_connector_name_addr(perm_redis_connector_t *connector,
    ngx_addr_t *addr)
{
    ngx_inet_set_port(addr->sockaddr, connector->node.port);

    addr->name.data = ngx_pnalloc(connector->pool, NGX_SOCKADDR_STRLEN);
    if (addr->name.data == NULL) {
        return NGX_ERROR;
    }

    addr->name.len = ngx_sock_ntop(addr->sockaddr, addr->socklen,
                                   addr->name.data, NGX_SOCKADDR_STRLEN, 1);

    return NGX_OK;
}


static ngx_int_t
perm_redis_connector_room(perm_redis_connector_t *connector, ngx_uint_t n)
{
    connector->addrs = ngx_pcalloc(connector->pool, n * sizeof(ngx_addr_t));

    return connector->addrs != NULL ? NGX_OK : NGX_ERROR;
}


/* with the node's port */

static ngx_int_t
perm_redis_connector_copy_addr(perm_redis_connector_t *connector,
    struct sockaddr *sockaddr, socklen_t socklen)
{
    ngx_addr_t  *addr;

    addr = &connector->addrs[connector->naddrs];

    addr->socklen = socklen;
    addr->sockaddr = ngx_palloc(connector->pool, sizeof(ngx_sockaddr_t));
    if (addr->sockaddr == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(addr->sockaddr, sockaddr, socklen);

    if (perm_redis_connector_name_addr(connector, addr) != NGX_OK) {
        return NGX_ERROR;
    }

    connector->naddrs++;

    return NGX_OK;
}


static ngx_int_t
perm_redis_connector_copy_addrs(perm_redis_connector_t *connector,
    ngx_resolver_ctx_t *ctx)
{
    ngx_uint_t  i;

    if (perm_redis_connector_room(connector, ctx->naddrs) != NGX_OK) {
        return NGX_ERROR;
    }

    for (i = 0; i < ctx->naddrs; i++) {
        if (perm_redis_connector_copy_addr(connector, ctx->addrs[i].sockaddr,
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
perm_redis_connector_known_addrs(perm_redis_connector_t *connector)
{
    ngx_uint_t               i;
    perm_redis_conf_host_t  *host;

    host = connector->node.host;

    if (host == NULL) {
        return;
    }

    if (host->port == connector->node.port) {
        connector->addrs = host->addrs;
        connector->naddrs = host->naddrs;
        return;
    }

    if (perm_redis_connector_room(connector, host->naddrs) != NGX_OK) {
        return;
    }

    for (i = 0; i < host->naddrs; i++) {
        if (perm_redis_connector_copy_addr(connector, host->addrs[i].sockaddr,
                                           host->addrs[i].socklen)
            != NGX_OK)
        {
            return;
        }
    }
}


/* may be called within ngx_resolve_name() */

static void
perm_redis_connector_resolved(ngx_resolver_ctx_t *ctx)
{
    perm_redis_connector_t  *connector;

    connector = ctx->data;

    if (ctx->state || ctx->naddrs == 0) {
        perm_redis_connector_say(connector, "the name cannot be resolved: ",
                                 ctx->state ? ngx_resolver_strerror(ctx->state)
                                       : "it has no address");
        perm_redis_connector_known_addrs(connector);

    } else if (perm_redis_connector_copy_addrs(connector, ctx) != NGX_OK) {
        perm_redis_connector_say(connector, "out of memory", "");
        connector->naddrs = 0;
    }

    ngx_resolve_name_done(ctx);
    connector->ctx = NULL;

    ngx_post_event(&connector->post, &ngx_posted_events);
}


static ngx_int_t
perm_redis_connector_resolve(perm_redis_connector_t *connector)
{
    ngx_resolver_ctx_t  *ctx;

    ctx = ngx_resolve_start(connector->conf->resolver, NULL);

    if (ctx == NULL || ctx == NGX_NO_RESOLVER) {
        return NGX_ERROR;
    }

    ctx->name = connector->node.name;
    ctx->handler = perm_redis_connector_resolved;
    ctx->data = connector;
    ctx->timeout = ngx_min(connector->conf->resolver_timeout,
                           connector->conf->connect_timeout);

    /* a worker that quits waits for commands, not for names */

    ctx->cancelable = 1;

    connector->ctx = ctx;

    if (ngx_resolve_name(ctx) != NGX_OK) {
        connector->ctx = NULL;
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* finds the addresses, now or later */

static void
perm_redis_connector_begin(perm_redis_connector_t *connector)
{
    ngx_addr_t  *addr;

    addr = ngx_pcalloc(connector->pool, sizeof(ngx_addr_t));

    if (addr == NULL) {
        perm_redis_connector_say(connector, "out of memory", "");

    } else if (connector->node.port != 0
               && ngx_parse_addr(connector->pool, addr,
                                 connector->node.name.data,
                                 connector->node.name.len)
                  == NGX_OK
               && perm_redis_connector_name_addr(connector, addr) == NGX_OK)
    {
        connector->addrs = addr;
        connector->naddrs = 1;

    } else if (connector->node.port != 0 && connector->conf->resolver != NULL
               && perm_redis_connector_resolve(connector) == NGX_OK)
    {
        return;

    } else {
        perm_redis_connector_known_addrs(connector);

        if (connector->naddrs == 0) {
            perm_redis_connector_say(connector,
                                     "the name cannot be resolved without ",
                                     "\"resolver\" in the http block");
        }
    }

    ngx_post_event(&connector->post, &ngx_posted_events);
}


perm_redis_connector_t *
perm_redis_connector_start(perm_redis_conf_t *conf, perm_redis_peer_t kind,
    perm_redis_node_t *node, ngx_uint_t *next, ngx_log_t *log,
    perm_redis_connection_handlers_t *handlers, void *data,
    perm_redis_dialed_pt dialed)
{
    ngx_pool_t              *pool;
    perm_redis_connector_t  *connector;

    pool = ngx_create_pool(2048, log);
    if (pool == NULL) {
        return NULL;
    }

    connector = ngx_pcalloc(pool, sizeof(perm_redis_connector_t));
    if (connector == NULL) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    connector->node = *node;
    connector->node.name.data = ngx_pstrdup(pool, &node->name);
    if (connector->node.name.data == NULL) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    connector->pool = pool;
    connector->conf = conf;
    connector->kind = kind;
    connector->log = log;
    connector->handlers = handlers;
    connector->data = data;
    connector->dialed = dialed;
    connector->next = (next != NULL) ? next : &connector->own_next;

    connector->post.data = connector;
    connector->post.handler = perm_redis_connector_post_handler;
    connector->post.log = log;

    perm_redis_connector_begin(connector);

    return connector;
}


void
perm_redis_connector_cancel(perm_redis_connector_t *connector)
{
    if (connector->ctx != NULL) {
        ngx_resolve_name_done(connector->ctx);
    }

    if (connector->connection != NULL) {
        perm_redis_connection_close(connector->connection);
    }

    perm_redis_connector_free(connector);
}


void
perm_redis_connector_poll(perm_redis_connector_t *connector, struct pollfd *pfd)
{
    if (connector->connection != NULL) {
        perm_redis_connection_poll(connector->connection, pfd);
        return;
    }

    pfd->fd = -1;
    pfd->revents = 0;
}


void
perm_redis_connector_polled(perm_redis_connector_t *connector,
    struct pollfd *pfd)
{
    if (connector->connection != NULL) {
        perm_redis_connection_polled(connector->connection, pfd);

    } else if (connector->post.posted) {
        ngx_delete_posted_event(&connector->post);
        perm_redis_connector_next(connector);
    }
}
