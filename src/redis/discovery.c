
#include "redis/discovery.h"

#include "resp/cluster.h"


#define PERM_REDIS_DISCOVERY_APART  100   /* ms between questions, at least */

/* a server that says nothing for that long is passed over at the start, once */

#define PERM_REDIS_DISCOVERY_SLOW  150   /* ms */


typedef struct {
    ngx_uint_t                        n;
    uint16_t                          slots[PERM_CLUSTER_SLOTS];  /* of a
                                         cluster: index + 1, or 0: none */
    perm_redis_node_t                 nodes[1];   /* n of them */
} perm_redis_map_t;


struct perm_redis_discovery_s {
    perm_redis_conf_t                *conf;
    ngx_log_t                        *log;
    perm_redis_discovery_handlers_t  *handlers;
    void                             *data;

    perm_redis_map_t                 *map;      /* NULL: none so far */
    perm_redis_connection_t          *connection;
    perm_redis_node_t                 asked;
    ngx_event_t                       timer;    /* of the next question, or to
                                                   pass over the server */
    ngx_msec_t                        last;     /* time of the last one */
    ngx_uint_t                        at;       /* candidate */
    ngx_uint_t                        tried;    /* candidates, in this round */
    ngx_uint_t                        failures; /* rounds */
    ngx_uint_t                        passed;   /* over, at the start */

    unsigned                          single:1; /* nobody to ask */
    unsigned                          cluster:1;
    unsigned                          known:1;
    unsigned                          asking:1; /* or connecting for it */
    unsigned                          rotate:1; /* ask the next one */
};


static perm_redis_map_t *perm_redis_discovery_map(ngx_uint_t n,
    ngx_log_t *log);
static void perm_redis_discovery_timer(ngx_event_t *ev);
static void perm_redis_discovery_connect(perm_redis_discovery_t *discovery);
static void perm_redis_discovery_slow(perm_redis_discovery_t *discovery);
static perm_redis_node_t *perm_redis_discovery_candidate(
    perm_redis_discovery_t *discovery, ngx_uint_t i);
static void perm_redis_discovery_ask(void *data,
    perm_redis_connection_t *connection);
static void perm_redis_discovery_reply(void *data, redisReply *reply);
static const char *perm_redis_discovery_parse(
    perm_redis_discovery_t *discovery, redisReply *reply,
    perm_redis_map_t **map);
static ngx_uint_t perm_redis_discovery_replace(
    perm_redis_discovery_t *discovery, perm_redis_map_t *map);
static void perm_redis_discovery_closed(void *data,
    perm_redis_connection_t *connection, const char *reason);
static void perm_redis_discovery_failed(perm_redis_discovery_t *discovery,
    const char *reason);
static void perm_redis_discovery_disconnect(perm_redis_discovery_t *discovery);
static void perm_redis_discovery_schedule(perm_redis_discovery_t *discovery,
    ngx_msec_t delay);


static perm_redis_connection_handlers_t  perm_redis_discovery_connection = {
    perm_redis_discovery_ask,
    perm_redis_discovery_closed,
    NULL
};


perm_redis_discovery_t *
perm_redis_discovery_start(perm_redis_conf_t *conf, ngx_log_t *log,
    perm_redis_discovery_handlers_t *handlers, void *data)
{
    perm_redis_discovery_t  *discovery;

    discovery = ngx_calloc(sizeof(perm_redis_discovery_t), log);
    if (discovery == NULL) {
        return NULL;
    }

    discovery->conf = conf;
    discovery->log = log;
    discovery->handlers = handlers;
    discovery->data = data;
    discovery->cluster = (conf->url->kind == PERM_REDIS_CLUSTER);
    discovery->single = (conf->url->kind != PERM_REDIS_SENTINEL
                         && !discovery->cluster);

    discovery->timer.handler = perm_redis_discovery_timer;
    discovery->timer.data = discovery;
    discovery->timer.log = log;
    discovery->timer.cancelable = 1;

    if (discovery->single) {
        discovery->map = perm_redis_discovery_map(1, log);

        if (discovery->map == NULL) {
            ngx_free(discovery);
            return NULL;
        }

        discovery->map->nodes[0] = conf->hosts[0];
    }

    /* workers begin at different ones */

    discovery->at = (ngx_uint_t) ngx_random() % conf->nhosts;

    ngx_post_event(&discovery->timer, &ngx_posted_events);

    return discovery;
}


static perm_redis_map_t *
perm_redis_discovery_map(ngx_uint_t n, ngx_log_t *log)
{
    perm_redis_map_t  *map;

    map = ngx_calloc(sizeof(perm_redis_map_t) + n * sizeof(perm_redis_node_t),
                     log);
    if (map != NULL) {
        map->n = n;
    }

    return map;
}


void
perm_redis_discovery_stop(perm_redis_discovery_t *discovery)
{
    perm_redis_discovery_disconnect(discovery);

    if (discovery->timer.timer_set) {
        ngx_del_timer(&discovery->timer);
    }

    if (discovery->timer.posted) {
        ngx_delete_posted_event(&discovery->timer);
    }

    ngx_free(discovery->map);
    ngx_free(discovery);
}


void
perm_redis_discovery_refresh(perm_redis_discovery_t *discovery)
{
    ngx_msec_int_t  delay;

    if (discovery->single || discovery->asking) {
        return;
    }

    /* the server that was asked last may not know better */

    discovery->rotate = 1;

    delay = (ngx_msec_int_t) (discovery->last + PERM_REDIS_DISCOVERY_APART
                              - ngx_current_msec);
    delay = ngx_max(delay, 1);

    if (discovery->timer.timer_set
        && (ngx_msec_int_t) (discovery->timer.timer.key - ngx_current_msec)
           <= delay)
    {
        return;
    }

    perm_redis_discovery_schedule(discovery, delay);
}


ngx_uint_t
perm_redis_discovery_list(perm_redis_discovery_t *discovery,
    perm_redis_node_t **list)
{
    if (discovery->map == NULL) {
        return 0;
    }

    *list = discovery->map->nodes;

    return discovery->map->n;
}


perm_redis_node_t *
perm_redis_discovery_slot(perm_redis_discovery_t *discovery, ngx_uint_t slot)
{
    ngx_uint_t         i;
    perm_redis_map_t  *map;

    map = discovery->map;

    if (map == NULL) {
        return NULL;
    }

    i = discovery->cluster ? map->slots[slot % PERM_CLUSTER_SLOTS] : 1;

    return i ? &map->nodes[i - 1] : NULL;
}


ngx_uint_t
perm_redis_discovery_accept(perm_redis_discovery_t *discovery,
    perm_role_t role)
{
    return discovery->single ? role != PERM_ROLE_SENTINEL
                             : role == PERM_ROLE_MASTER;
}


ngx_uint_t
perm_redis_discovery_is_master(perm_redis_discovery_t *discovery,
    perm_redis_node_t *node, ngx_msec_t age)
{
    ngx_uint_t         i;
    perm_redis_map_t  *map;

    map = discovery->map;

    for (i = 0; map != NULL && i < map->n; i++) {
        if (perm_redis_conf_node_equal(&map->nodes[i], node)) {
            return map->nodes[i].since == 0
                   || ngx_current_msec - map->nodes[i].since >= age;
        }
    }

    return 0;
}


static void
perm_redis_discovery_timer(ngx_event_t *ev)
{
    perm_redis_discovery_t  *discovery;

    discovery = ev->data;

    if (discovery->single) {
        discovery->known = 1;
        discovery->handlers->found(discovery->data);
        return;
    }

    if (discovery->asking) {
        discovery->passed++;
        discovery->rotate = 1;
    }

    if (discovery->rotate) {
        discovery->rotate = 0;
        discovery->at++;
        perm_redis_discovery_disconnect(discovery);
    }

    discovery->asking = 1;

    if (discovery->connection != NULL) {
        perm_redis_discovery_ask(discovery, discovery->connection);

    } else {
        perm_redis_discovery_connect(discovery);
    }
}


static void
perm_redis_discovery_connect(perm_redis_discovery_t *discovery)
{
    perm_redis_node_t  *node;

    node = perm_redis_discovery_candidate(discovery, discovery->at);

    if (node == NULL) {
        discovery->at = 0;
        node = perm_redis_discovery_candidate(discovery, 0);
    }

    discovery->asked = *node;
    discovery->last = ngx_current_msec;

    discovery->connection =
        perm_redis_connection_open(discovery->conf, &discovery->asked, NULL,
                                   discovery->log,
                                   &perm_redis_discovery_connection, discovery);

    if (discovery->connection == NULL) {
        discovery->asking = 0;
        perm_redis_discovery_schedule(discovery, PERM_REDIS_DISCOVERY_POLL);
        return;
    }

    perm_redis_discovery_slow(discovery);
}


/*
 * The first calls of a worker wait for it: they shall not fail as one server of
 * several hangs.  Where all are that slow, the next round waits for each.
 */

static void
perm_redis_discovery_slow(perm_redis_discovery_t *discovery)
{
    if (discovery->map == NULL
        && discovery->passed < discovery->conf->nhosts
        && discovery->conf->nhosts > 1)
    {
        perm_redis_discovery_schedule(discovery, PERM_REDIS_DISCOVERY_SLOW);

    } else if (discovery->timer.timer_set) {
        ngx_del_timer(&discovery->timer);
    }
}


/*
 * The i-th server to ask, or NULL.  In a cluster the known masters come first:
 * the servers of the URL may have left it.
 */

static perm_redis_node_t *
perm_redis_discovery_candidate(perm_redis_discovery_t *discovery, ngx_uint_t i)
{
    if (discovery->cluster && discovery->map != NULL) {

        if (i < discovery->map->n) {
            return &discovery->map->nodes[i];
        }

        i -= discovery->map->n;
    }

    return (i < discovery->conf->nhosts) ? &discovery->conf->hosts[i] : NULL;
}


static void
perm_redis_discovery_ask(void *data, perm_redis_connection_t *connection)
{
    perm_redis_discovery_t *discovery = data;

    ngx_str_t   argv[3];
    ngx_uint_t  argc;

    if (discovery->cluster) {
        ngx_str_set(&argv[0], "CLUSTER");
        ngx_str_set(&argv[1], "SLOTS");
        argc = 2;

    } else {
        ngx_str_set(&argv[0], "SENTINEL");
        ngx_str_set(&argv[1], "get-master-addr-by-name");
        argv[2].data = (u_char *) discovery->conf->url->master.data;
        argv[2].len = discovery->conf->url->master.len;
        argc = 3;
    }

    discovery->last = ngx_current_msec;

    ngx_log_debug1(NGX_LOG_DEBUG_CORE, discovery->log, 0,
                   "app_permission: redis discovery: ask %s",
                   discovery->asked.label);

    if (perm_redis_connection_send(connection, argc, argv,
                                   perm_redis_discovery_reply, discovery)
        == NULL)
    {
        perm_redis_discovery_failed(discovery, "a command cannot be sent");
    }
}


static void
perm_redis_discovery_reply(void *data, redisReply *reply)
{
    const char              *useless;
    ngx_uint_t               changed;
    perm_redis_map_t        *map;
    perm_redis_discovery_t  *discovery = data;

    if (reply == NULL) {

        /* "closed" was called before */

        return;
    }

    useless = perm_redis_discovery_parse(discovery, reply, &map);

    if (useless != NULL) {
        perm_redis_discovery_failed(discovery, useless);
        return;
    }

    discovery->asking = 0;
    discovery->tried = 0;
    discovery->failures = 0;

    perm_redis_discovery_schedule(discovery, PERM_REDIS_DISCOVERY_POLL);

    changed = perm_redis_discovery_replace(discovery, map);

    ngx_log_debug3(NGX_LOG_DEBUG_CORE, discovery->log, 0,
                   "app_permission: redis discovery: %s names %ui masters, "
                   "changed %ui", discovery->asked.label, discovery->map->n,
                   changed);

    if (changed || !discovery->known) {
        discovery->known = 1;
        discovery->handlers->found(discovery->data);

    } else if (discovery->handlers->same != NULL) {
        discovery->handlers->same(discovery->data);
    }
}


/* NULL with *map filled, or why the reply is of no use */

static const char *
perm_redis_discovery_parse(perm_redis_discovery_t *discovery,
    redisReply *reply, perm_redis_map_t **map)
{
    ngx_uint_t   i;
    perm_str_t   asked;
    const char  *useless;

    static perm_cluster_slots_t  slots;

    asked = perm_str((char *) discovery->asked.name);

    if (discovery->cluster) {
        useless = perm_cluster_slots_parse(reply, asked, &slots);

    } else {
        useless = perm_reply_sentinel(reply, "it knows no master of the name "
                                      "in \"app_permission_redis\"",
                                      &slots.masters[0]);
        slots.n = 1;
    }

    if (useless != NULL) {
        return useless;
    }

    *map = perm_redis_discovery_map(slots.n, discovery->log);
    if (*map == NULL) {
        return "out of memory";
    }

    for (i = 0; i < slots.n; i++) {
        perm_redis_conf_node_named(&(*map)->nodes[i], &slots.masters[i],
                                   &discovery->asked);
    }

    ngx_memcpy((*map)->slots, slots.slots, sizeof(slots.slots));

    return NULL;
}


/* by the map; 0: it is the same, and freed */

static ngx_uint_t
perm_redis_discovery_replace(perm_redis_discovery_t *discovery,
    perm_redis_map_t *map)
{
    ngx_uint_t          i, j, changed;
    perm_redis_map_t   *before;
    perm_redis_node_t  *node;

    before = discovery->map;

    changed = before == NULL || before->n != map->n
              || ngx_memcmp(before->slots, map->slots, sizeof(map->slots)) != 0;

    for (i = 0; before != NULL && i < map->n; i++) {
        node = &map->nodes[i];
        node->since = ngx_current_msec;

        for (j = 0; j < before->n; j++) {
            if (perm_redis_conf_node_equal(node, &before->nodes[j])) {
                node->since = before->nodes[j].since;
                break;
            }
        }

        if (i != j) {
            changed = 1;
        }
    }

    if (!changed) {
        ngx_free(map);
        return 0;
    }

    ngx_free(before);
    discovery->map = map;

    return 1;
}


static void
perm_redis_discovery_closed(void *data, perm_redis_connection_t *connection,
    const char *reason)
{
    perm_redis_discovery_t  *discovery = data;

    discovery->connection = NULL;

    if (discovery->asking) {
        perm_redis_discovery_failed(discovery, reason);
        return;
    }

    perm_redis_discovery_refresh(discovery);
}


/* asks the next server, or comes back later */

static void
perm_redis_discovery_failed(perm_redis_discovery_t *discovery,
    const char *reason)
{
    u_char      text[PERM_REDIS_LABEL_MAX + 512];
    ngx_msec_t  delay;

    perm_redis_discovery_disconnect(discovery);

    discovery->at++;
    discovery->tried++;

    if (perm_redis_discovery_candidate(discovery, discovery->tried) != NULL) {
        perm_redis_discovery_connect(discovery);
        return;
    }

    ngx_snprintf(text, sizeof(text), "%s: %s%Z", discovery->asked.label,
                 reason);
    text[sizeof(text) - 1] = '\0';

    discovery->tried = 0;
    discovery->known = 0;
    discovery->asking = 0;

    delay = perm_redis_connection_backoff(discovery->failures++);
    delay = ngx_max(delay, PERM_REDIS_DISCOVERY_APART);

    ngx_log_debug2(NGX_LOG_DEBUG_CORE, discovery->log, 0,
                   "app_permission: redis discovery: lost, retry in %M ms: "
                   "%s", delay, text);

    perm_redis_discovery_schedule(discovery, delay);

    if (discovery->handlers->lost != NULL) {
        discovery->handlers->lost(discovery->data, (char *) text);
    }
}


static void
perm_redis_discovery_disconnect(perm_redis_discovery_t *discovery)
{
    if (discovery->connection != NULL) {
        perm_redis_connection_close(discovery->connection);
        discovery->connection = NULL;
    }
}


static void
perm_redis_discovery_schedule(perm_redis_discovery_t *discovery,
    ngx_msec_t delay)
{
    if (discovery->timer.timer_set) {
        ngx_del_timer(&discovery->timer);
    }

    ngx_add_timer(&discovery->timer, delay);
}
