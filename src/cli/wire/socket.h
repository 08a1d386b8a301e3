
/*
 * A stream to a server, plain or TLS, where every wait has an end.
 */


#ifndef _PERM_CLI_WIRE_SOCKET_H_INCLUDED_
#define _PERM_CLI_WIRE_SOCKET_H_INCLUDED_


#include <stddef.h>


#define PERM_ERROR_SIZE  512


typedef struct perm_socket_s  perm_socket_t;


typedef struct {
    int          on;
    int          insecure;   /* the certificate is not verified */
    const char  *cacert;     /* file names, or NULL */
    const char  *cert;
    const char  *key;
    const char  *name;       /* in place of the host, or NULL */
} perm_tls_t;


/*
 * Each returns a connected stream, or NULL with "error", of PERM_ERROR_SIZE
 * bytes, saying why.  timeout: milliseconds, of each wait.
 */
perm_socket_t *perm_socket_unix(const char *path, int timeout, char *error);
perm_socket_t *perm_socket_tcp(const char *host, unsigned port,
    const perm_tls_t *tls, int timeout, char *error);


/*
 * Reads at least one byte and returns how many, 0 at the end of the stream,
 * or -1 with *error.
 */
long perm_socket_read(perm_socket_t *s, char *buf, size_t size, char *error);


/* Writes all of it.  Returns 0, or -1 with *error. */

int perm_socket_write(perm_socket_t *s, const char *buf, size_t len,
    char *error);


void perm_socket_close(perm_socket_t *s);


#endif /* _PERM_CLI_WIRE_SOCKET_H_INCLUDED_ */
