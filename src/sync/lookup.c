
#include "sync/lookup.h"

#include "core/grant_key.h"
#include "resp/advice.h"
#include "resp/printable.h"


#define PERM_LOOKUP_SHOWN   (PERM_LINK_CAUSE_MAX / 2)   /* bytes of an error */
#define PERM_LOOKUP_NO_TTL  60   /* seconds without a refusal: it is over */


/*
 * The time to live is read behind the grants, so that it is known where it was
 * set before them.  A key that was made anew in between is pushed as changed.
 */

struct perm_lookup_sender_s {
    perm_sync_conf_t           *conf;
    perm_redis_client_t        *redis;
    perm_meta_t                *meta;
    perm_str_t                  prefix;
    ngx_log_t                  *log;
    perm_grants_reply_logged_t  logged;
};


static void perm_lookup_grants(void *data, redisReply *reply);
static void perm_lookup_ttl(void *data, redisReply *reply);
static void perm_lookup_no_ttl(perm_lookup_sender_t *sender,
    redisReply *reply);
static void perm_lookup_loaded(void *data, redisReply *reply, ngx_int_t rc);
static void perm_lookup_log(perm_lookup_sender_t *sender, const char *command,
    redisReply *reply, ngx_int_t rc);
static ngx_uint_t perm_lookup_refused(perm_lookup_sender_t *sender,
    const char *command, redisReply *reply);
static void perm_lookup_answered(perm_lookup_t *lookup, redisReply *reply,
    ngx_int_t rc);


perm_lookup_sender_t *
perm_lookup_create(perm_sync_conf_t *conf, ngx_cycle_t *cycle,
    perm_redis_client_t *redis)
{
    perm_lookup_sender_t  *sender;

    sender = ngx_pcalloc(cycle->pool, sizeof(perm_lookup_sender_t));
    if (sender == NULL) {
        return NULL;
    }

    sender->conf = conf;
    sender->redis = redis;
    sender->prefix = perm_sync_conf_prefix(conf);
    sender->log = cycle->log;

    sender->meta = perm_meta_create(conf, cycle, redis);

    return sender->meta ? sender : NULL;
}


void
perm_lookup_destroy(perm_lookup_sender_t *sender)
{
    perm_meta_destroy(sender->meta);
}


perm_meta_t *
perm_lookup_meta(perm_lookup_sender_t *sender)
{
    return sender->meta;
}


ngx_int_t
perm_lookup_send(perm_lookup_sender_t *sender, perm_lookup_t *lookup)
{
    char           key[PERM_KEY_MAX];
    ngx_str_t      hmget[4], pttl[2];
    perm_str_t     gateway, app;
    perm_tuple_t  *tuple;

    tuple = lookup->tuple;
    gateway = tuple->gateway;
    app = tuple->app;

    lookup->sender = sender;
    lookup->meta.handler = perm_lookup_loaded;
    lookup->meta.data = lookup;
    lookup->table = NGX_BUSY;

    ngx_queue_init(&lookup->meta.queue);

    if (perm_meta_ask(sender->meta, &lookup->meta) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_str_set(&hmget[0], "HMGET");
    hmget[1].data = (u_char *) key;
    hmget[1].len = perm_grant_key(key, PERM_KEY_GRANTS, sender->prefix, gateway,
                                  app);
    ngx_str_set(&hmget[2], PERM_GATEWAY_FIELD);
    hmget[3].data = (u_char *) tuple->resource.data;
    hmget[3].len = tuple->resource.len;

    ngx_str_set(&pttl[0], "PTTL");
    pttl[1] = hmget[1];

    lookup->generation = perm_cache_generation(sender->conf->zone.zone->cache,
                                               gateway, app);
    lookup->sent = ngx_current_msec;

    lookup->hmget = perm_redis_client_send(sender->redis, &hmget[1], 4, hmget,
                                           perm_lookup_grants, lookup);

    if (lookup->hmget) {
        lookup->pttl = perm_redis_client_send(sender->redis, &pttl[1], 2, pttl,
                                              perm_lookup_ttl, lookup);
    }

    if (lookup->pttl == NULL) {
        perm_lookup_cancel(lookup);
        return NGX_ERROR;
    }

    return NGX_OK;
}


void
perm_lookup_cancel(perm_lookup_t *lookup)
{
    if (lookup->hmget) {
        perm_redis_command_cancel(lookup->hmget);
        lookup->hmget = NULL;
    }

    if (lookup->pttl) {
        perm_redis_command_cancel(lookup->pttl);
        lookup->pttl = NULL;
    }

    if (lookup->meta.handler) {
        perm_meta_cancel(&lookup->meta);
    }
}


static void
perm_lookup_grants(void *data, redisReply *reply)
{
    perm_lookup_t *lookup = data;

    ngx_int_t              rc;
    perm_lookup_sender_t  *sender;

    lookup->hmget = NULL;
    sender = lookup->sender;

    rc = perm_grants_reply_parse(reply, &lookup->grants);

    if (rc == NGX_OK) {
        lookup->long_gateway = perm_grants_reply_too_long(reply, 0);
        lookup->long_resource = perm_grants_reply_too_long(reply, 1);
    }

    if (reply) {
        lookup->generation.untracked =
                                    !perm_redis_client_tracked(sender->redis);
        lookup->replica = perm_redis_client_replica(sender->redis);

        if (perm_reply_error(reply, "WRONGTYPE")) {
            perm_grants_reply_log_grant(sender->conf, lookup->tuple,
                                        perm_str(""), 0, sender->log);

        } else {
            perm_lookup_log(sender, "HMGET", reply, rc);
        }
    }

    perm_lookup_answered(lookup, reply, rc);
}


/* without the right to PTTL grants are looked up all the same */

static void
perm_lookup_ttl(void *data, redisReply *reply)
{
    perm_lookup_t *lookup = data;

    ngx_int_t              rc;
    perm_lookup_sender_t  *sender;

    lookup->pttl = NULL;
    sender = lookup->sender;

    rc = perm_grants_reply_left(reply, 0, &lookup->grants.left);

    if (reply && perm_grants_reply_no_pttl(reply)) {
        perm_lookup_no_ttl(sender, reply);
        lookup->grants.left = PERM_GRANTS_ENDLESS;
        rc = NGX_OK;

    } else if (reply) {
        perm_lookup_log(sender, "PTTL", reply, rc);

        if (rc == NGX_OK) {
            perm_lookup_no_ttl(sender, NULL);
        }
    }

    perm_lookup_answered(lookup, reply, rc);
}


/* NULL: it has the right; a change is one line for all workers */

static void
perm_lookup_no_ttl(perm_lookup_sender_t *sender, redisReply *reply)
{
    char                text[PERM_LOOKUP_SHOWN];
    ngx_atomic_t       *newest;
    ngx_atomic_uint_t   before;

    if (perm_sync_conf_former(sender->conf)) {
        return;
    }

    newest = &sender->conf->zone.zone->health.no_ttl;
    before = *newest;

    if (reply == NULL) {

        /* one server of several may refuse it */

        if (before && ngx_time() - (time_t) before >= PERM_LOOKUP_NO_TTL
            && perm_health_turned(newest, 0))
        {
            ngx_log_error(NGX_LOG_WARN, sender->log, 0,
                          "app_permission: Redis answers PTTL: a key's time "
                          "to live ends its grants");
        }

        return;
    }

    if (before) {
        *newest = ngx_time();
        return;
    }

    /* orders: only this word */
    if (!ngx_atomic_cmp_set(newest, 0, ngx_time())) {
        return;
    }

    (void) perm_printable(text, sizeof(text), perm_str(reply->str), 1);

    ngx_log_error(NGX_LOG_WARN, sender->log, 0,
                  "app_permission: Redis answered PTTL with \"%s\": a key's "
                  "time to live does not end its grants here: give the user "
                  "\"+pttl\"", text);
}


static void
perm_lookup_loaded(void *data, redisReply *reply, ngx_int_t rc)
{
    perm_lookup_t *lookup = data;

    lookup->table = rc;

    if (rc == NGX_DECLINED) {
        perm_lookup_log(lookup->sender, "HGET", reply, rc);
    }

    if (rc == NGX_ABORT || rc == NGX_AGAIN) {
        rc = NGX_OK;
    }

    perm_lookup_answered(lookup, reply, rc);
}


static void
perm_lookup_log(perm_lookup_sender_t *sender, const char *command,
    redisReply *reply, ngx_int_t rc)
{
    if (rc == NGX_DECLINED) {

        if (!perm_lookup_refused(sender, command, reply)) {
            return;
        }

        sender->logged.nerrors = 0;
    }

    perm_grants_reply_log(&sender->logged, reply, rc, command,
                          PERM_GRANTS_REPLY_STALE, sender->log);
}


/* for the status: Redis is up, and yet nothing can be looked up.  1: to log */

static ngx_uint_t
perm_lookup_refused(perm_lookup_sender_t *sender, const char *command,
    redisReply *reply)
{
    char    text[PERM_LOOKUP_SHOWN];
    u_char  cause[PERM_LINK_CAUSE_MAX];

    if (perm_sync_conf_former(sender->conf)) {
        return 0;
    }

    (void) perm_printable(text, sizeof(text), perm_str(reply->str), 0);

    *ngx_snprintf(cause, sizeof(cause) - 1, "%s was refused: %s; %s", command,
                  text, perm_advice_find(reply->str)->gateway) = '\0';

    return perm_link_state_refused(&sender->conf->zone.zone->link,
                                   sender->conf->generation,
                                   perm_redis_client_address(sender->redis),
                                   (char *) cause);
}


/*
 * All of its answers are here, or one of them is none.  The time to live counts
 * from now on: the other answers may have come later than it.
 */

static void
perm_lookup_answered(perm_lookup_t *lookup, redisReply *reply, ngx_int_t rc)
{
    int64_t            left;
    perm_sync_conf_t  *conf;

    if (rc != NGX_OK) {
        perm_lookup_cancel(lookup);

        if (rc == NGX_ERROR && reply) {
            perm_redis_client_drop(lookup->sender->redis);
        }

        lookup->handler(lookup->data, reply, rc);
        return;
    }

    if (lookup->hmget == NULL && lookup->pttl == NULL
        && lookup->table != NGX_BUSY)
    {
        conf = lookup->sender->conf;

        if (!perm_sync_conf_former(conf)) {
            perm_link_state_answered(&conf->zone.zone->link,
                                     lookup->sender->log);
        }

        if (lookup->grants.left != PERM_GRANTS_ENDLESS) {
            left = lookup->grants.left
                   - (int64_t) (ngx_current_msec - lookup->sent);
            lookup->grants.left = ngx_max(left, 0);
        }

        lookup->handler(lookup->data, reply, lookup->table);
    }
}
