
/*
 * Servers that say: not here; and those that are gone without a word.
 */


#include "redis/client_priv.h"


#define PERM_REDIS_TRIES_MAX  6


/*
 * "MOVED 3999 127.0.0.1:6381"; with no more than ":6381" it is at the address
 * of the one that says so
 */

static ngx_int_t
perm_redis_client_redirect_node(redisReply *reply, perm_redis_endpoint_t *via,
    perm_redis_node_t *node)
{
    u_char     *p, *last, *colon;
    ngx_int_t   port;

    p = (u_char *) reply->str;
    last = p + reply->len;

    p = ngx_strlchr(p, last, ' ');

    if (p != NULL) {
        p = ngx_strlchr(p + 1, last, ' ');
    }

    if (p == NULL) {
        return NGX_ERROR;
    }

    p++;

    for (colon = last; colon > p && colon[-1] != ':'; colon--) {
        /* void */
    }

    if (colon == p) {
        return NGX_ERROR;
    }

    port = ngx_atoi(colon, last - colon);

    if (port < 1 || port > 65535) {
        return NGX_ERROR;
    }

    *node = via->node;
    node->port = (in_port_t) port;

    if (colon - 1 == p) {
        return NGX_OK;
    }

    node->name.data = p;
    node->name.len = colon - 1 - p;
    node->host = NULL;

    return perm_redis_connector_node_valid(&node->name) ? NGX_OK : NGX_ERROR;
}


/* may it be sent once more? */

static ngx_uint_t
perm_redis_client_redirect_worth(perm_redis_command_t *command)
{
    return command->handler != NULL
           && command->tries < PERM_REDIS_TRIES_MAX
           && (ngx_msec_int_t) (command->deadline - ngx_current_msec) > 0;
}


/* to the one that has its slot, if that is another one */

static ngx_int_t
perm_redis_client_redirect_owner(perm_redis_client_t *redis,
    perm_redis_command_t *command)
{
    perm_redis_endpoint_t  *endpoint;
    perm_redis_node_t      *node;

    node = perm_redis_discovery_slot(redis->nodes, command->slot);
    if (node == NULL) {
        return NGX_ERROR;
    }

    endpoint = perm_redis_client_endpoint(redis, node);

    if (endpoint == NULL || endpoint->number == command->via_number) {
        return NGX_ERROR;
    }

    return perm_redis_endpoint_send(endpoint, command);
}


/*
 * Lost with its link.  A node that leaves a cluster hands its slots over and
 * ends: then another one has this slot, which the next answer to CLUSTER SLOTS
 * tells if the last one did not.  All commands of this module do no harm
 * twice.  "via" may be gone, and its memory be another link's.
 */

static ngx_int_t
perm_redis_client_redirect_lost(perm_redis_client_t *redis,
    perm_redis_command_t *command)
{
    if (!redis->cluster || !perm_redis_client_redirect_worth(command)) {
        return NGX_OK;
    }

    command->asking = 0;

    if (perm_redis_client_redirect_owner(redis, command) == NGX_OK) {
        return NGX_DONE;
    }

    if (command->held || redis->state != PERM_REDIS_UP) {
        return NGX_OK;
    }

    command->held = 1;

    perm_redis_parked_add(&redis->parked, command);
    perm_redis_discovery_refresh(redis->nodes);

    return NGX_DONE;
}


static ngx_int_t
perm_redis_client_redirect_follow(perm_redis_client_t *redis,
    perm_redis_command_t *command, redisReply *reply, ngx_uint_t asking)
{
    perm_redis_endpoint_t  *endpoint;
    perm_redis_node_t       node;

    if (!perm_redis_client_redirect_worth(command) || perm_redis_client_redirect_node(reply, command->via, &node) != NGX_OK)
    {
        return NGX_OK;
    }

    endpoint = perm_redis_client_endpoint(redis, &node);
    if (endpoint == NULL) {
        return NGX_OK;
    }

    command->asking = asking;

    return perm_redis_endpoint_send(endpoint,
                                    command) == NGX_OK ? NGX_DONE : NGX_OK;
}


/* NGX_DONE: the command is on its way to where the error says */

static ngx_int_t
perm_redis_client_redirect_error(perm_redis_client_t *redis,
    perm_redis_command_t *command, redisReply *reply)
{
    if (perm_redis_reply_error(reply, "READONLY")) {

        /* a master no more: neither to write to nor to trust */

        if (redis->conf->url->kind == PERM_REDIS_SENTINEL) {
            perm_redis_endpoint_drop(command->via,
                                     "the server became a replica");
            perm_redis_discovery_refresh(redis->nodes);
        }

        return NGX_OK;
    }

    if (!redis->cluster) {
        return NGX_OK;
    }

    if (perm_redis_reply_error(reply, "MOVED")) {
        perm_redis_discovery_refresh(redis->nodes);
        return perm_redis_client_redirect_follow(redis, command, reply, 0);
    }

    if (perm_redis_reply_error(reply, "ASK")) {
        return perm_redis_client_redirect_follow(redis, command, reply, 1);
    }

    if (perm_redis_reply_error(reply, "CLUSTERDOWN")) {
        perm_redis_discovery_refresh(redis->nodes);
    }

    return NGX_OK;
}


ngx_int_t
perm_redis_client_redirect(perm_redis_command_t *command, redisReply *reply)
{
    perm_redis_client_t  *redis;

    redis = command->owner;

    if (reply == NULL) {
        return perm_redis_client_redirect_lost(redis, command);
    }

    if (reply->type == REDIS_REPLY_ERROR
        && perm_redis_client_redirect_error(redis, command, reply) == NGX_DONE)
    {
        return NGX_DONE;
    }

    /* for perm_redis_client_drop() and perm_redis_client_tracked() in the handler */

    redis->answering = command->via;

    perm_redis_command_finish(command, reply);

    redis->answering = NULL;

    return NGX_DONE;
}
