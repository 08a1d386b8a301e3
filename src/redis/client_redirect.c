
/*
 * Replies that name another server, and commands whose server is gone.
 */


#include "redis/client_priv.h"

#include "resp/cluster.h"


#define PERM_REDIS_TRIES_MAX       6
#define PERM_REDIS_READONLY_APART  10000   /* ms */


static ngx_int_t perm_redis_client_redirect_lost(perm_redis_client_t *redis,
    perm_redis_command_t *command);
static ngx_int_t perm_redis_client_redirect_error(perm_redis_client_t *redis,
    perm_redis_command_t *command, redisReply *reply);
static void perm_redis_client_redirect_readonly(perm_redis_endpoint_t *via);
static ngx_uint_t perm_redis_client_redirect_worth(
    perm_redis_command_t *command);


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

    /* the handler may call perm_redis_client_drop() and _tracked() */

    redis->answering = command->via;

    perm_redis_command_finish(command, reply);

    redis->answering = NULL;

    return NGX_DONE;
}


/*
 * The connection failed.  A node that leaves a cluster hands its slots over
 * and ends: another one has this slot then, as the next answer to CLUSTER
 * SLOTS says, if the last one did not.  Each command of this module may be
 * executed twice.  command->via may be gone, and its memory be in use again.
 */

static ngx_int_t
perm_redis_client_redirect_lost(perm_redis_client_t *redis,
    perm_redis_command_t *command)
{
    if (!redis->cluster || !perm_redis_client_redirect_worth(command)) {
        return NGX_OK;
    }

    command->asking = 0;

    if (perm_redis_client_route(redis, command, command->via_number)
        == NGX_OK)
    {
        return NGX_DONE;
    }

    if (command->parked || redis->state != PERM_REDIS_UP) {
        return NGX_OK;
    }

    command->parked = 1;

    perm_redis_parked_add(&redis->parked, command);
    perm_redis_discovery_refresh(redis->discovery);

    return NGX_DONE;
}


/* NGX_DONE: the command is on its way to the server that the error names */

static ngx_int_t
perm_redis_client_redirect_error(perm_redis_client_t *redis,
    perm_redis_command_t *command, redisReply *reply)
{
    perm_str_t              asked;
    perm_redirect_t         redirect;
    perm_redis_node_t       node;
    perm_redis_endpoint_t  *via, *endpoint;

    via = command->via;

    if (perm_reply_error(reply, "READONLY")) {
        perm_redis_client_redirect_readonly(via);
        return NGX_OK;
    }

    if (!redis->cluster) {
        return NGX_OK;
    }

    asked = perm_str((char *) via->node.name);
    redirect = perm_cluster_redirect(reply, asked);

    if (redirect.kind == PERM_REDIRECT_MOVED
        || perm_reply_error(reply, "CLUSTERDOWN"))
    {
        perm_redis_discovery_refresh(redis->discovery);
    }

    if (redirect.kind == PERM_REDIRECT_NONE
        || redirect.to.port == 0
        || !perm_redis_client_redirect_worth(command))
    {
        return NGX_OK;
    }

    perm_redis_conf_node_named(&node, &redirect.to, &via->node);

    ngx_log_debug3(NGX_LOG_DEBUG_CORE, redis->log, 0,
                   "app_permission: redis %s: redirected to %s by %s",
                   via->node.label, node.label,
                   (redirect.kind == PERM_REDIRECT_ASK) ? "ASK" : "MOVED");

    endpoint = perm_redis_client_endpoint(redis, &node);
    if (endpoint == NULL) {
        return NGX_OK;
    }

    command->asking = (redirect.kind == PERM_REDIRECT_ASK);

    return (perm_redis_endpoint_send(endpoint, command) == NGX_OK) ? NGX_DONE
                                                                   : NGX_OK;
}


/*
 * A master no more: neither to write to nor to trust.  It was a replica before
 * where no master is reached.  A server that is not asked for its role may be
 * one for long.
 */

static void
perm_redis_client_redirect_readonly(perm_redis_endpoint_t *via)
{
    ngx_msec_t  settled;

    if (via->state != PERM_REDIS_ENDPOINT_UP
        || via->connection->role == PERM_ROLE_REPLICA)
    {
        return;
    }

    settled = (via->connection->role == PERM_ROLE_UNKNOWN)
              ? PERM_REDIS_READONLY_APART : 0;

    if (ngx_current_msec - via->since >= settled) {
        perm_redis_endpoint_moved(via, "the server became a replica");
    }
}


/* may it be sent once more? */

static ngx_uint_t
perm_redis_client_redirect_worth(perm_redis_command_t *command)
{
    return command->handler != NULL
           && command->tries < PERM_REDIS_TRIES_MAX
           && (ngx_msec_int_t) (command->deadline - ngx_current_msec) > 0;
}
