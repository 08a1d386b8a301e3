
/*
 * What is trusted, and what the log is told about a link.
 */


#include "redis/client_priv.h"


static ngx_uint_t
perm_redis_client_report_news(perm_redis_logged_t *logged, uint32_t hash)
{
    ngx_uint_t  i;

    for (i = 0; i < PERM_REDIS_LOGGED; i++) {
        if (logged->reasons[i] == hash) {
            return 0;
        }
    }

    logged->reasons[logged->n++ % PERM_REDIS_LOGGED] = hash;

    return 1;
}


void
perm_redis_client_report_forget(perm_redis_logged_t *logged)
{
    ngx_memzero(logged, sizeof(perm_redis_logged_t));
}


static uint32_t
perm_redis_client_report_hash(ngx_str_t *text)
{
    return ngx_murmur_hash2(text->data, text->len);
}


/*
 * Each link for itself: many that are down would push each other out.  A link
 * to a node that is none of the masters does not live from one attempt to the
 * next, so that those have one memory.
 */

void
perm_redis_client_report_endpoint(perm_redis_client_t *redis,
    perm_redis_endpoint_t *endpoint, ngx_uint_t known, ngx_str_t *reason)
{
    uint32_t              hash;
    perm_redis_logged_t  *logged;

    logged = &endpoint->logged;
    hash = perm_redis_client_report_hash(reason);

    if (!known) {
        logged = &redis->strays;
        hash ^= perm_redis_client_report_hash(&endpoint->name);
    }

    if (perm_redis_client_report_news(logged, hash)) {
        ngx_log_error(NGX_LOG_ERR, redis->log, 0,
                      "app_permission: Redis %V: %V", &endpoint->name, reason);
    }
}


void
perm_redis_client_report_search(perm_redis_client_t *redis, ngx_str_t *reason)
{
    if (perm_redis_client_report_news(&redis->logged, perm_redis_client_report_hash(reason))) {
        ngx_log_error(NGX_LOG_ERR, redis->log, 0,
                      "app_permission: no %s helps; the last one, %V",
                      redis->cluster ? "node of the cluster" : "Sentinel",
                      reason);
    }
}


const char *
perm_redis_client_report_accept(void *data, perm_redis_role_t role)
{
    perm_redis_client_t  *redis = data;

    if (perm_redis_discovery_accept(redis->nodes, role)) {
        return NULL;
    }

    switch (role) {

    case PERM_REDIS_ROLE_SENTINEL:
        return "this is a Sentinel, whose URL begins with "
               "\"redis+sentinel://\"";

    case PERM_REDIS_ROLE_REPLICA:
        return "the server says that it is a replica, which is not trusted";

    default: /* PERM_REDIS_ROLE_UNKNOWN */
        return "the server does not say that it is a master: its user needs "
               "the right to ROLE";
    }
}


/* a single server is used whatever it is, but not without a word */

void
perm_redis_client_report_role(perm_redis_client_t *redis,
    perm_redis_endpoint_t *endpoint)
{
    if (redis->role_said) {
        return;
    }

    switch (perm_redis_connection_role(endpoint->connection)) {

    case PERM_REDIS_ROLE_REPLICA:
        redis->role_said = 1;
        ngx_log_error(NGX_LOG_WARN, redis->log, 0,
                      "app_permission: Redis %V says that it is a replica: "
                      "revocations come late and last accesses cannot be "
                      "written; name the master in \"app_permission_redis\"",
                      &endpoint->name);
        break;

    case PERM_REDIS_ROLE_UNKNOWN:
        redis->role_said = 1;
        ngx_log_error(NGX_LOG_NOTICE, redis->log, 0,
                      "app_permission: Redis %V does not say whether it is "
                      "a master: its user has no right to ROLE",
                      &endpoint->name);
        break;

    default:
        break;
    }
}
