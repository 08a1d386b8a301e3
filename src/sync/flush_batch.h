
/*
 * One flush: a walk over the recorder's table in small steps, with a bounded
 * number of commands on their way.
 */


#ifndef _PERM_SYNC_FLUSH_BATCH_H_INCLUDED_
#define _PERM_SYNC_FLUSH_BATCH_H_INCLUDED_


#include "shm/recorder.h"
#include "redis/client.h"


typedef struct perm_flush_batch_s  perm_flush_batch_t;


/* all arguments outlive it; "prefix" is of the keys; NULL: memory is out */

perm_flush_batch_t *perm_flush_batch_create(perm_recorder_t *recorder,
    perm_redis_client_t *redis, perm_str_t prefix, ngx_log_t *log);

/* accesses on their way stay pending */

void perm_flush_batch_destroy(perm_flush_batch_t *batch);


/* begins a walk over the whole table */

void perm_flush_batch_start(perm_flush_batch_t *batch);


/*
 * Sends the next few.  NGX_AGAIN: call again in a moment.  NGX_OK: the walk is
 * over, and every command that could be sent was answered; in a cluster a
 * master may be down.  NGX_DECLINED: Redis is down, or a link was lost; walk
 * again when it is up.  NGX_ERROR: given up, because Redis refuses one access
 * after the other.  Accesses that were not acknowledged stay pending.
 * Refusals are logged once for each change of state.
 */

ngx_int_t perm_flush_batch_step(perm_flush_batch_t *batch);


/* commands without an answer yet */

ngx_uint_t perm_flush_batch_outstanding(perm_flush_batch_t *batch);


#endif /* _PERM_SYNC_FLUSH_BATCH_H_INCLUDED_ */
