
/*
 * What any reply has: an error's code, a text, the address of a server.
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


/* 1: an error whose first word, or words, are these.  NULL is no error */
int perm_reply_error(const redisReply *reply, const char *code);

/* the bytes of a string or status, of len 0 for any other type */
perm_str_t perm_reply_text(const redisReply *reply);


/*
 * 1 to PERM_REPLY_HOST_MAX bytes of A-Z a-z 0-9 . _ - and, for IPv6, the
 * colon: a host goes to the log, to the resolver and to TLS.
 */
int perm_reply_host_valid(perm_str_t host);

/* a port in decimal; 0: it is none */
unsigned perm_reply_port(perm_str_t text);

/*
 * Returns 1 with *address filled, or 0: the host or the port is not valid.  A
 * server that does not know its own host says "", "?" or nothing: it is at
 * the host that was asked.  address->host is "asked" itself then.
 */
int perm_reply_address(perm_str_t host, long long port, perm_str_t asked,
    perm_reply_address_t *address);


#endif /* _PERM_RESP_REPLY_H_INCLUDED_ */
