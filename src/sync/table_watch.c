
#include "sync/table_watch.h"

#include "core/grant_key.h"


#define PERM_TABLE_WATCH_ID    "id"   /* one that is random, of each load */
#define PERM_TABLE_WATCH_TIME  1000   /* ms: another database is noticed */


static void perm_table_watch_asking(void *data);
static ngx_int_t perm_table_watch_answer(void *data, redisReply *reply);
static ngx_int_t perm_table_watch_settled(void *data);
static void perm_table_watch_failed(perm_table_watch_t *watch);


void
perm_table_watch_init(perm_table_watch_t *watch, perm_sync_conf_t *conf,
    ngx_str_t *meta, ngx_log_t *log)
{
    watch->conf = conf;
    watch->zone = conf->zone.zone;
    watch->log = log;

    ngx_str_set(&watch->argv[0], "HMGET");
    watch->argv[1] = *meta;
    ngx_str_set(&watch->argv[2], PERM_SCHEMA_FIELD);
    ngx_str_set(&watch->argv[3], PERM_TABLE_WATCH_ID);

    watch->question.argc = PERM_TABLE_WATCH_ARGC;
    watch->question.argv = watch->argv;
    watch->question.data = watch;
    watch->question.asking = perm_table_watch_asking;
    watch->question.answer = perm_table_watch_answer;
    watch->question.settled = perm_table_watch_settled;
}


void
perm_table_watch_start(perm_table_watch_t *watch,
    perm_redis_tracking_t *tracking)
{
    watch->tracking = tracking;
    perm_redis_tracking_question(tracking, &watch->question);
}


/*
 * A server has many databases, and Redis does not say which of them was
 * emptied.  A cluster has one; its nodes are emptied one by one, and the node
 * with "meta" says nothing of the others.
 */

void
perm_table_watch_event(perm_table_watch_t *watch, perm_table_event_t event)
{
    if (event == PERM_TABLE_FLUSH
        && watch->conf->redis.url->kind == PERM_REDIS_CLUSTER)
    {
        event = PERM_TABLE_META;
    }

    if (!perm_sync_conf_replaced(watch->conf)) {
        perm_table_state_event(&watch->zone->table, event, watch->log);
    }

    perm_table_watch_missed(watch);
}


void
perm_table_watch_missed(perm_table_watch_t *watch)
{
    watch->empty = 0;
    perm_redis_tracking_ask(watch->tracking);
}


void
perm_table_watch_turn(perm_table_watch_t *watch)
{
    if (ngx_current_msec - watch->last >= PERM_TABLE_WATCH_TIME) {
        perm_redis_tracking_ask(watch->tracking);
    }
}


static void
perm_table_watch_asking(void *data)
{
    perm_table_watch_t *watch = data;

    watch->last = ngx_current_msec;
    watch->asked = perm_table_state_ask_settled(&watch->zone->table);
}


static ngx_int_t
perm_table_watch_answer(void *data, redisReply *reply)
{
    perm_table_watch_t *watch = data;

    perm_str_t   id;
    redisReply  *element;

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2
        || perm_grants_reply_loaded(reply->element[0], &watch->answer.loaded)
           != NGX_OK)
    {
        perm_table_watch_failed(watch);
        return NGX_DECLINED;
    }

    id = perm_str("");
    element = reply->element[1];

    if (element->type == REDIS_REPLY_STRING) {
        id.len = element->len;
        id.data = element->str;
    }

    watch->answer.id = perm_tuple_key_hash(id, perm_str(""),
                                           watch->zone->seed)
                       | 1;

    return NGX_OK;
}


static ngx_int_t
perm_table_watch_settled(void *data)
{
    perm_table_watch_t *watch = data;

    ngx_int_t  rc;

    if (perm_sync_conf_replaced(watch->conf)) {
        return watch->answer.loaded ? NGX_OK : NGX_ABORT;
    }

    if (watch->answer.loaded) {
        perm_table_state_seen(&watch->zone->table, watch->conf->source);
    }

    rc = perm_table_state_settled(&watch->zone->table, &watch->asked,
                                  &watch->answer, &watch->conf->redis.prefix,
                                  watch->log);

    if (rc != NGX_AGAIN) {
        watch->empty = !watch->answer.loaded;
    }

    return rc;
}


/*
 * Nobody says that nothing happened: what was suspended is distrusted.  A right
 * that is missing is logged by the lookups, which need the same.
 */

static void
perm_table_watch_failed(perm_table_watch_t *watch)
{
    perm_cache_t  *cache;

    cache = watch->zone->cache;

    if (perm_epoch_suspended(perm_epoch_seen(perm_cache_epoch(cache)))) {
        perm_cache_distrust(cache);
    }
}
