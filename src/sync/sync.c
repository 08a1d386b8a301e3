
#include "sync/sync.h"

#include "sync/flush.h"
#include "sync/invalidator.h"


perm_sync_t *
perm_sync_start(perm_sync_conf_t *conf, ngx_cycle_t *cycle)
{
    perm_sync_t  *sync;

    sync = ngx_pcalloc(cycle->pool, sizeof(perm_sync_t));
    if (sync == NULL) {
        return NULL;
    }

    sync->fetch = perm_fetch_create(conf, cycle);
    if (sync->fetch == NULL) {
        return NULL;
    }

    sync->flush = perm_flush_create(conf, perm_fetch_redis(sync->fetch),
                                    cycle);
    if (sync->flush == NULL) {
        return NULL;
    }

    sync->invalidator = perm_invalidator_create(conf, sync->fetch, cycle);

    return sync->invalidator ? sync : NULL;
}


/* the flush uses the connection of the fetch */

void
perm_sync_stop(perm_sync_t *sync)
{
    perm_invalidator_destroy(sync->invalidator);
    perm_flush_finish(sync->flush);
    perm_fetch_destroy(sync->fetch);
}
