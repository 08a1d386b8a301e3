
/*
 * MOVED and ASK: a node of a cluster names the node to send a command to.
 * https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/
 */


#ifndef _PERM_RESP_REDIRECT_H_INCLUDED_
#define _PERM_RESP_REDIRECT_H_INCLUDED_


#include "resp/reply.h"


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


/* "asked" is the host that sent the reply: for an address without a host */
perm_redirect_t perm_redirect_parse(const redisReply *reply, perm_str_t asked);


#endif /* _PERM_RESP_REDIRECT_H_INCLUDED_ */
