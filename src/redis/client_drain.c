
/*
 * The link to Redis without an event loop.
 */


#include "redis/client_priv.h"


#define PERM_REDIS_CLIENT_DRAIN_LINKS  1024
#define PERM_REDIS_CLIENT_DRAIN_STEP   20     /* ms */


/* the handlers may end a link, but no other than their own */

static void
perm_redis_client_drain_step(perm_redis_client_t *redis, ngx_msec_t msec)
{
    ngx_uint_t                     i, n;
    ngx_queue_t                   *q;
    static struct pollfd           pfds[PERM_REDIS_CLIENT_DRAIN_LINKS];
    static perm_redis_endpoint_t  *endpoints[PERM_REDIS_CLIENT_DRAIN_LINKS];

    n = 0;

    for (q = ngx_queue_head(&redis->endpoints);
         q != ngx_queue_sentinel(&redis->endpoints) && n < PERM_REDIS_CLIENT_DRAIN_LINKS;
         q = ngx_queue_next(q))
    {
        endpoints[n] = ngx_queue_data(q, perm_redis_endpoint_t, queue);
        perm_redis_endpoint_poll(endpoints[n], &pfds[n]);
        n++;
    }

    if (msec && poll(pfds, n, (int) msec) == -1) {
        return;
    }

    ngx_time_update();

    for (i = 0; i < n; i++) {
        perm_redis_endpoint_polled(endpoints[i], &pfds[i]);
    }

    /* without an event loop nobody finds out who the masters are */

    perm_redis_parked_fail(&redis->parked);
}


static ngx_uint_t
perm_redis_client_drain_outstanding(perm_redis_client_t *redis)
{
    ngx_uint_t    n;
    ngx_queue_t  *q;

    n = 0;

    for (q = ngx_queue_head(&redis->endpoints);
         q != ngx_queue_sentinel(&redis->endpoints);
         q = ngx_queue_next(q))
    {
        n += perm_redis_endpoint_outstanding(ngx_queue_data(q, perm_redis_endpoint_t,
                                                            queue));
    }

    return n;
}


ngx_int_t
perm_redis_client_drain(perm_redis_client_t *redis, ngx_msec_t msec)
{
    ngx_msec_t      start;
    ngx_msec_int_t  left;

    ngx_time_update();
    start = ngx_current_msec;

    for ( ;; ) {

        /* what is queued leaves first */

        perm_redis_client_drain_step(redis, 0);

        if (perm_redis_client_drain_outstanding(redis) == 0) {
            return NGX_OK;
        }

        left = (ngx_msec_int_t) (start + msec - ngx_current_msec);

        if (left <= 0) {
            return NGX_AGAIN;
        }

        perm_redis_client_drain_step(redis, ngx_min(left, PERM_REDIS_CLIENT_DRAIN_STEP));
    }
}
