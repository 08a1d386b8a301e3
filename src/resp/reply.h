
/*
 * What any reply has: an error's code, a text, the address of a server.  And
 * what the replies to ROLE and to a Sentinel mean.
 */


#ifndef _PERM_RESP_REPLY_H_INCLUDED_
#define _PERM_RESP_REPLY_H_INCLUDED_


#include <hiredis/hiredis.h>

#include "core/name.h"


#define PERM_REPLY_HOST_MAX  255   /* bytes of a host name */


/* a server, as another one names it */

typedef struct {
    perm_str_t   host;   /* name or address, IPv6 without brackets */
    unsigned     port;   /* 1 to 65535 */
} perm_reply_address_t;


typedef enum {
    PERM_ROLE_UNKNOWN = 0,   /* no right to ROLE, or no such command: a proxy
                                may not have it */
    PERM_ROLE_MASTER,
    PERM_ROLE_REPLICA,
    PERM_ROLE_SENTINEL
} perm_role_t;


/* 1: the first word of an error, or its first words, are these */
int perm_reply_code(const char *error, const char *code);

/* the same of a reply; NULL is no error */
int perm_reply_error(const redisReply *reply, const char *code);

/* the bytes of a string or status, of len 0 for any other type */
perm_str_t perm_reply_text(const redisReply *reply);

/* a port in decimal; 0: it is none */
unsigned perm_reply_port(perm_str_t text);

/*
 * Returns 1 with *address filled, or 0: the port is not valid, or the host is
 * not 1 to PERM_REPLY_HOST_MAX bytes of A-Z a-z 0-9 . _ - and, for IPv6, the
 * colon (it goes to the log, to the resolver and to TLS).  A server that does
 * not know its own host says "", "?" or nothing: it is at the host that was
 * asked.  address->host is "asked" itself then.
 */
int perm_reply_address(perm_str_t host, long long port, perm_str_t asked,
    perm_reply_address_t *address);

/*
 * ROLE, https://redis.io/docs/latest/commands/role/: 0 with *role filled, or
 * -1: any other error, or no reply of ROLE.
 */
int perm_reply_role(const redisReply *reply, perm_role_t *role);

/* of a replica's reply to ROLE; 1: its link to its master is up */
int perm_reply_role_linked(const redisReply *reply);

/*
 * SENTINEL get-master-addr-by-name,
 * https://redis.io/docs/latest/develop/reference/sentinel-clients/: NULL with
 * *master filled, whose host is in the reply, or the reason why the reply is
 * of no use: a clause that follows the Sentinel's address.  "unknown" is the
 * one for a Sentinel that knows no master of the name.
 */
const char *perm_reply_sentinel(const redisReply *reply, const char *unknown,
    perm_reply_address_t *master);


#endif /* _PERM_RESP_REPLY_H_INCLUDED_ */
