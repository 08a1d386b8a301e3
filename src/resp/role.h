
/*
 * ROLE: what a server says it is.
 * https://redis.io/docs/latest/commands/role/
 */


#ifndef _PERM_RESP_ROLE_H_INCLUDED_
#define _PERM_RESP_ROLE_H_INCLUDED_


#include "resp/reply.h"


typedef enum {
    PERM_ROLE_UNKNOWN = 0,   /* no right to ROLE, or no such command: a proxy
                                may not have it */
    PERM_ROLE_MASTER,
    PERM_ROLE_REPLICA,
    PERM_ROLE_SENTINEL
} perm_role_t;


/* 0 with *role filled, or -1: any other error, or no reply of ROLE */
int perm_role_parse(const redisReply *reply, perm_role_t *role);


#endif /* _PERM_RESP_ROLE_H_INCLUDED_ */
