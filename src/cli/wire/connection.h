
/*
 * One connection to a Redis server, plain or TLS, where every wait has an end:
 * the handshake, and commands and replies in their order.
 */


#ifndef _PERM_CLI_WIRE_CONNECTION_H_INCLUDED_
#define _PERM_CLI_WIRE_CONNECTION_H_INCLUDED_


#include <hiredis/hiredis.h>

#include "cli/util/output.h"
#include "core/name.h"


typedef struct perm_connection_s  perm_connection_t;


typedef struct {
    int          on;
    int          insecure;   /* the certificate is not verified */
    const char  *cacert;     /* file names, or NULL */
    const char  *cert;
    const char  *key;
    const char  *name;       /* in place of the host, or NULL */
} perm_tls_t;


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


/*
 * What fails in cli/wire returns -1 or NULL; perm_connection_error() says why,
 * until the next failure.  perm_connection_fail() sets that, and returns -1.
 */
const char *perm_connection_error(void);
int perm_connection_fail(const char *fmt, ...) PERM_PRINTF(1);


/*
 * As perm_connection_fail(), for an error reply: with the first word of the
 * command, and what to do.  hint: that in case nothing else is known.
 */
int perm_connection_refused(const char *command, const char *reply,
    const char *hint);


/*
 * Connects, and authenticates and selects the database as configured.
 * Returns NULL when that fails; the error names the server then.
 */
perm_connection_t *perm_connection_open(const perm_connection_conf_t *conf,
    const perm_address_t *address);
void perm_connection_close(perm_connection_t *connection);


/* "127.0.0.1:6379", "[::1]:6379" or "unix:/path", for messages */

const char *perm_connection_name(const perm_connection_t *connection);


/*
 * perm_connection_write() takes a formatted command.  Commands gather in a
 * buffer, which is sent when it is full, and before a read.
 * perm_connection_read() returns the next reply, to be freed with
 * freeReplyObject().  After a failure the connection can only be closed.
 */
int perm_connection_write(perm_connection_t *connection, const char *command,
    size_t len);
redisReply *perm_connection_read(perm_connection_t *connection);


/* One command, written as for redisCommand() of hiredis, and its reply */

redisReply *perm_connection_call(perm_connection_t *connection,
    const char *format, ...);


#endif /* _PERM_CLI_WIRE_CONNECTION_H_INCLUDED_ */
