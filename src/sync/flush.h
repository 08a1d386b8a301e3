
/*
 * Last accesses to Redis, on a timer, one worker at a time; the state file
 * too, which the same worker writes.
 */


#ifndef _PERM_SYNC_FLUSH_H_INCLUDED_
#define _PERM_SYNC_FLUSH_H_INCLUDED_


#include "sync/sync_conf.h"
#include "redis/client.h"


typedef struct perm_flush_s  perm_flush_t;


perm_flush_t *perm_flush_create(perm_sync_conf_t *conf,
    perm_redis_client_t *redis, ngx_cycle_t *cycle);

/* in exit_process: a last flush, for at most "msec" ms, and gone */
void perm_flush_finish(perm_flush_t *flush, ngx_msec_t msec);


#endif /* _PERM_SYNC_FLUSH_H_INCLUDED_ */
