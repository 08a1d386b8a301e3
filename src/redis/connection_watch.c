
/*
 * The server behind a connection: a master is searched for, and one that was
 * found is watched.
 *
 * About once a second a beat asks for the role.  It keeps an idle connection
 * from being closed by the server's "timeout", whose shortest is a second, or
 * forgotten by a firewall, and finds out one that was dropped without a word
 * before a command has to.  Managed and load-balanced servers fail over
 * behind one name or address: the role or what the name leads to changes then.
 */


#include "redis/connection_priv.h"


#define PERM_REDIS_WATCH_BEAT    900     /* ms */

/* The resolver has a cache: asked more often, it is no later than that. */

#define PERM_REDIS_WATCH_NAME    300     /* ms */
#define PERM_REDIS_WATCH_LAME    5000    /* ms, after it failed */

#define PERM_REDIS_SEARCH_NAME   100     /* ms, while there is no master */
#define PERM_REDIS_SEARCH_ROUND  500     /* ms, with the same addresses */
#define PERM_REDIS_SEARCH_MAX    10000   /* ms: pools of connections grow */


static void perm_redis_watch_beat(perm_redis_connection_t *connection);
static void perm_redis_watch_answered(void *data, redisReply *reply);
static void perm_redis_watch_resolved(ngx_resolver_ctx_t *ctx);
static void perm_redis_watch_next(perm_redis_connection_t *connection);
static void perm_redis_watch_found(ngx_resolver_ctx_t *ctx);
static void perm_redis_watch_round(perm_redis_connection_t *connection,
    ngx_uint_t changed);
static ngx_uint_t perm_redis_watch_has(ngx_resolver_ctx_t *ctx,
    struct sockaddr *sockaddr, socklen_t socklen);


void
perm_redis_connection_watch_start(perm_redis_connection_t *connection)
{
    /* Sentinels have no other role; a subscriber's owner has its own beats */

    if (connection->node->sentinel || connection->handlers->push != NULL) {
        return;
    }

    connection->beat = ngx_current_msec;
    connection->lame = ngx_current_msec;
    connection->probing = 0;

    ngx_add_timer(&connection->watch, connection->named
                                      ? PERM_REDIS_WATCH_NAME
                                      : PERM_REDIS_WATCH_BEAT);
}


void
perm_redis_connection_watch_timer(ngx_event_t *ev)
{
    perm_redis_connection_t  *connection;

    connection = ev->data;

    perm_redis_connection_enter(connection);

    if (connection->ready) {
        perm_redis_watch_beat(connection);

    } else if (!connection->failed) {
        perm_redis_watch_next(connection);
    }

    perm_redis_connection_leave(connection);
}


static void
perm_redis_watch_beat(perm_redis_connection_t *connection)
{
    ngx_str_t  name;

    ngx_add_timer(&connection->watch, connection->named
                                      ? PERM_REDIS_WATCH_NAME
                                      : PERM_REDIS_WATCH_BEAT);

    if (!connection->probing
        && ngx_current_msec - connection->beat >= PERM_REDIS_WATCH_BEAT)
    {
        /* each refusal of a command gets into the server's ACL LOG */

        if (connection->role == PERM_ROLE_UNKNOWN) {
            ngx_str_set(&name, "PING");

        } else {
            ngx_str_set(&name, "ROLE");
        }

        connection->beat = ngx_current_msec;

        if (perm_redis_connection_send(connection, 1, &name,
                                       perm_redis_watch_answered, connection)
            != NULL)
        {
            connection->probing = 1;
        }
    }

    if (connection->named && connection->resolving == NULL
        && (ngx_msec_int_t) (ngx_current_msec - connection->lame) >= 0)
    {
        (void) perm_redis_connection_address_resolve(connection,
                                                   perm_redis_watch_resolved);
    }
}


static void
perm_redis_watch_answered(void *data, redisReply *reply)
{
    perm_redis_connection_t *connection = data;

    perm_role_t  role;

    if (reply == NULL) {
        return;
    }

    connection->probing = 0;

    if (connection->role == PERM_ROLE_UNKNOWN
        || perm_reply_role(reply, &role) != 0
        || role == PERM_ROLE_UNKNOWN || role == connection->role)
    {
        return;
    }

    connection->moved = 1;

    perm_redis_connection_fail(connection, (role == PERM_ROLE_REPLICA)
                                           ? "the server became a replica"
                                           : "the server became a master");
}


static void
perm_redis_watch_resolved(ngx_resolver_ctx_t *ctx)
{
    ngx_uint_t                known, there;
    perm_redis_connection_t  *connection;

    connection = ctx->data;

    known = (ctx->state == 0 && ctx->naddrs != 0);
    there = known && perm_redis_watch_has(ctx, connection->peer.sockaddr,
                                          connection->peer.socklen);

    perm_redis_connection_address_resolved(connection);

    if (!known) {

        /* the server answers: what the name is does not matter now */

        connection->lame = ngx_current_msec + PERM_REDIS_WATCH_LAME;
        return;
    }

    if (!there) {
        connection->moved = 1;
        perm_redis_connection_fail(connection,
                                   "its name leads to another address now");
    }
}


ngx_uint_t
perm_redis_connection_watch_refuse(perm_redis_connection_t *connection,
    redisReply *reply)
{
    ngx_uint_t  met;

    if (connection->settling
        || connection->conf->url->kind == PERM_REDIS_SENTINEL
        || connection->conf->url->kind == PERM_REDIS_CLUSTER)
    {
        return 0;
    }

    /* a replica that has lost its master knows of no change any more */

    met = perm_reply_role_linked(reply) ? 2 : 1;

    if (met > connection->met) {
        connection->met = met;
        connection->best = connection->node->next;
    }

    perm_redis_connection_error(connection,
                                "the server says that it is a replica, which "
                                "is not trusted");
    return 1;
}


ngx_uint_t
perm_redis_connection_watch_search(perm_redis_connection_t *connection)
{
    if (connection->met == 0 || connection->settling || connection->final) {
        return 0;
    }

    if (connection->replica_ok) {
        connection->settling = 1;
        connection->node->next = connection->best;
        connection->tried--;

        ngx_post_event(&connection->post, &ngx_posted_events);
        return 1;
    }

    if (connection->search == 0) {
        connection->search = ngx_current_msec;
        connection->round = ngx_current_msec;
    }

    if (ngx_current_msec - connection->search >= PERM_REDIS_SEARCH_MAX) {
        return 0;
    }

    ngx_add_timer(&connection->watch, PERM_REDIS_SEARCH_NAME);

    return 1;
}


static void
perm_redis_watch_next(perm_redis_connection_t *connection)
{
    if (!connection->named
        || perm_redis_connection_address_resolve(connection,
                                                 perm_redis_watch_found)
           != NGX_OK)
    {
        perm_redis_watch_round(connection, 0);
    }
}


static void
perm_redis_watch_found(ngx_resolver_ctx_t *ctx)
{
    ngx_uint_t                i, changed;
    ngx_addr_t               *addrs;
    perm_redis_connection_t  *connection;

    connection = ctx->data;
    addrs = connection->addrs.elts;
    changed = 0;

    if (ctx->state == 0 && ctx->naddrs != 0) {

        changed = (ctx->naddrs != connection->addrs.nelts);

        for (i = 0; i < connection->addrs.nelts && !changed; i++) {
            changed = !perm_redis_watch_has(ctx, addrs[i].sockaddr,
                                            addrs[i].socklen);
        }
    }

    if (changed) {
        connection->addrs.nelts = 0;

        for (i = 0; i < ctx->naddrs; i++) {
            perm_redis_connection_address_add(connection,
                                              ctx->addrs[i].sockaddr,
                                              ctx->addrs[i].socklen);
        }
    }

    perm_redis_connection_address_resolved(connection);
    perm_redis_watch_round(connection, changed);
}


/* another round, or another look at the name in a moment */

static void
perm_redis_watch_round(perm_redis_connection_t *connection, ngx_uint_t changed)
{
    if (!changed
        && ngx_current_msec - connection->round < PERM_REDIS_SEARCH_ROUND)
    {
        ngx_add_timer(&connection->watch, PERM_REDIS_SEARCH_NAME);
        return;
    }

    connection->round = ngx_current_msec;
    connection->tried = 0;
    connection->met = 0;

    ngx_post_event(&connection->post, &ngx_posted_events);
}


/* the port is the node's */

static ngx_uint_t
perm_redis_watch_has(ngx_resolver_ctx_t *ctx, struct sockaddr *sockaddr,
    socklen_t socklen)
{
    ngx_uint_t  i;

    for (i = 0; i < ctx->naddrs; i++) {
        if (ngx_cmp_sockaddr(ctx->addrs[i].sockaddr, ctx->addrs[i].socklen,
                             sockaddr, socklen, 0)
            == NGX_OK)
        {
            return 1;
        }
    }

    return 0;
}
