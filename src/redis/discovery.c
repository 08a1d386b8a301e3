
#include "redis/discovery_priv.h"

#include "core/grant_key.h"
#include "redis/endpoint.h"


#define PERM_REDIS_SEARCH_POLL   1000   /* ms */
#define PERM_REDIS_SEARCH_APART  100    /* ms, at least */


static void perm_redis_discovery_connect(perm_redis_discovery_t *nodes);
static void perm_redis_discovery_closed(void *data,
    perm_redis_connection_t *connection, ngx_str_t *reason);


static perm_redis_connection_handlers_t  perm_redis_discovery_connection = {
    NULL,
    perm_redis_discovery_closed,
    NULL
};


ngx_uint_t
perm_redis_discovery_node_equal(perm_redis_node_t *a, perm_redis_node_t *b)
{
    return a->port == b->port && a->name.len == b->name.len
           && ngx_memcmp(a->name.data, b->name.data, a->name.len) == 0;
}


perm_redis_node_t
perm_redis_discovery_map_node(perm_redis_map_t *map, u_char *name, size_t len,
    in_port_t port)
{
    ngx_str_t          text;
    perm_redis_node_t  node;

    text.data = name;
    text.len = len;

    node.name.len = len;
    node.name.data = ngx_pstrdup(map->pool, &text);
    node.port = port;
    node.host = NULL;

    return node;
}


static ngx_uint_t
perm_redis_map_equal(perm_redis_map_t *a, perm_redis_map_t *b)
{
    ngx_uint_t  i;

    if (a->n != b->n || (a->slots == NULL) != (b->slots == NULL)) {
        return 0;
    }

    for (i = 0; i < a->n; i++) {
        if (!perm_redis_discovery_node_equal(&a->nodes[i], &b->nodes[i])) {
            return 0;
        }
    }

    return a->slots == NULL
           || ngx_memcmp(a->slots, b->slots,
                         PERM_CLUSTER_SLOTS * sizeof(uint16_t)) == 0;
}


static void
perm_redis_map_free(perm_redis_map_t *map)
{
    if (map->pool != NULL) {
        ngx_destroy_pool(map->pool);
    }

    ngx_memzero(map, sizeof(perm_redis_map_t));
}


static void
perm_redis_discovery_schedule(perm_redis_discovery_t *nodes, ngx_msec_t delay)
{
    if (nodes->timer.timer_set) {
        ngx_del_timer(&nodes->timer);
    }

    ngx_add_timer(&nodes->timer, delay);
}


static void
perm_redis_discovery_disconnect(perm_redis_discovery_t *nodes)
{
    if (nodes->connection != NULL) {
        perm_redis_connection_close(nodes->connection);
        nodes->connection = NULL;
    }
}


/* this one did not help: ask the next, or come back later */

static void
perm_redis_discovery_failed(perm_redis_discovery_t *nodes, ngx_str_t *reason)
{
    ngx_uint_t         n;
    ngx_str_t          text;
    perm_redis_node_t  node;
    u_char             buf[512];

    perm_redis_discovery_disconnect(nodes);

    nodes->at++;
    nodes->tried++;

    for (n = 0; nodes->search->candidate(nodes, n, &node); n++) {
        /* void */
    }

    if (nodes->tried < n) {
        perm_redis_discovery_connect(nodes);
        return;
    }

    text.data = buf;
    text.len = perm_redis_connector_node_name(buf, &nodes->asked);
    text.len = ngx_slprintf(buf + text.len, buf + sizeof(buf), ": %V", reason)
               - buf;

    nodes->tried = 0;
    nodes->known = 0;
    nodes->pending = 0;

    perm_redis_discovery_schedule(nodes, ngx_max(PERM_REDIS_SEARCH_APART, perm_redis_endpoint_backoff(nodes->failures)));
    nodes->failures++;

    nodes->handlers->lost(nodes->data, &text);
}


static void
perm_redis_discovery_useless(perm_redis_discovery_t *nodes, const char *reason)
{
    ngx_str_t  text;

    text.data = (u_char *) reason;
    text.len = ngx_strlen(reason);

    perm_redis_discovery_failed(nodes, &text);
}


static void
perm_redis_discovery_learned(perm_redis_discovery_t *nodes,
    perm_redis_map_t *map)
{
    ngx_uint_t  changed;

    nodes->pending = 0;
    nodes->tried = 0;
    nodes->failures = 0;

    perm_redis_discovery_schedule(nodes, PERM_REDIS_SEARCH_POLL);

    changed = !perm_redis_map_equal(&nodes->map, map);

    if (changed) {
        perm_redis_map_free(&nodes->old);

        nodes->old = nodes->map;
        nodes->map = *map;

    } else {
        perm_redis_map_free(map);
    }

    if (changed || !nodes->known) {
        nodes->known = 1;
        nodes->handlers->found(nodes->data);

    } else if (nodes->handlers->same != NULL) {
        nodes->handlers->same(nodes->data);
    }
}


static void
perm_redis_discovery_reply(void *data, redisReply *reply)
{
    const char              *error;
    perm_redis_map_t         map;
    perm_redis_discovery_t  *nodes = data;

    if (reply == NULL) {

        /* "closed" came before */

        return;
    }

    ngx_memzero(&map, sizeof(perm_redis_map_t));

    map.pool = ngx_create_pool(1024, nodes->log);

    if (map.pool == NULL) {
        perm_redis_discovery_useless(nodes, "out of memory");
        return;
    }

    error = nodes->search->parse(nodes, reply, &map);

    if (error != NULL) {
        perm_redis_map_free(&map);
        perm_redis_discovery_useless(nodes, error);
        return;
    }

    perm_redis_discovery_learned(nodes, &map);
}


static void
perm_redis_discovery_closed(void *data, perm_redis_connection_t *connection,
    ngx_str_t *reason)
{
    perm_redis_discovery_t  *nodes = data;

    nodes->connection = NULL;

    if (nodes->pending) {
        perm_redis_discovery_failed(nodes, reason);
        return;
    }

    perm_redis_discovery_refresh(nodes);
}


static void
perm_redis_discovery_ask(perm_redis_discovery_t *nodes)
{
    nodes->last = ngx_current_msec;

    if (nodes->search->ask(nodes, perm_redis_discovery_reply) != NGX_OK) {
        perm_redis_discovery_useless(nodes, "a command cannot be sent");
    }
}


static void
perm_redis_discovery_connected(void *data, perm_redis_connection_t *connection,
    ngx_str_t *reason)
{
    perm_redis_discovery_t  *nodes = data;

    nodes->connector = NULL;

    if (connection == NULL) {
        perm_redis_discovery_failed(nodes, reason);
        return;
    }

    nodes->connection = connection;

    perm_redis_discovery_ask(nodes);
}


static void
perm_redis_discovery_connect(perm_redis_discovery_t *nodes)
{
    perm_redis_node_t  node;

    if (!nodes->search->candidate(nodes, nodes->at, &node)) {
        nodes->at = 0;
        (void) nodes->search->candidate(nodes, 0, &node);
    }

    /* the map it may be from does not last */

    nodes->asked = node;
    nodes->asked.name.len = ngx_min(node.name.len, sizeof(nodes->name));
    nodes->asked.name.data = nodes->name;
    ngx_memcpy(nodes->name, node.name.data, nodes->asked.name.len);

    nodes->last = ngx_current_msec;

    nodes->connector =
        perm_redis_connector_start(nodes->conf, nodes->search->kind, &node,
                                   NULL, nodes->log,
                                   &perm_redis_discovery_connection, nodes,
                                   perm_redis_discovery_connected);

    if (nodes->connector == NULL) {
        nodes->pending = 0;
        perm_redis_discovery_schedule(nodes, PERM_REDIS_SEARCH_POLL);
    }
}


static void
perm_redis_discovery_timer_handler(ngx_event_t *ev)
{
    perm_redis_discovery_t  *nodes;

    nodes = ev->data;

    if (nodes->search == NULL) {
        nodes->known = 1;
        nodes->handlers->found(nodes->data);
        return;
    }

    if (nodes->pending) {
        return;
    }

    if (nodes->rotate) {
        nodes->rotate = 0;
        nodes->at++;
        perm_redis_discovery_disconnect(nodes);
    }

    nodes->pending = 1;

    if (nodes->connection != NULL) {
        perm_redis_discovery_ask(nodes);

    } else {
        perm_redis_discovery_connect(nodes);
    }
}


static ngx_int_t
perm_redis_discovery_single(perm_redis_discovery_t *nodes)
{
    perm_redis_map_t  *map;

    map = &nodes->map;

    map->pool = ngx_create_pool(256, nodes->log);
    if (map->pool == NULL) {
        return NGX_ERROR;
    }

    map->nodes = ngx_pcalloc(map->pool, sizeof(perm_redis_node_t));
    if (map->nodes == NULL) {
        return NGX_ERROR;
    }

    map->n = 1;
    map->nodes[0].name = nodes->conf->hosts[0].name;
    map->nodes[0].port = nodes->conf->hosts[0].port;
    map->nodes[0].host = &nodes->conf->hosts[0];

    return NGX_OK;
}


perm_redis_discovery_t *
perm_redis_discovery_start(perm_redis_conf_t *conf, ngx_log_t *log,
    perm_redis_discovery_handlers_t *handlers, void *data)
{
    perm_redis_discovery_t  *nodes;

    nodes = ngx_calloc(sizeof(perm_redis_discovery_t), log);
    if (nodes == NULL) {
        return NULL;
    }

    nodes->conf = conf;
    nodes->log = log;
    nodes->handlers = handlers;
    nodes->data = data;

    nodes->timer.handler = perm_redis_discovery_timer_handler;
    nodes->timer.data = nodes;
    nodes->timer.log = log;
    nodes->timer.cancelable = 1;

    switch (conf->url->kind) {

    case PERM_REDIS_SENTINEL:
        nodes->search = &perm_redis_sentinel_search;
        break;

    case PERM_REDIS_CLUSTER:
        nodes->search = &perm_redis_cluster_search;
        break;

    default: /* PERM_REDIS_SINGLE, PERM_REDIS_UNIX */
        if (perm_redis_discovery_single(nodes) != NGX_OK) {
            perm_redis_discovery_stop(nodes);
            return NULL;
        }
    }

    /* workers begin at different ones */

    nodes->at = (ngx_uint_t) ngx_random() % conf->nhosts;

    ngx_post_event(&nodes->timer, &ngx_posted_events);

    return nodes;
}


void
perm_redis_discovery_stop(perm_redis_discovery_t *nodes)
{
    if (nodes->connector != NULL) {
        perm_redis_connector_cancel(nodes->connector);
    }

    perm_redis_discovery_disconnect(nodes);

    if (nodes->timer.timer_set) {
        ngx_del_timer(&nodes->timer);
    }

    if (nodes->timer.posted) {
        ngx_delete_posted_event(&nodes->timer);
    }

    perm_redis_map_free(&nodes->old);
    perm_redis_map_free(&nodes->map);

    ngx_free(nodes);
}


void
perm_redis_discovery_refresh(perm_redis_discovery_t *nodes)
{
    ngx_msec_int_t  delay;

    if (nodes->search == NULL || nodes->pending) {
        return;
    }

    /* the one that was asked last may not know better */

    nodes->rotate = 1;

    delay = (ngx_msec_int_t) (nodes->last + PERM_REDIS_SEARCH_APART
                              - ngx_current_msec);
    delay = ngx_max(delay, 1);

    if (nodes->timer.timer_set
        && (ngx_msec_int_t) (nodes->timer.timer.key - ngx_current_msec)
           <= delay)
    {
        return;
    }

    perm_redis_discovery_schedule(nodes, delay);
}


ngx_uint_t
perm_redis_discovery_list(perm_redis_discovery_t *nodes,
    perm_redis_node_t **list)
{
    *list = nodes->map.nodes;

    return nodes->map.n;
}


perm_redis_node_t *
perm_redis_discovery_slot(perm_redis_discovery_t *nodes, ngx_uint_t slot)
{
    ngx_uint_t  i;

    if (nodes->map.slots == NULL) {
        return nodes->map.n ? nodes->map.nodes : NULL;
    }

    i = nodes->map.slots[slot % PERM_CLUSTER_SLOTS];

    return i ? &nodes->map.nodes[i - 1] : NULL;
}


ngx_uint_t
perm_redis_discovery_accept(perm_redis_discovery_t *nodes,
    perm_redis_role_t role)
{
    if (nodes->search == NULL) {
        return role != PERM_REDIS_ROLE_SENTINEL;
    }

    return role == PERM_REDIS_ROLE_MASTER;
}
