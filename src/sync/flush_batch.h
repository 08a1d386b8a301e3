
/*
 * One walk over the recorder's table: pending accesses to Redis, each until it
 * is acknowledged.
 */


#ifndef _PERM_SYNC_FLUSH_BATCH_H_INCLUDED_
#define _PERM_SYNC_FLUSH_BATCH_H_INCLUDED_


#include "sync/sync_conf.h"
#include "redis/client.h"


typedef struct perm_flush_batch_s  perm_flush_batch_t;


/* all arguments outlive it; NULL: memory is out */

perm_flush_batch_t *perm_flush_batch_create(perm_sync_conf_t *conf,
    ngx_cycle_t *cycle);


/* "redis" lasts until the batch ends or is cancelled */

void perm_flush_batch_start(perm_flush_batch_t *batch,
    perm_redis_client_t *redis);

/*
 * NGX_AGAIN: call again in a moment.  NGX_OK: the walk is over, and every
 * command that could be sent was answered; in a cluster a master may be down.
 * NGX_DECLINED: Redis is down, or a link was lost.  NGX_ERROR: given up,
 * because Redis refuses one access after the other.  An access stays pending
 * until it is acknowledged.
 */
ngx_int_t perm_flush_batch_step(perm_flush_batch_t *batch);

/* commands without a reply */

ngx_uint_t perm_flush_batch_outstanding(perm_flush_batch_t *batch);

/* ends it at once: accesses on their way stay pending */

void perm_flush_batch_cancel(perm_flush_batch_t *batch);


#endif /* _PERM_SYNC_FLUSH_BATCH_H_INCLUDED_ */
