
#include "sync/meta.h"

#include "core/grant_key.h"


/* a question on its way */

typedef struct {
    perm_meta_t                *meta;
    ngx_queue_t                 waiters;
    ngx_atomic_uint_t           asked;   /* of table_state, when it was sent */
} perm_meta_turn_t;


struct perm_meta_s {
    perm_sync_conf_t           *conf;
    perm_zone_t                *zone;
    perm_redis_client_t        *redis;
    ngx_log_t                  *log;

    perm_meta_turn_t           *turn;    /* this one; NULL: nothing asked */
    ngx_event_t                 end;     /* of the turn, posted */
    perm_grants_reply_logged_t  logged;

    ngx_str_t                   key;
    char                        bytes[PERM_KEY_MAX];    /* of the key */
};


static void perm_meta_send(ngx_event_t *ev);
static void perm_meta_reply(void *data, redisReply *reply);


perm_meta_t *
perm_meta_create(perm_sync_conf_t *conf, ngx_cycle_t *cycle,
    perm_redis_client_t *redis)
{
    perm_meta_t  *meta;

    meta = ngx_pcalloc(cycle->pool, sizeof(perm_meta_t));
    if (meta == NULL) {
        return NULL;
    }

    meta->conf = conf;
    meta->zone = conf->zone.zone;
    meta->redis = redis;
    meta->log = cycle->log;

    meta->key.len = perm_grant_key_meta(meta->bytes,
                                        perm_sync_conf_prefix(conf));
    meta->key.data = (u_char *) meta->bytes;

    meta->end.handler = perm_meta_send;
    meta->end.data = meta;
    meta->end.log = cycle->log;

    return meta;
}


void
perm_meta_destroy(perm_meta_t *meta)
{
    if (meta->end.posted) {
        ngx_delete_posted_event(&meta->end);
    }
}


ngx_int_t
perm_meta_ask(perm_meta_t *meta, perm_meta_waiter_t *waiter)
{
    perm_meta_turn_t  *turn;

    turn = meta->turn;

    if (turn == NULL) {
        turn = ngx_alloc(sizeof(perm_meta_turn_t), meta->log);
        if (turn == NULL) {
            return NGX_ERROR;
        }

        turn->meta = meta;
        ngx_queue_init(&turn->waiters);

        ngx_post_event(&meta->end, &ngx_posted_events);
        meta->turn = turn;
    }

    if (waiter) {
        ngx_queue_insert_tail(&turn->waiters, &waiter->queue);
    }

    return NGX_OK;
}


void
perm_meta_cancel(perm_meta_waiter_t *waiter)
{
    ngx_queue_remove(&waiter->queue);
    ngx_queue_init(&waiter->queue);
}


static void
perm_meta_send(ngx_event_t *ev)
{
    perm_meta_t *meta = ev->data;

    ngx_str_t          argv[3];
    perm_meta_turn_t  *turn;

    turn = meta->turn;
    meta->turn = NULL;

    turn->asked = perm_table_state_ask(&meta->zone->table);

    ngx_str_set(&argv[0], "HGET");
    argv[1] = meta->key;
    ngx_str_set(&argv[2], PERM_SCHEMA_FIELD);

    if (perm_redis_client_send(meta->redis, &argv[1], 3, argv, perm_meta_reply,
                               turn)
        == NULL)
    {
        perm_meta_reply(turn, NULL);
    }
}


static void
perm_meta_reply(void *data, redisReply *reply)
{
    perm_meta_turn_t *turn = data;

    ngx_int_t            rc;
    ngx_uint_t           loaded;
    ngx_queue_t         *q;
    perm_meta_t         *meta;
    perm_meta_waiter_t  *waiter;

    meta = turn->meta;
    rc = perm_grants_reply_loaded(reply, &loaded);

    /* lookups log that it was refused */

    if (reply && rc != NGX_DECLINED) {
        perm_grants_reply_log(&meta->logged, reply, rc, "HGET",
                              PERM_GRANTS_REPLY_STALE, meta->log);
    }

    if (rc == NGX_OK && perm_sync_conf_replaced(meta->conf)) {
        rc = loaded ? NGX_OK : NGX_ABORT;

    } else if (rc == NGX_OK) {

        if (loaded) {
            perm_table_state_seen(&meta->zone->table, meta->conf->source);
        }

        rc = perm_table_state_answered(&meta->zone->table, turn->asked, loaded,
                                       &meta->conf->redis.prefix, meta->log);

    } else if (rc == NGX_ERROR && reply) {
        perm_redis_client_drop(meta->redis);
    }

    while (!ngx_queue_empty(&turn->waiters)) {
        q = ngx_queue_head(&turn->waiters);
        waiter = ngx_queue_data(q, perm_meta_waiter_t, queue);

        perm_meta_cancel(waiter);
        waiter->handler(waiter->data, reply, rc);
    }

    ngx_free(turn);
}
