
#include "sync/fetch_priv.h"


/* emptied, found, loaded, told: a lookup may be in the way of all of them */

#define PERM_FETCH_AGAIN  4


/* lookups whose answers count once that of "meta" is there */

typedef struct {
    perm_fetch_t      *fetch;
    ngx_queue_t        pendings;
    ngx_atomic_uint_t  asked;    /* see perm_table_state_ask() */
} perm_batch_t;


static void perm_fetch_table_reply(void *data, redisReply *reply);
static void perm_fetch_table_again(perm_batch_t *batch);
static void perm_fetch_table_checked(ngx_queue_t *pendings,
    redisReply *reply, ngx_int_t rc);


void
perm_fetch_table(perm_fetch_t *fetch)
{
    fetch->ask = 1;

    if (!fetch->meta.posted) {
        ngx_post_event(&fetch->meta, &ngx_posted_events);
    }
}


void
perm_fetch_table_handler(ngx_event_t *ev)
{
    ngx_str_t      argv[3];
    perm_batch_t  *batch;
    perm_fetch_t  *fetch;

    fetch = ev->data;

    if (ngx_queue_empty(&fetch->unchecked) && !fetch->ask) {
        return;
    }

    fetch->ask = 0;

    batch = ngx_alloc(sizeof(perm_batch_t), fetch->log);

    if (batch == NULL) {
        perm_fetch_table_checked(&fetch->unchecked, NULL, NGX_ERROR);
        return;
    }

    batch->fetch = fetch;
    batch->asked = perm_table_state_ask(&fetch->zone->table);
    ngx_queue_init(&batch->pendings);
    ngx_queue_add(&batch->pendings, &fetch->unchecked);
    ngx_queue_init(&fetch->unchecked);

    ngx_str_set(&argv[0], "HGET");
    argv[1].data = fetch->meta_key;
    argv[1].len = fetch->meta_len;
    ngx_str_set(&argv[2], PERM_SCHEMA_FIELD);

    if (perm_redis_client_send(fetch->redis, &argv[1], 3, argv,
                               perm_fetch_table_reply, batch)
        == NULL)
    {
        perm_fetch_table_reply(batch, NULL);
    }
}


static void
perm_fetch_table_reply(void *data, redisReply *reply)
{
    perm_batch_t *batch = data;

    ngx_int_t      rc;
    ngx_uint_t     loaded;
    perm_zone_t   *zone;
    perm_fetch_t  *fetch;

    fetch = batch->fetch;
    zone = fetch->zone;
    rc = NGX_ERROR;

    if (reply) {
        rc = perm_grants_reply_loaded(reply, &loaded);
        perm_grants_reply_log(&fetch->meta_answers, reply, rc, "HGET",
                              fetch->log);

        if (rc == NGX_OK) {

            rc = perm_table_state_answered(&zone->table, batch->asked, loaded,
                                           &fetch->conf->redis.prefix,
                                           fetch->log);

            if (rc == NGX_AGAIN) {
                perm_fetch_table_again(batch);
            }

            if (rc == NGX_DECLINED) {
                rc = NGX_ABORT;
            }

        } else if (rc == NGX_ERROR) {
            perm_redis_client_drop(fetch->redis);
        }
    }

    perm_fetch_table_checked(&batch->pendings, reply, rc);

    ngx_free(batch);
}


/*
 * The table was emptied or loaded meanwhile, before or behind the lookups:
 * nobody can say what their answers mean.  Not for ever, since that may go on.
 */

static void
perm_fetch_table_again(perm_batch_t *batch)
{
    ngx_queue_t     *q;
    perm_pending_t  *pending;

    for (q = ngx_queue_head(&batch->pendings);
         q != ngx_queue_sentinel(&batch->pendings);
         q = ngx_queue_next(q))
    {
        pending = ngx_queue_data(q, perm_pending_t, batch);
        pending->again = (pending->sends <= PERM_FETCH_AGAIN);
    }
}


/* "rc" is NGX_OK when the table is loaded, NGX_ABORT when it is not */

static void
perm_fetch_table_checked(ngx_queue_t *pendings, redisReply *reply,
    ngx_int_t rc)
{
    ngx_queue_t     *q;
    perm_pending_t  *pending;

    while (!ngx_queue_empty(pendings)) {
        q = ngx_queue_head(pendings);
        pending = ngx_queue_data(q, perm_pending_t, batch);

        ngx_queue_remove(q);
        ngx_queue_init(q);

        pending->checked = 1;

        if (rc == NGX_OK || pending->again) {
            /* the table is loaded, or the lookup is sent again */

        } else if (rc != NGX_ABORT) {
            perm_fetch_failed(pending, reply, rc);

        } else if (pending->reply.result == PERM_FETCHED) {
            pending->reply.result = PERM_FETCH_NOT_LOADED;
        }

        perm_fetch_settle(pending);
    }
}
