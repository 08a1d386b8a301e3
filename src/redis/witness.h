
/*
 * The servers of a cluster that are no masters with slots, but may be soon:
 * tracked beforehand, they miss nothing when a slot or a title comes to them.
 * That is as well as it goes: a replica that is down, or a user without the
 * right to CLUSTER NODES, must cost nobody the cache.  So what they are asked
 * before, which takes ASK or MOVED, is not trusted: see perm_redis_client_tracked().
 */


#ifndef _PERM_REDIS_WITNESS_H_INCLUDED_
#define _PERM_REDIS_WITNESS_H_INCLUDED_


#include "redis/connector.h"


/* "host" has no name where none is announced */

typedef void (*perm_redis_witness_pt)(void *data, perm_redis_node_t *address,
    perm_redis_node_t *host);


/*
 * Calls the handler for every server in an answer to CLUSTER NODES that is
 * not known to have failed.
 * https://redis.io/docs/latest/commands/cluster-nodes/
 */
void perm_redis_witnesses(redisReply *reply, perm_redis_witness_pt handler,
    void *data);


#endif /* _PERM_REDIS_WITNESS_H_INCLUDED_ */
