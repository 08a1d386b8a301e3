
/*
 * What a node of a cluster says: the reply to CLUSTER SLOTS, MOVED and ASK.
 * https://redis.io/docs/latest/commands/cluster-slots/
 * https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/
 */


#ifndef _PERM_RESP_CLUSTER_H_INCLUDED_
#define _PERM_RESP_CLUSTER_H_INCLUDED_


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


typedef enum {
    PERM_REDIRECT_NONE = 0,   /* any other reply */
    PERM_REDIRECT_MOVED,      /* the slot is there from now on */
    PERM_REDIRECT_ASK         /* only this command, after ASKING */
} perm_redirect_kind_t;


typedef struct {
    perm_redirect_kind_t   kind;
    unsigned               slot;
    perm_reply_address_t   to;     /* port 0: the error names no valid slot
                                      and address */
} perm_redirect_t;


/*
 * For both, "asked" is the host that sent the reply: an address without a host
 * is there.  The other hosts point into the reply.  The first one returns NULL
 * with *slots filled, or the reason why the reply is of no use: a clause that
 * follows the server's address.
 */
const char *perm_cluster_slots_parse(const redisReply *reply,
    perm_str_t asked, perm_cluster_slots_t *slots);

perm_redirect_t perm_cluster_redirect(const redisReply *reply,
    perm_str_t asked);


#endif /* _PERM_RESP_CLUSTER_H_INCLUDED_ */
