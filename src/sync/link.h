
/*
 * What the link of a worker's lookups meets goes to shared memory.
 */


#ifndef _PERM_SYNC_LINK_H_INCLUDED_
#define _PERM_SYNC_LINK_H_INCLUDED_


#include "redis/client.h"
#include "sync/sync_conf.h"


/* for a client that was just created; "conf" lasts as long as it does */

void perm_link_watch(perm_sync_conf_t *conf, perm_redis_client_t *redis);


#endif /* _PERM_SYNC_LINK_H_INCLUDED_ */
