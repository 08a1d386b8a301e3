
/*
 * Shared memory and Redis, kept the same: lookups on demand, pushed changes,
 * and recorded accesses on their way to Redis.  The face of this floor to
 * those above: they look up with perm_fetch(), and need nothing else of it.
 */


#ifndef _PERM_SYNC_SYNC_H_INCLUDED_
#define _PERM_SYNC_SYNC_H_INCLUDED_


#include "sync/sync_conf.h"
#include "sync/fetch.h"


/* of one worker */

typedef struct {
    perm_fetch_t               *fetch;
    struct perm_flush_s        *flush;
    struct perm_invalidator_s  *invalidator;
} perm_sync_t;


/* for init_module, before the workers of this configuration start */
void perm_sync_configured(perm_sync_conf_t *conf);

/*
 * For init_process of a worker where a Redis is configured.  Returns NULL
 * when memory is out.
 */
perm_sync_t *perm_sync_start(perm_sync_conf_t *conf, ngx_cycle_t *cycle);

/*
 * For exit_process: no handler is called any more.  Accesses that are pending
 * are sent first, which takes at most two seconds.
 */
void perm_sync_stop(perm_sync_t *sync);


#endif /* _PERM_SYNC_SYNC_H_INCLUDED_ */
