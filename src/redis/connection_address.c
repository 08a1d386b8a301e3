
/*
 * The addresses of a node: its name may be one, the resolver knows, or they
 * were found at start.
 */


#include "redis/connection_priv.h"


static void perm_redis_address_found(ngx_resolver_ctx_t *ctx);
static void perm_redis_address_known(perm_redis_connection_t *connection);


void
perm_redis_connection_address_find(perm_redis_connection_t *connection)
{
    ngx_addr_t          addr;
    perm_redis_node_t  *node;

    node = connection->node;

    if (node->port != 0
        && ngx_parse_addr(connection->pool, &addr, node->name,
                          ngx_strlen(node->name))
           == NGX_OK)
    {
        perm_redis_connection_address_add(connection, addr.sockaddr,
                                          addr.socklen);

    } else if (connection->named
               && perm_redis_connection_address_resolve(connection,
                                                    perm_redis_address_found)
                  == NGX_OK)
    {
        return;

    } else {
        perm_redis_connection_error(connection,
                                    "the name cannot be resolved without "
                                    "\"resolver\" in the http block");
        perm_redis_address_known(connection);
    }

    ngx_post_event(&connection->post, &ngx_posted_events);
}


/* with the port of the node */

void
perm_redis_connection_address_add(perm_redis_connection_t *connection,
    struct sockaddr *sockaddr, socklen_t socklen)
{
    u_char           *text;
    ngx_addr_t       *addr;
    struct sockaddr  *copy;

    addr = ngx_array_push(&connection->addrs);
    copy = ngx_palloc(connection->pool, socklen);
    text = ngx_pnalloc(connection->pool, NGX_SOCKADDR_STRLEN);

    if (addr == NULL || copy == NULL || text == NULL) {
        connection->addrs.nelts = 0;
        perm_redis_connection_error(connection, "out of memory");
        return;
    }

    ngx_memcpy(copy, sockaddr, socklen);
    ngx_inet_set_port(copy, connection->node->port);

    addr->sockaddr = copy;
    addr->socklen = socklen;
    addr->name.data = text;
    addr->name.len = ngx_sock_ntop(copy, socklen, text, NGX_SOCKADDR_STRLEN,
                                   1);
}


ngx_int_t
perm_redis_connection_address_resolve(perm_redis_connection_t *connection,
    ngx_resolver_handler_pt handler)
{
    ngx_resolver_ctx_t  *ctx;

    ctx = ngx_resolve_start(connection->conf->resolver, NULL);

    if (ctx == NULL || ctx == NGX_NO_RESOLVER) {
        return NGX_ERROR;
    }

    ctx->name.data = connection->node->name;
    ctx->name.len = ngx_strlen(connection->node->name);
    ctx->handler = handler;
    ctx->data = connection;
    ctx->timeout = ngx_min(connection->conf->resolver_timeout,
                           connection->conf->connect_timeout);

    /* a worker that quits waits for commands, not for names */

    ctx->cancelable = 1;

    connection->resolving = ctx;

    ngx_log_debug1(NGX_LOG_DEBUG_CORE, connection->base, 0,
                   "app_permission: redis %s: resolve",
                   connection->node->label);

    if (ngx_resolve_name(ctx) != NGX_OK) {
        connection->resolving = NULL;
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* may be called within ngx_resolve_name() */

static void
perm_redis_address_found(ngx_resolver_ctx_t *ctx)
{
    ngx_uint_t                i;
    perm_redis_connection_t  *connection;

    connection = ctx->data;

    if (ctx->state || ctx->naddrs == 0) {
        perm_redis_connection_error(connection,
                                    "the name cannot be resolved: %s",
                                    ctx->state
                                    ? ngx_resolver_strerror(ctx->state)
                                    : "it has no address");
        perm_redis_address_known(connection);
    }

    for (i = 0; ctx->state == 0 && i < ctx->naddrs; i++) {
        perm_redis_connection_address_add(connection, ctx->addrs[i].sockaddr,
                                          ctx->addrs[i].socklen);
    }

    perm_redis_connection_address_resolved(connection);

    ngx_post_event(&connection->post, &ngx_posted_events);
}


void
perm_redis_connection_address_resolved(perm_redis_connection_t *connection)
{
    ngx_resolve_name_done(connection->resolving);
    connection->resolving = NULL;
}


static void
perm_redis_address_known(perm_redis_connection_t *connection)
{
    ngx_uint_t          i;
    perm_redis_node_t  *node;

    node = connection->node;

    for (i = 0; i < node->naddrs; i++) {
        perm_redis_connection_address_add(connection, node->addrs[i].sockaddr,
                                          node->addrs[i].socklen);
    }
}
