
#include "cli/wire/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>


/* the socket blocks, and the kernel ends each wait after the timeout */

struct perm_socket_s {
    int       fd;
    int       timeout;   /* milliseconds */
    SSL_CTX  *ctx;
    SSL      *ssl;
};


static perm_socket_t *open_connected(const struct sockaddr *addr,
    socklen_t len, int timeout, char *error);
static int failed(const perm_socket_t *s, int n, const char *doing,
    char *error);
static int tls_start(perm_socket_t *s, const char *host,
    const perm_tls_t *tls, char *error);
static int tls_files(SSL_CTX *ctx, const perm_tls_t *tls, char *error);
static int tls_expect(SSL *ssl, const char *name);
static int tls_failed(const char *doing, char *error);


perm_socket_t *
perm_socket_unix(const char *path, int timeout, char *error)
{
    struct sockaddr_un  addr;

    memset(&addr, 0, sizeof(addr));
    addr.sun_family = AF_UNIX;
    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);

    return open_connected((struct sockaddr *) &addr, sizeof(addr), timeout,
                          error);
}


perm_socket_t *
perm_socket_tcp(const char *host, unsigned port, const perm_tls_t *tls,
    int timeout, char *error)
{
    int               err;
    char              service[8];
    perm_socket_t    *s;
    struct addrinfo   hints, *list, *ai;

    memset(&hints, 0, sizeof(hints));
    hints.ai_socktype = SOCK_STREAM;
    snprintf(service, sizeof(service), "%u", port % 65536);

    err = getaddrinfo(host, service, &hints, &list);

    if (err) {
        snprintf(error, PERM_ERROR_SIZE, "cannot find the host: %s",
                 gai_strerror(err));
        return NULL;
    }

    s = NULL;

    for (ai = list; ai != NULL && s == NULL; ai = ai->ai_next) {
        s = open_connected(ai->ai_addr, ai->ai_addrlen, timeout, error);

        if (s != NULL && tls->on && tls_start(s, host, tls, error) != 0) {
            perm_socket_close(s);
            s = NULL;
        }
    }

    freeaddrinfo(list);

    return s;
}


static perm_socket_t *
open_connected(const struct sockaddr *addr, socklen_t len, int timeout,
    char *error)
{
    int              rc, one;
    perm_socket_t   *s;
    struct timeval   tv;

    s = calloc(1, sizeof(perm_socket_t));
    if (s == NULL) {
        snprintf(error, PERM_ERROR_SIZE, "out of memory");
        return NULL;
    }

    s->timeout = timeout;
    s->fd = socket(addr->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (s->fd == -1) {
        snprintf(error, PERM_ERROR_SIZE, "socket: %s", strerror(errno));
        free(s);
        return NULL;
    }

    one = 1;
    tv.tv_sec = timeout / 1000;
    tv.tv_usec = timeout % 1000 * 1000;

    if (addr->sa_family != AF_UNIX) {
        (void) setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    }

    (void) setsockopt(s->fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
    (void) setsockopt(s->fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));

    /* after a signal the same call goes on waiting */

    do {
        rc = connect(s->fd, addr, len);
    } while (rc == -1 && errno == EINTR);

    if (rc == 0 || errno == EISCONN) {
        return s;
    }

    if (errno == EINPROGRESS) {
        (void) failed(s, rc, "connecting", error);
    } else {
        snprintf(error, PERM_ERROR_SIZE, "cannot connect: %s",
                 strerror(errno));
    }

    perm_socket_close(s);

    return NULL;
}


long
perm_socket_read(perm_socket_t *s, char *buf, size_t size, char *error)
{
    int  n;

    do {
        errno = 0;
        ERR_clear_error();
        n = s->ssl ? SSL_read(s->ssl, buf, (int) size)
                   : (int) recv(s->fd, buf, size, 0);
    } while (n == -1 && errno == EINTR);

    return (n > 0 || (n == 0 && s->ssl == NULL))
           ? n : failed(s, n, "reading", error);
}


int
perm_socket_write(perm_socket_t *s, const char *buf, size_t len, char *error)
{
    int     n;
    size_t  part;

    while (len) {
        errno = 0;
        ERR_clear_error();
        part = len < 65536 ? len : 65536;
        n = s->ssl ? SSL_write(s->ssl, buf, (int) part)
                   : (int) send(s->fd, buf, part, MSG_NOSIGNAL);

        if (n <= 0 && errno == EINTR) {
            continue;
        }

        if (n <= 0) {
            if (failed(s, n, "writing", error) == 0) {
                snprintf(error, PERM_ERROR_SIZE, "writing: the server closed "
                         "the connection");
            }

            return -1;
        }

        buf += n;
        len -= (size_t) n;
    }

    return 0;
}


/*
 * What a call that returned n <= 0 says: 0 when the TLS stream ended, or -1
 * with *error.
 */

static int
failed(const perm_socket_t *s, int n, const char *doing, char *error)
{
    int  err, reason, handshaking;

    err = errno;
    reason = s->ssl ? SSL_get_error(s->ssl, n) : SSL_ERROR_NONE;
    handshaking = s->ssl && !SSL_is_init_finished(s->ssl);

    if (reason == SSL_ERROR_ZERO_RETURN) {
        return 0;
    }

    /* the kernel says with EINPROGRESS that connect() took too long */

    if (reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_WANT_WRITE
        || (s->ssl == NULL && (err == EAGAIN || err == EINPROGRESS)))
    {
        snprintf(error, PERM_ERROR_SIZE, "no answer within %d ms while %s%s",
                 s->timeout, doing,
                 handshaking ? "; is this port for TLS?" : "");

    } else if (s->ssl != NULL) {
        tls_failed(handshaking ? "the TLS handshake failed" : doing, error);

    } else {
        snprintf(error, PERM_ERROR_SIZE, "%s: %s", doing, strerror(err));
    }

    return -1;
}


void
perm_socket_close(perm_socket_t *s)
{
    if (s->ssl != NULL) {
        (void) SSL_shutdown(s->ssl);
        SSL_free(s->ssl);
    }

    SSL_CTX_free(s->ctx);
    ERR_clear_error();
    close(s->fd);
    free(s);
}


static int
tls_start(perm_socket_t *s, const char *host, const perm_tls_t *tls,
    char *error)
{
    int   n;
    long  verified;

    s->ctx = SSL_CTX_new(TLS_client_method());

    if (s->ctx == NULL) {
        return tls_failed("cannot set up TLS", error);
    }

    SSL_CTX_set_min_proto_version(s->ctx, TLS1_2_VERSION);
    SSL_CTX_set_verify(s->ctx, tls->insecure ? SSL_VERIFY_NONE
                                             : SSL_VERIFY_PEER, NULL);

    if (tls_files(s->ctx, tls, error) != 0) {
        return -1;
    }

    s->ssl = SSL_new(s->ctx);

    if (s->ssl == NULL
        || SSL_set_fd(s->ssl, s->fd) != 1
        || tls_expect(s->ssl, tls->name ? tls->name : host) != 1)
    {
        return tls_failed("cannot set up TLS", error);
    }

    do {
        errno = 0;
        ERR_clear_error();
        n = SSL_connect(s->ssl);
    } while (n != 1 && errno == EINTR);

    if (n == 1) {
        return 0;
    }

    verified = SSL_get_verify_result(s->ssl);

    if (!tls->insecure && verified != X509_V_OK) {
        snprintf(error, PERM_ERROR_SIZE, "its certificate is refused: %s",
                 X509_verify_cert_error_string(verified));
        return -1;
    }

    if (failed(s, n, "waiting for the TLS handshake", error) == 0) {
        snprintf(error, PERM_ERROR_SIZE, "the TLS handshake failed: the "
                 "server closed the connection");
    }

    return -1;
}


static int
tls_files(SSL_CTX *ctx, const perm_tls_t *tls, char *error)
{
    char  doing[PERM_ERROR_SIZE / 2];

    if (tls->cacert == NULL) {
        if (SSL_CTX_set_default_verify_paths(ctx) != 1) {
            return tls_failed("cannot load the system's certificates", error);
        }

    } else if (SSL_CTX_load_verify_locations(ctx, tls->cacert, NULL) != 1) {
        snprintf(doing, sizeof(doing), "cannot load --cacert \"%s\"",
                 tls->cacert);
        return tls_failed(doing, error);
    }

    if (tls->cert != NULL
        && SSL_CTX_use_certificate_chain_file(ctx, tls->cert) != 1)
    {
        snprintf(doing, sizeof(doing), "cannot load --cert \"%s\"", tls->cert);
        return tls_failed(doing, error);
    }

    if (tls->key != NULL
        && SSL_CTX_use_PrivateKey_file(ctx, tls->key, SSL_FILETYPE_PEM) != 1)
    {
        snprintf(doing, sizeof(doing), "cannot load --key \"%s\"", tls->key);
        return tls_failed(doing, error);
    }

    return 0;
}


/* an address is no name for SNI, and is verified as an address */

static int
tls_expect(SSL *ssl, const char *name)
{
    unsigned char  address[16];

    if (inet_pton(AF_INET, name, address) == 1
        || inet_pton(AF_INET6, name, address) == 1)
    {
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name);
    }

    return SSL_set_tlsext_host_name(ssl, name) && SSL_set1_host(ssl, name);
}


/* -1 with *error: what OpenSSL has to say */

static int
tls_failed(const char *doing, char *error)
{
    const char     *reason;
    unsigned long   code;

    reason = "the server closed the connection";

    /* the last one, but what a system call says comes first and says more */

    while ((code = ERR_get_error()) != 0) {

        if (ERR_GET_LIB(code) == ERR_LIB_SYS) {
            reason = strerror(ERR_GET_REASON(code));
            break;
        }

        if (ERR_reason_error_string(code) != NULL) {
            reason = ERR_reason_error_string(code);
        }
    }

    snprintf(error, PERM_ERROR_SIZE, "%s: %s", doing, reason);

    ERR_clear_error();

    return -1;
}
