
/*
 * One connection to a Redis server: the handshake, and commands and replies
 * in their order.
 */


#ifndef _PERM_CLI_WIRE_CONNECTION_H_INCLUDED_
#define _PERM_CLI_WIRE_CONNECTION_H_INCLUDED_


#include <hiredis/hiredis.h>

#include "cli/wire/socket.h"
#include "core/name.h"


typedef struct perm_connection_s  perm_connection_t;


typedef struct {
    perm_tls_t   tls;
    perm_str_t   user;       /* len 0: none */
    perm_str_t   password;   /* len 0: none */
    unsigned     db;
    int          timeout;    /* milliseconds, of each wait */
    int          sentinel;   /* one without a password takes any */
} perm_connection_conf_t;


/* where a server is: a host and a port, or with port 0 a unix socket's path */

typedef struct {
    char         host[256];
    unsigned     port;
} perm_address_t;


#define PERM_CONNECTION_NAME_SIZE  (sizeof(perm_address_t) + 8)


/*
 * Connects, and authenticates and selects the database as configured.
 * Returns NULL with *error, of PERM_ERROR_SIZE bytes, when that fails.
 */
perm_connection_t *perm_connection_open(const perm_connection_conf_t *conf,
    const perm_address_t *address, char *error);
void perm_connection_close(perm_connection_t *connection);


/* "127.0.0.1:6379", "[::1]:6379" or "unix:/path", for messages */

const char *perm_connection_name(perm_connection_t *connection);
void perm_connection_address(const perm_address_t *address,
    char name[PERM_CONNECTION_NAME_SIZE]);


/*
 * perm_connection_write() takes a formatted command.  Commands gather in a
 * buffer, which is sent when it is full, and before a read.
 * perm_connection_read() returns the next reply, to be freed with
 * freeReplyObject().  Both fail with -1 or NULL and *error, after which the
 * connection can only be closed.
 */
int perm_connection_write(perm_connection_t *connection, const char *command,
    size_t len, char *error);
redisReply *perm_connection_read(perm_connection_t *connection, char *error);


/*
 * One command, its words as redisCommand() of hiredis takes them, and its
 * reply; NULL as above.
 */
redisReply *perm_connection_call(perm_connection_t *connection, char *error,
    const char *format, ...);


#endif /* _PERM_CLI_WIRE_CONNECTION_H_INCLUDED_ */
