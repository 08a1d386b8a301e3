
/*
 * CLUSTER SLOTS: the masters of a cluster, and their slots.
 * https://redis.io/docs/latest/commands/cluster-slots/
 */


#ifndef _PERM_RESP_CLUSTER_SLOTS_H_INCLUDED_
#define _PERM_RESP_CLUSTER_SLOTS_H_INCLUDED_


#include <stdint.h>

#include "core/grant_key.h"
#include "resp/reply.h"


#define PERM_CLUSTER_MASTERS_MAX  1024


typedef struct {
    unsigned               n;
    perm_reply_address_t   masters[PERM_CLUSTER_MASTERS_MAX];
    uint16_t               slots[PERM_CLUSTER_SLOTS];   /* index of the master
                                                           + 1, or 0: none */
} perm_cluster_slots_t;


/*
 * Returns NULL with *slots filled, whose hosts are in the reply, or the reason
 * why the reply is of no use: a clause that follows the server's address.
 * "asked" is the host that sent the reply: a master without a host is there.
 */
const char *perm_cluster_slots_parse(const redisReply *reply,
    perm_str_t asked, perm_cluster_slots_t *slots);


#endif /* _PERM_RESP_CLUSTER_SLOTS_H_INCLUDED_ */
