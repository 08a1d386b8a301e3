
/*
 * CLIENT ID and SUBSCRIBE on the listener, then CLIENT TRACKING on the source.
 * https://redis.io/docs/latest/commands/client-tracking/
 */


#include "redis/tracker.h"


#define PERM_TRACKER_REFUSED  10000   /* ms until asked again */
#define PERM_TRACKER_ODD      2       /* answers until the log says so */

#define PERM_TRACKER_CHANNEL  "__redis__:invalidate"


static void perm_redis_tracker_ready(void *data,
    perm_redis_connection_t *connection);
static void perm_redis_tracker_push(void *data,
    perm_redis_connection_t *connection, redisReply *reply);


static perm_redis_connection_handlers_t  perm_redis_listener_handlers = {
    NULL,
    perm_redis_tracker_closed,
    perm_redis_tracker_push
};


static perm_redis_connection_handlers_t  perm_redis_source_handlers = {
    perm_redis_tracker_ready,
    perm_redis_tracker_closed,
    NULL
};


/* an outside text for the log */

static u_char *
perm_redis_tracker_text(u_char *buf, size_t size, redisReply *reply)
{
    u_char  c;
    size_t  i, len;

    len = ngx_min((size_t) reply->len, size - 1);

    for (i = 0; i < len; i++) {
        c = (u_char) reply->str[i];
        buf[i] = (c < ' ' || c > '~') ? '?' : c;
    }

    buf[len] = '\0';

    return buf;
}


/* a matter of versions or rights, which is not over soon */

static ngx_uint_t
perm_redis_tracker_lasting(redisReply *reply, u_char *text)
{
    return reply->type == REDIS_REPLY_ERROR
           && (perm_redis_reply_error(reply, "NOPERM")
               || ngx_strstr(text, "nknown") != NULL
               || ngx_strstr(text, "yntax") != NULL);
}


/* the server said no, or nonsense, to a command that tracking needs */

static void
perm_redis_tracker_refused(perm_redis_tracker_t *tracker, const char *command,
    redisReply *reply)
{
    u_char       text[256];
    ngx_log_t   *log;
    ngx_uint_t   level;

    log = tracker->conf->log;

    if (reply->type == REDIS_REPLY_ERROR) {
        (void) perm_redis_tracker_text(text, sizeof(text), reply);

    } else {
        (void) ngx_cpystrn(text, (u_char *) "a reply of another type",
                           sizeof(text));
    }

    if (!perm_redis_tracker_lasting(reply, text)) {
        level = NGX_LOG_INFO;

        /* the first one may be over with the next try */

        if (!tracker->witness && tracker->odd < PERM_TRACKER_ODD
            && ++tracker->odd == PERM_TRACKER_ODD)
        {
            level = NGX_LOG_ERR;
        }

        ngx_log_error(level, log, 0,
                      "app_permission: Redis %s answered \"%s\" with \"%s\", "
                      "changes of grants are not pushed until it does better",
                      tracker->name, command, text);
        perm_redis_tracker_retry(tracker);
        return;
    }

    if (!tracker->refused && !tracker->witness) {
        tracker->refused = 1;

        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "app_permission: Redis %s does not push changes of "
                      "grants: \"%s\" was answered with \"%s\"; it needs "
                      "Redis 6.0 or later and a user with "
                      "\"+client|id +client|tracking +subscribe +ping "
                      "&" PERM_TRACKER_CHANNEL "\"; until then changes take "
                      "effect within \"app_permission_cache_valid\"",
                      tracker->name, command, text);
    }

    perm_redis_tracker_lose(tracker, PERM_TRACKER_REFUSED);

    if (!tracker->witness) {
        tracker->conf->handlers->refused(tracker->conf->data);
    }
}


static void
perm_redis_tracker_tracked(void *data, redisReply *reply)
{
    perm_redis_tracker_t *tracker = data;

    if (reply == NULL) {
        return;
    }

    if (reply->type != REDIS_REPLY_STATUS) {
        perm_redis_tracker_refused(tracker, "CLIENT TRACKING", reply);
        return;
    }

    perm_redis_tracker_gain(tracker);
}


/* the source is connected */

static void
perm_redis_tracker_ready(void *data, perm_redis_connection_t *connection)
{
    perm_redis_tracker_t *tracker = data;

    u_char                      id[NGX_INT64_LEN + 1];
    ngx_str_t                   argv[6 + 2 * PERM_TRACKING_PREFIXES_MAX];
    ngx_uint_t                  argc, i;
    perm_redis_tracker_conf_t  *conf;

    conf = tracker->conf;

    ngx_str_set(&argv[0], "CLIENT");
    ngx_str_set(&argv[1], "TRACKING");
    ngx_str_set(&argv[2], "ON");
    ngx_str_set(&argv[3], "REDIRECT");
    argv[4].data = id;
    argv[4].len = ngx_sprintf(id, "%L", (int64_t) tracker->id) - id;
    ngx_str_set(&argv[5], "BCAST");
    argc = 6;

    for (i = 0; i < conf->nprefixes; i++) {
        ngx_str_set(&argv[argc], "PREFIX");
        argv[argc + 1] = conf->prefixes[i];
        argc += 2;
    }

    if (perm_redis_connection_send(connection, argc, argv,
                                   perm_redis_tracker_tracked, tracker)
        == NULL)
    {
        perm_redis_tracker_retry(tracker);
    }
}


/*
 * To the address the listener is at: a name may have several, and the client
 * id counts at one server only.
 */

static void
perm_redis_tracker_connect_source(perm_redis_tracker_t *tracker)
{
    ngx_int_t           rc;
    ngx_str_t          *name;
    ngx_addr_t          addr;
    ngx_pool_t         *pool;
    perm_redis_conf_t  *conf;

    conf = tracker->conf->conf;

    pool = ngx_create_pool(1024, tracker->conf->log);
    if (pool == NULL) {
        perm_redis_tracker_retry(tracker);
        return;
    }

    if (tracker->node.port == 0) {
        addr = conf->addrs[0];
        rc = NGX_OK;

    } else {
        name = perm_redis_connection_name(tracker->listener);
        rc = ngx_parse_addr_port(pool, &addr, name->data, name->len);
        addr.name = *name;
    }

    if (rc == NGX_OK) {
        tracker->source =
            perm_redis_connection_open(conf, PERM_REDIS_SERVER, &addr,
                                       &tracker->node.name, tracker->conf->log,
                                       &perm_redis_source_handlers, tracker);
    }

    if (tracker->source == NULL) {
        perm_redis_tracker_retry(tracker);
    }

    ngx_destroy_pool(pool);
}


static void
perm_redis_tracker_subscribed(void *data, redisReply *reply)
{
    perm_redis_tracker_t *tracker = data;

    if (reply == NULL) {
        return;
    }

    if (reply->type != REDIS_REPLY_ARRAY) {
        perm_redis_tracker_refused(tracker, "SUBSCRIBE", reply);
        return;
    }

    perm_redis_tracker_connect_source(tracker);
}


static void
perm_redis_tracker_identified(void *data, redisReply *reply)
{
    perm_redis_tracker_t *tracker = data;

    static ngx_str_t  subscribe[] = {
        ngx_string("SUBSCRIBE"),
        ngx_string(PERM_TRACKER_CHANNEL)
    };

    if (reply == NULL) {
        return;
    }

    if (reply->type != REDIS_REPLY_INTEGER) {
        perm_redis_tracker_refused(tracker, "CLIENT ID", reply);
        return;
    }

    tracker->id = reply->integer;

    if (perm_redis_connection_send(tracker->listener, 2, subscribe,
                                   perm_redis_tracker_subscribed, tracker)
        == NULL)
    {
        perm_redis_tracker_retry(tracker);
    }
}


static void
perm_redis_tracker_push(void *data, perm_redis_connection_t *connection,
    redisReply *reply)
{
    perm_redis_tracker_t *tracker = data;

    perm_redis_invalidation(reply, tracker->conf);
}


/* the listener is connected, or not */

static void
perm_redis_tracker_listen(void *data, perm_redis_connection_t *connection,
    ngx_str_t *reason)
{
    perm_redis_tracker_t *tracker = data;

    perm_redis_role_t  role;

    static ngx_str_t  id[] = { ngx_string("CLIENT"), ngx_string("ID") };

    tracker->connector = NULL;
    tracker->listener = connection;

    if (connection == NULL) {
        ngx_log_error(NGX_LOG_INFO, tracker->conf->log, 0,
                      "app_permission: no connection for tracking to Redis "
                      "%s: %V", tracker->name, reason);
        perm_redis_tracker_retry(tracker);
        return;
    }

    role = perm_redis_connection_role(connection);

    if ((!tracker->witness
         && !perm_redis_discovery_accept(tracker->conf->nodes, role))
        || perm_redis_connection_send(connection, 2, id,
                                      perm_redis_tracker_identified, tracker)
           == NULL)
    {
        perm_redis_tracker_retry(tracker);
    }
}


void
perm_redis_tracker_handshake(perm_redis_tracker_t *tracker)
{
    tracker->connector =
        perm_redis_connector_start(tracker->conf->conf, PERM_REDIS_SERVER,
                                   &tracker->node, &tracker->next,
                                   tracker->conf->log,
                                   &perm_redis_listener_handlers, tracker,
                                   perm_redis_tracker_listen);
    if (tracker->connector == NULL) {
        perm_redis_tracker_retry(tracker);
    }
}
