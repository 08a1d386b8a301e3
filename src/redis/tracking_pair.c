
/*
 * Tracking at one master: the listener, a connection that is subscribed to
 * __redis__:invalidate, and the source, whose tracking is redirected to it.
 * Either is worth nothing without the other.
 *
 *   listener: CLIENT ID, SUBSCRIBE -> source: CLIENT TRACKING -> active
 *
 * https://redis.io/docs/latest/commands/client-tracking/
 */


#include "redis/tracking_priv.h"

#include "resp/printable.h"


#define PERM_TRACKING_BEAT      100     /* ms between heartbeats */
#define PERM_TRACKING_REFUSED   10000   /* ms until asked again */
#define PERM_TRACKING_REFUSALS  2       /* in a row, before the log says so */
#define PERM_TRACKING_KEY_MAX   1024    /* bytes; longer keys are not ours */

#define PERM_TRACKING_CHANNEL   "__redis__:invalidate"


static void perm_redis_pair_drop(perm_redis_pair_t *pair);
static void perm_redis_pair_lose(perm_redis_pair_t *pair, ngx_msec_t delay);
static void perm_redis_pair_retry(perm_redis_pair_t *pair);
static void perm_redis_pair_timer(ngx_event_t *ev);
static void perm_redis_pair_closed(void *data,
    perm_redis_connection_t *connection, const char *reason);

static void perm_redis_pair_listener_ready(void *data,
    perm_redis_connection_t *connection);
static void perm_redis_pair_source_ready(void *data,
    perm_redis_connection_t *connection);
static void perm_redis_pair_send(perm_redis_pair_t *pair,
    perm_redis_connection_t *connection, ngx_uint_t argc, ngx_str_t *argv,
    perm_redis_reply_pt handler);
static void perm_redis_pair_reply(void *data, redisReply *reply);
static void perm_redis_pair_address(perm_redis_pair_t *pair);
static void perm_redis_pair_refused(perm_redis_pair_t *pair,
    const char *command, redisReply *reply);

static void perm_redis_pair_beat(perm_redis_pair_t *pair);
static void perm_redis_pair_listener_pong(void *data, redisReply *reply);
static void perm_redis_pair_source_pong(void *data, redisReply *reply);
static void perm_redis_pair_heard(perm_redis_pair_t *pair,
    perm_redis_pair_side_t side, redisReply *reply);
static void perm_redis_pair_pong(perm_redis_pair_t *pair, redisReply *reply);
static void perm_redis_pair_push(void *data,
    perm_redis_connection_t *connection, redisReply *reply);
static void perm_redis_pair_key(perm_redis_tracking_t *tracking,
    redisReply *reply);


static perm_redis_connection_handlers_t  perm_redis_tracking_listener = {
    perm_redis_pair_listener_ready,
    perm_redis_pair_closed,
    perm_redis_pair_push
};


static perm_redis_connection_handlers_t  perm_redis_tracking_source = {
    perm_redis_pair_source_ready,
    perm_redis_pair_closed,
    NULL
};


/* the commands that begin tracking, in this order */

static const struct {
    const char  *name;
    int          type;     /* of the reply */
} perm_redis_pair_steps[] = {
    { "CLIENT ID", REDIS_REPLY_INTEGER },
    { "SUBSCRIBE", REDIS_REPLY_ARRAY },
    { "CLIENT TRACKING", REDIS_REPLY_STATUS }
};


perm_redis_pair_t *
perm_redis_tracking_pair_create(perm_redis_tracking_t *tracking,
    perm_redis_node_t *node)
{
    perm_redis_pair_t  *pair;

    pair = ngx_calloc(sizeof(perm_redis_pair_t), tracking->log);
    if (pair == NULL) {
        return NULL;
    }

    pair->tracking = tracking;
    pair->node = *node;

    pair->timer.handler = perm_redis_pair_timer;
    pair->timer.data = pair;
    pair->timer.log = tracking->log;
    pair->timer.cancelable = 1;

    ngx_add_timer(&pair->timer, 1);

    pair->next = tracking->pairs;
    tracking->pairs = pair;

    return pair;
}


void
perm_redis_tracking_pair_destroy(perm_redis_pair_t *pair)
{
    perm_redis_pair_drop(pair);
    ngx_free(pair);
}


static void
perm_redis_pair_drop(perm_redis_pair_t *pair)
{
    if (pair->timer.timer_set) {
        ngx_del_timer(&pair->timer);
    }

    if (pair->source) {
        perm_redis_connection_close(pair->source);
        pair->source = NULL;
    }

    if (pair->listener) {
        perm_redis_connection_close(pair->listener);
        pair->listener = NULL;
    }

    pair->beats = 0;
    pair->pings[PERM_TRACKING_LISTENER] = 0;
    pair->pings[PERM_TRACKING_SOURCE] = 0;
    pair->questions = 0;
    pair->settling = 0;
}


/* begins anew after "delay" ms */

static void
perm_redis_pair_lose(perm_redis_pair_t *pair, ngx_msec_t delay)
{
    ngx_log_debug3(NGX_LOG_DEBUG_CORE, pair->tracking->log, 0,
                   "app_permission: redis %s: tracking lost, was active %d, "
                   "retry in %M ms", pair->node.label, (int) pair->active,
                   delay);

    perm_redis_pair_drop(pair);

    ngx_add_timer(&pair->timer, delay);

    pair->active = 0;
    perm_redis_tracking_update(pair->tracking);
}


static void
perm_redis_pair_retry(perm_redis_pair_t *pair)
{
    perm_redis_pair_lose(pair,
                         perm_redis_connection_backoff(pair->failures++));

    perm_redis_discovery_refresh(pair->tracking->discovery);
}


/* a heartbeat, or the next try */

static void
perm_redis_pair_timer(ngx_event_t *ev)
{
    perm_redis_pair_t *pair = ev->data;

    if (pair->active) {
        ngx_add_timer(&pair->timer, PERM_TRACKING_BEAT);
        perm_redis_pair_beat(pair);
        return;
    }

    pair->listener =
        perm_redis_connection_open(pair->tracking->conf, &pair->node, NULL,
                                   pair->tracking->log,
                                   &perm_redis_tracking_listener, pair);
    if (pair->listener == NULL) {
        perm_redis_pair_retry(pair);
    }
}


/* either of the two */

static void
perm_redis_pair_closed(void *data, perm_redis_connection_t *connection,
    const char *reason)
{
    perm_redis_pair_t *pair = data;

    uint32_t                hash;
    ngx_uint_t              level;
    perm_redis_tracking_t  *tracking;

    tracking = pair->tracking;

    *(connection == pair->listener ? &pair->listener : &pair->source) = NULL;

    hash = ngx_murmur_hash2((u_char *) reason, ngx_strlen(reason));

    /* a retry that fails like the one before is nothing new */

    if (pair->active || hash != pair->logged) {
        level = pair->active ? NGX_LOG_NOTICE : NGX_LOG_INFO;

        ngx_log_error(level, tracking->log, 0,
                      "app_permission: a connection for tracking to Redis %s "
                      "ended: %s", pair->node.label, reason);
    }

    pair->logged = hash;

    if (connection->moved) {
        tracking->handlers->moved(tracking->data);
    }

    if (pair->active && connection->hung) {
        tracking->handlers->hung(tracking->data);
    }

    perm_redis_pair_retry(pair);
}


static void
perm_redis_pair_listener_ready(void *data, perm_redis_connection_t *connection)
{
    perm_redis_pair_t *pair = data;

    static ngx_str_t  id[] = { ngx_string("CLIENT"), ngx_string("ID") };

    if (!perm_redis_discovery_accept(pair->tracking->discovery,
                                     connection->role))
    {
        perm_redis_pair_retry(pair);
        return;
    }

    pair->step = 0;
    perm_redis_pair_send(pair, connection, 2, id, perm_redis_pair_reply);
}


static void
perm_redis_pair_source_ready(void *data, perm_redis_connection_t *connection)
{
    perm_redis_pair_t *pair = data;

    u_char                  id[NGX_INT64_LEN + 1];
    ngx_str_t               argv[6 + 2 * PERM_TRACKING_PREFIXES_MAX];
    ngx_uint_t              argc, i;
    perm_redis_tracking_t  *tracking;

    tracking = pair->tracking;

    ngx_str_set(&argv[0], "CLIENT");
    ngx_str_set(&argv[1], "TRACKING");
    ngx_str_set(&argv[2], "ON");
    ngx_str_set(&argv[3], "REDIRECT");
    argv[4].data = id;
    argv[4].len = ngx_sprintf(id, "%L", (int64_t) pair->id) - id;
    ngx_str_set(&argv[5], "BCAST");
    argc = 6;

    for (i = 0; i < tracking->nprefixes; i++) {
        ngx_str_set(&argv[argc], "PREFIX");
        argv[argc + 1] = tracking->prefixes[i];
        argc += 2;
    }

    perm_redis_pair_send(pair, connection, argc, argv, perm_redis_pair_reply);
}


/* both connections are closed, and NULL, when it fails */

static void
perm_redis_pair_send(perm_redis_pair_t *pair,
    perm_redis_connection_t *connection, ngx_uint_t argc, ngx_str_t *argv,
    perm_redis_reply_pt handler)
{
    if (perm_redis_connection_send(connection, argc, argv, handler, pair)
        == NULL)
    {
        perm_redis_pair_retry(pair);
    }
}


static void
perm_redis_pair_reply(void *data, redisReply *reply)
{
    perm_redis_pair_t *pair = data;

    static ngx_str_t  subscribe[] = {
        ngx_string("SUBSCRIBE"),
        ngx_string(PERM_TRACKING_CHANNEL)
    };

    if (reply == NULL) {
        return;
    }

    if (reply->type != perm_redis_pair_steps[pair->step].type) {
        perm_redis_pair_refused(pair, perm_redis_pair_steps[pair->step].name,
                                reply);
        return;
    }

    switch (pair->step++) {

    case 0: /* CLIENT ID */
        pair->id = reply->integer;
        perm_redis_pair_send(pair, pair->listener, 2, subscribe,
                             perm_redis_pair_reply);
        break;

    case 1: /* SUBSCRIBE */

        /* a name may have several addresses; the id is of one server */

        pair->source =
            perm_redis_connection_open(pair->tracking->conf, &pair->node,
                                       pair->listener, pair->tracking->log,
                                       &perm_redis_tracking_source, pair);
        if (pair->source == NULL) {
            perm_redis_pair_retry(pair);
        }

        break;

    default: /* CLIENT TRACKING */
        ngx_log_debug2(NGX_LOG_DEBUG_CORE, pair->tracking->log, 0,
                       "app_permission: redis %s: tracking begun, client %L",
                       pair->node.label, (int64_t) pair->id);

        perm_redis_pair_address(pair);

        pair->active = 1;
        pair->refusals = 0;
        pair->heard = ngx_current_msec;

        ngx_add_timer(&pair->timer, PERM_TRACKING_BEAT);

        perm_redis_tracking_update(pair->tracking);
    }
}


/* a name may lead to another server than before: other workers may not know */

static void
perm_redis_pair_address(perm_redis_pair_t *pair)
{
    ngx_str_t  *address;

    address = pair->source->peer.name;

    if (pair->address_len
        && (pair->address_len != address->len
            || ngx_memcmp(pair->address, address->data, address->len) != 0))
    {
        pair->tracking->handlers->moved(pair->tracking->data);
    }

    pair->address_len = ngx_min(address->len, NGX_SOCKADDR_STRLEN);
    ngx_memcpy(pair->address, address->data, pair->address_len);
}


/* a command that tracking needs was answered with an error or nonsense */

static void
perm_redis_pair_refused(perm_redis_pair_t *pair,
    const char *command, redisReply *reply)
{
    char                    text[256];
    ngx_uint_t              level;
    perm_str_t              error;
    perm_redis_tracking_t  *tracking;

    tracking = pair->tracking;

    error = perm_str("a reply of another type");

    if (reply->type == REDIS_REPLY_ERROR) {
        error.data = reply->str;
        error.len = reply->len;
    }

    (void) perm_printable(text, sizeof(text), error, 0);

    /* rights and versions do not change soon */

    if (!perm_reply_error(reply, "NOPERM")
        && ngx_strstr(text, "nknown") == NULL
        && ngx_strstr(text, "yntax") == NULL)
    {
        /* the first one may be over with the next try */

        if (pair->refusals < PERM_TRACKING_REFUSALS) {
            pair->refusals++;

            level = (pair->refusals == PERM_TRACKING_REFUSALS
                     && tracking->handlers->refused(tracking->data, 0))
                    ? NGX_LOG_ERR : NGX_LOG_INFO;

            ngx_log_error(level, tracking->log, 0,
                          "app_permission: Redis %s answered \"%s\" with "
                          "\"%s\", changes of grants are not pushed until it "
                          "does better", pair->node.label, command, text);
        }

        perm_redis_pair_retry(pair);
        return;
    }

    perm_redis_pair_lose(pair, PERM_TRACKING_REFUSED);

    if (tracking->handlers->refused(tracking->data, 1)) {
        ngx_log_error(NGX_LOG_ERR, tracking->log, 0,
                      "app_permission: Redis %s does not push changes of "
                      "grants: \"%s\" was answered with \"%s\"; it needs "
                      "Redis 6.0 or later and a user with "
                      "\"+client|id +client|tracking +subscribe +ping "
                      "&" PERM_TRACKING_CHANNEL "\"; until then changes take "
                      "effect within \"app_permission_cache_valid\"",
                      pair->node.label, command, text);
    }
}


/*
 * The answer to a PING of the listener comes behind all changes that were made
 * before it and pushed.  They were pushed if the source was tracked by then,
 * which its own answer says: a source that Redis has dropped may not know it.
 * The next beat does not wait for these answers: how old the newest one is must
 * not double with the round trip.
 */

static void
perm_redis_pair_beat(perm_redis_pair_t *pair)
{
    static ngx_str_t  ping = ngx_string("PING");

    if (pair->beats == PERM_TRACKING_BEATS_MAX) {
        return;
    }

    pair->sent[(pair->first + pair->beats++) % PERM_TRACKING_BEATS_MAX] =
                                                              ngx_current_msec;
    pair->pings[PERM_TRACKING_LISTENER]++;
    pair->pings[PERM_TRACKING_SOURCE]++;

    perm_redis_pair_send(pair, pair->listener, 1, &ping,
                         perm_redis_pair_listener_pong);

    if (pair->source != NULL) {
        perm_redis_pair_send(pair, pair->source, 1, &ping,
                             perm_redis_pair_source_pong);
    }
}


static void
perm_redis_pair_listener_pong(void *data, redisReply *reply)
{
    perm_redis_pair_heard(data, PERM_TRACKING_LISTENER, reply);
}


static void
perm_redis_pair_source_pong(void *data, redisReply *reply)
{
    perm_redis_pair_heard(data, PERM_TRACKING_SOURCE, reply);
}


static void
perm_redis_pair_heard(perm_redis_pair_t *pair, perm_redis_pair_side_t side,
    redisReply *reply)
{
    if (reply == NULL) {
        return;
    }

    perm_redis_pair_pong(pair, reply);

    pair->pings[side]--;

    if (pair->beats == ngx_max(pair->pings[PERM_TRACKING_LISTENER],
                               pair->pings[PERM_TRACKING_SOURCE]))
    {
        return;
    }

    pair->heard = pair->sent[pair->first];
    pair->first = (pair->first + 1) % PERM_TRACKING_BEATS_MAX;
    pair->beats--;

    /* not before: a server that takes connections to drop them would be asked
       without a pause */

    pair->failures = 0;

    pair->tracking->handlers->lag(pair->tracking->data,
                                  ngx_current_msec - pair->heard);

    perm_redis_tracking_heard(pair->tracking);
}


/* a refusal is as good an answer, but each one gets into the ACL LOG */

static void
perm_redis_pair_pong(perm_redis_pair_t *pair, redisReply *reply)
{
    if (pair->ping_logged || !perm_reply_error(reply, "NOPERM")) {
        return;
    }

    pair->ping_logged = 1;

    ngx_log_error(NGX_LOG_WARN, pair->tracking->log, 0,
                  "app_permission: Redis %s: the user has no right to PING: it "
                  "works without, but ACL LOG fills; it should have \"+ping\"",
                  pair->node.label);
}


/* "message", the channel, and an array of keys, or nil after a FLUSHALL */

static void
perm_redis_pair_push(void *data, perm_redis_connection_t *connection,
    redisReply *reply)
{
    perm_redis_pair_t *pair = data;

    size_t                  i;
    redisReply             *keys;
    perm_redis_tracking_t  *tracking;

    tracking = pair->tracking;

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 3) {
        return;
    }

    keys = reply->element[2];

    if (keys->type == REDIS_REPLY_NIL) {
        tracking->handlers->changed(tracking->data, NULL);
        return;
    }

    /* Redis sends nothing else, but a client may publish on this channel */

    if (keys->type != REDIS_REPLY_ARRAY) {
        return;
    }

    ngx_log_debug2(NGX_LOG_DEBUG_CORE, tracking->log, 0,
                   "app_permission: redis %s: %uz keys changed",
                   pair->node.label, keys->elements);

    for (i = 0; i < keys->elements; i++) {
        perm_redis_pair_key(tracking, keys->element[i]);
    }
}


static void
perm_redis_pair_key(perm_redis_tracking_t *tracking, redisReply *reply)
{
    ngx_str_t    key, *prefix;
    ngx_uint_t   i;

    if (reply->type != REDIS_REPLY_STRING
        || (size_t) reply->len > PERM_TRACKING_KEY_MAX)
    {
        return;
    }

    key.len = reply->len;
    key.data = (u_char *) reply->str;

    for (i = 0; i < tracking->nprefixes; i++) {
        prefix = &tracking->prefixes[i];

        if (key.len >= prefix->len
            && ngx_memcmp(key.data, prefix->data, prefix->len) == 0)
        {
            tracking->handlers->changed(tracking->data, &key);
            return;
        }
    }
}
