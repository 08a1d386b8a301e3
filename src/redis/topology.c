
#include "redis/topology_priv.h"

#include "core/grant_key.h"


static void perm_redis_topology_changed(void *data, perm_redis_link_t *link,
    ngx_str_t *reason);
static void perm_redis_topology_found(void *data);
static void perm_redis_topology_same(void *data);
static void perm_redis_topology_lost(void *data, ngx_str_t *reason);


static perm_redis_link_handlers_t  perm_redis_topology_link_handlers = {
    perm_redis_accept,
    perm_redis_topology_changed
};


static perm_redis_nodes_handlers_t  perm_redis_topology_nodes_handlers = {
    perm_redis_topology_found,
    perm_redis_topology_same,
    perm_redis_topology_lost
};


static void
perm_redis_topology_state(perm_redis_t *redis, perm_redis_state_t state)
{
    ngx_uint_t  reported;

    /* after a failure nothing waits for an attempt */

    if (state == PERM_REDIS_CONNECTING && redis->state == PERM_REDIS_DOWN) {
        return;
    }

    redis->state = state;

    if (state == PERM_REDIS_CONNECTING) {
        return;
    }

    reported = (state == PERM_REDIS_UP) ? 2 : 1;

    if (redis->reported != reported) {
        redis->reported = reported;

        if (redis->handler != NULL) {
            redis->handler(redis->data, state == PERM_REDIS_UP);
        }
    }
}


/* is it among the masters known now? */

static ngx_uint_t
perm_redis_topology_known(perm_redis_t *redis, perm_redis_link_t *link)
{
    ngx_uint_t          i, n;
    perm_redis_node_t  *list;

    n = perm_redis_nodes_list(redis->nodes, &list);

    for (i = 0; i < n; i++) {
        if (perm_redis_node_equal(&list[i], &link->node)) {
            return 1;
        }
    }

    return 0;
}


static void
perm_redis_topology_forget(perm_redis_link_t *link)
{
    ngx_queue_remove(&link->queue);
    perm_redis_link_destroy(link);
}


static void
perm_redis_topology_changed(void *data, perm_redis_link_t *link,
    ngx_str_t *reason)
{
    perm_redis_t             *redis = data;
    ngx_uint_t                known;
    perm_redis_state_t        state;

    if (link->state == PERM_REDIS_LINK_RETIRED) {
        perm_redis_topology_forget(link);
        return;
    }

    /* ASK or an old map may have led to a node that is no master */

    known = !redis->cluster || perm_redis_topology_known(redis, link);

    if (reason != NULL) {

        /* a link that ended as soon as it was up is no news */

        if (link->failures <= 1) {
            perm_redis_report_forget(&link->said);
        }

        perm_redis_report_link(redis, link, known, reason);
        perm_redis_nodes_refresh(redis->nodes);
    }

    if (redis->cluster) {
        if (link->state == PERM_REDIS_LINK_DOWN && !known) {
            perm_redis_topology_forget(link);
        }

        return;
    }

    switch (link->state) {

    case PERM_REDIS_LINK_UP:
        perm_redis_report_role(redis, link);
        state = PERM_REDIS_UP;
        break;

    case PERM_REDIS_LINK_DOWN:
        state = PERM_REDIS_DOWN;
        break;

    default:
        state = PERM_REDIS_CONNECTING;
        break;
    }

    perm_redis_topology_state(redis, state);
}


perm_redis_link_t *
perm_redis_topology_link(perm_redis_t *redis, perm_redis_node_t *node)
{
    ngx_queue_t        *q;
    perm_redis_link_t  *link;

    for (q = ngx_queue_head(&redis->links);
         q != ngx_queue_sentinel(&redis->links);
         q = ngx_queue_next(q))
    {
        link = ngx_queue_data(q, perm_redis_link_t, queue);

        if (link->state != PERM_REDIS_LINK_RETIRED
            && perm_redis_node_equal(&link->node, node))
        {
            return link;
        }
    }

    link = perm_redis_link_create(redis->conf, node, redis->log,
                                  &perm_redis_topology_link_handlers, redis);

    if (link != NULL) {
        ngx_queue_insert_tail(&redis->links, &link->queue);
    }

    return link;
}


/* NGX_ERROR: the caller still owns the command */

static ngx_int_t
perm_redis_topology_route(perm_redis_t *redis, perm_redis_command_t *command)
{
    perm_redis_link_t  *link;
    perm_redis_node_t  *node;

    if (!redis->cluster) {
        link = redis->link;

    } else {
        node = perm_redis_nodes_slot(redis->nodes, command->slot);

        if (node == NULL) {
            perm_redis_nodes_refresh(redis->nodes);
            return NGX_ERROR;
        }

        link = perm_redis_topology_link(redis, node);
    }

    return link != NULL ? perm_redis_link_send(link, command) : NGX_ERROR;
}


static void
perm_redis_topology_retire(perm_redis_t *redis)
{
    ngx_queue_t        *q;
    perm_redis_link_t  *link;

    for (q = ngx_queue_head(&redis->links);
         q != ngx_queue_sentinel(&redis->links);
         q = ngx_queue_next(q))
    {
        link = ngx_queue_data(q, perm_redis_link_t, queue);

        if (perm_redis_topology_known(redis, link)) {
            continue;
        }

        if (link == redis->link) {
            redis->link = NULL;
        }

        perm_redis_link_retire(link, "the server is a master no more");
    }
}


static void
perm_redis_topology_found(void *data)
{
    perm_redis_t       *redis = data;
    perm_redis_node_t  *list;

    perm_redis_topology_retire(redis);

    if (!redis->cluster) {
        (void) perm_redis_nodes_list(redis->nodes, &list);

        redis->link = perm_redis_topology_link(redis, &list[0]);

        if (redis->link == NULL) {
            perm_redis_wait_fail(&redis->wait);
            return;
        }

        perm_redis_link_open(redis->link);

        if (redis->link->state == PERM_REDIS_LINK_CONNECTING) {
            perm_redis_topology_state(redis, PERM_REDIS_CONNECTING);
        }
    }

    perm_redis_report_forget(&redis->said);
    perm_redis_report_forget(&redis->strays);
    perm_redis_topology_same(redis);

    if (redis->cluster) {
        perm_redis_topology_state(redis, PERM_REDIS_UP);
    }
}


/* what waits to be told where to go */

static void
perm_redis_topology_same(void *data)
{
    perm_redis_t          *redis = data;
    perm_redis_command_t  *command;

    while ((command = perm_redis_wait_take(&redis->wait)) != NULL) {

        if (perm_redis_topology_route(redis, command) != NGX_OK) {
            perm_redis_command_finish(command, NULL);
        }
    }
}


static void
perm_redis_topology_lost(void *data, ngx_str_t *reason)
{
    perm_redis_t  *redis = data;

    perm_redis_report_search(redis, reason);

    perm_redis_wait_fail(&redis->wait);

    /* the master that was found serves on */

    if (redis->link == NULL) {
        perm_redis_topology_state(redis, PERM_REDIS_DOWN);
    }
}


perm_redis_t *
perm_redis_create(perm_redis_conf_t *conf, ngx_log_t *log,
    perm_redis_stat_t *stat, perm_redis_state_pt handler, void *data)
{
    perm_redis_t  *redis;

    redis = ngx_calloc(sizeof(perm_redis_t), log);
    if (redis == NULL) {
        return NULL;
    }

    redis->conf = conf;
    redis->log = log;
    redis->account.stat = stat;
    redis->account.data = data;
    redis->handler = handler;
    redis->data = data;
    redis->cluster = (conf->url->kind == PERM_REDIS_CLUSTER);

    ngx_queue_init(&redis->links);
    perm_redis_wait_init(&redis->wait, log);

    redis->nodes = perm_redis_nodes_start(conf, log,
                                          &perm_redis_topology_nodes_handlers,
                                          redis);
    if (redis->nodes == NULL) {
        ngx_free(redis);
        return NULL;
    }

    return redis;
}


void
perm_redis_destroy(perm_redis_t *redis)
{
    ngx_queue_t  *q;

    while (!ngx_queue_empty(&redis->links)) {
        q = ngx_queue_head(&redis->links);
        perm_redis_topology_forget(ngx_queue_data(q, perm_redis_link_t,
                                                  queue));
    }

    perm_redis_nodes_stop(redis->nodes);
    perm_redis_wait_done(&redis->wait);

    ngx_free(redis);
}


perm_redis_state_t
perm_redis_state(perm_redis_t *redis)
{
    return redis->state;
}


void
perm_redis_set_timing(perm_redis_t *redis, perm_redis_timing_pt handler)
{
    redis->account.timing = handler;
}


perm_redis_command_t *
perm_redis_send(perm_redis_t *redis, ngx_str_t *key, ngx_uint_t argc,
    ngx_str_t *argv, perm_redis_reply_pt handler, void *data)
{
    perm_str_t             name;
    perm_redis_command_t  *command;

    if (redis->state == PERM_REDIS_DOWN) {
        return NULL;
    }

    command = perm_redis_command_create(argc, argv, redis->conf->timeout,
                                        handler, data);
    if (command == NULL) {
        return NULL;
    }

    perm_redis_command_account(command, &redis->account);

    command->intercept = perm_redis_redirect;
    command->owner = redis;

    if (redis->cluster) {
        name.data = (const char *) key->data;
        name.len = key->len;
        command->slot = perm_key_slot(name);
    }

    if (redis->state == PERM_REDIS_CONNECTING
        && (redis->cluster || redis->link == NULL))
    {
        perm_redis_wait_add(&redis->wait, command);
        return command;
    }

    if (perm_redis_topology_route(redis, command) != NGX_OK) {
        perm_redis_command_free(command);
        return NULL;
    }

    return command;
}


ngx_uint_t
perm_redis_told(perm_redis_t *redis)
{
    return !redis->cluster
           || perm_redis_topology_known(redis, redis->answering);
}


void
perm_redis_drop(perm_redis_t *redis)
{
    ngx_queue_t        *q;
    perm_redis_link_t  *link;

    if (redis->answering != NULL) {
        perm_redis_link_drop(redis->answering,
                             "the server gave an unexpected answer");
        goto done;
    }

    for (q = ngx_queue_head(&redis->links);
         q != ngx_queue_sentinel(&redis->links);
         q = ngx_queue_next(q))
    {
        link = ngx_queue_data(q, perm_redis_link_t, queue);

        if (redis->cluster) {
            perm_redis_link_probe(link, "the server does not answer");

        } else {
            perm_redis_link_drop(link, "the server does not answer");
        }
    }

done:

    /* "changed" tells the others */

    if (!redis->cluster && redis->link != NULL) {
        redis->state = PERM_REDIS_DOWN;
    }
}
