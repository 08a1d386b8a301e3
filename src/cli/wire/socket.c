
#include "cli/wire/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>


struct perm_socket_s {
    int       fd;
    int       timeout;   /* milliseconds */
    SSL_CTX  *ctx;
    SSL      *ssl;
};


/* waits for the event; 0, or -1 with *error */

static int
await(perm_socket_t *s, short events, const char *doing, char *error)
{
    int            n;
    struct pollfd  fd;

    fd.fd = s->fd;
    fd.events = events;

    do {
        n = poll(&fd, 1, s->timeout);
    } while (n == -1 && errno == EINTR);

    if (n == 0) {
        snprintf(error, PERM_ERROR_SIZE, "no answer within %d ms while %s%s",
                 s->timeout, doing, (s->ssl && !SSL_is_init_finished(s->ssl))
                                    ? "; is this port for TLS?" : "");
        return -1;
    }

    if (n == -1) {
        snprintf(error, PERM_ERROR_SIZE, "%s: %s", doing, strerror(errno));
        return -1;
    }

    return 0;
}


static perm_socket_t *
open_fd(int family, int timeout, char *error)
{
    int             one;
    perm_socket_t  *s;

    s = calloc(1, sizeof(perm_socket_t));
    if (s == NULL) {
        snprintf(error, PERM_ERROR_SIZE, "out of memory");
        return NULL;
    }

    s->timeout = timeout;
    s->fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (s->fd == -1) {
        snprintf(error, PERM_ERROR_SIZE, "socket: %s", strerror(errno));
        free(s);
        return NULL;
    }

    if (family != AF_UNIX) {
        one = 1;
        (void) setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    }

    return s;
}


static int
connect_fd(perm_socket_t *s, const struct sockaddr *addr, socklen_t len,
    char *error)
{
    int        err;
    socklen_t  size;

    if (connect(s->fd, addr, len) == 0) {
        return 0;
    }

    err = errno;

    if (err == EINPROGRESS || err == EINTR) {
        if (await(s, POLLOUT, "connecting", error) != 0) {
            return -1;
        }

        size = sizeof(err);
        (void) getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &err, &size);
    }

    if (err) {
        snprintf(error, PERM_ERROR_SIZE, "cannot connect: %s", strerror(err));
        return -1;
    }

    return 0;
}


perm_socket_t *
perm_socket_unix(const char *path, int timeout, char *error)
{
    perm_socket_t       *s;
    struct sockaddr_un   addr;

    memset(&addr, 0, sizeof(addr));
    addr.sun_family = AF_UNIX;
    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);

    s = open_fd(AF_UNIX, timeout, error);

    if (s != NULL && connect_fd(s, (struct sockaddr *) &addr, sizeof(addr),
                                error) != 0)
    {
        perm_socket_close(s);
        return NULL;
    }

    return s;
}


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


static int
tls_handshake(perm_socket_t *s, char *error)
{
    int   n;
    long  verified;

    for ( ;; ) {
        ERR_clear_error();
        n = SSL_connect(s->ssl);

        if (n == 1) {
            return 0;
        }

        switch (SSL_get_error(s->ssl, n)) {

        case SSL_ERROR_WANT_READ:
            if (await(s, POLLIN, "waiting for the TLS handshake", error)) {
                return -1;
            }
            break;

        case SSL_ERROR_WANT_WRITE:
            if (await(s, POLLOUT, "sending the TLS handshake", error)) {
                return -1;
            }
            break;

        default:
            verified = SSL_get_verify_result(s->ssl);

            if (verified != X509_V_OK) {
                snprintf(error, PERM_ERROR_SIZE,
                         "its certificate is refused: %s",
                         X509_verify_cert_error_string(verified));
                return -1;
            }

            return tls_failed("the TLS handshake failed", error);
        }
    }
}


static int
tls_start(perm_socket_t *s, const char *host, const perm_tls_t *tls,
    char *error)
{
    s->ctx = SSL_CTX_new(TLS_client_method());

    if (s->ctx == NULL) {
        return tls_failed("cannot set up TLS", error);
    }

    SSL_CTX_set_min_proto_version(s->ctx, TLS1_2_VERSION);
    SSL_CTX_set_mode(s->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE
                             | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
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

    return tls_handshake(s, error);
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

    for (ai = list; ai != NULL; ai = ai->ai_next) {
        s = open_fd(ai->ai_family, timeout, error);

        if (s == NULL) {
            continue;
        }

        if (connect_fd(s, ai->ai_addr, ai->ai_addrlen, error) == 0
            && (!tls->on || tls_start(s, host, tls, error) == 0))
        {
            break;
        }

        perm_socket_close(s);
        s = NULL;
    }

    freeaddrinfo(list);

    return s;
}


/* what a failed SSL_read() or SSL_write() waits for: 1 again, 0 end, or -1 */

static int
tls_again(perm_socket_t *s, int n, const char *doing, char *error)
{
    switch (SSL_get_error(s->ssl, n)) {

    case SSL_ERROR_WANT_READ:
        return await(s, POLLIN, doing, error) == 0 ? 1 : -1;

    case SSL_ERROR_WANT_WRITE:
        return await(s, POLLOUT, doing, error) == 0 ? 1 : -1;

    case SSL_ERROR_ZERO_RETURN:
        return 0;

    default:
        return tls_failed(doing, error);
    }
}


long
perm_socket_read(perm_socket_t *s, char *buf, size_t size, char *error)
{
    int   again;
    long  n;

    for ( ;; ) {

        if (s->ssl != NULL) {
            ERR_clear_error();
            n = SSL_read(s->ssl, buf, (int) size);

            if (n > 0) {
                return n;
            }

            again = tls_again(s, (int) n, "reading", error);

            if (again != 1) {
                return again;
            }

            continue;
        }

        n = recv(s->fd, buf, size, 0);

        if (n >= 0) {
            return n;
        }

        if (errno == EAGAIN) {
            if (await(s, POLLIN, "reading", error) != 0) {
                return -1;
            }

        } else if (errno != EINTR) {
            snprintf(error, PERM_ERROR_SIZE, "reading: %s", strerror(errno));
            return -1;
        }
    }
}


int
perm_socket_write(perm_socket_t *s, const char *buf, size_t len, char *error)
{
    int   again;
    long  n;

    while (len) {

        if (s->ssl != NULL) {
            ERR_clear_error();
            n = SSL_write(s->ssl, buf, (int) (len < 65536 ? len : 65536));

            if (n <= 0) {
                again = tls_again(s, (int) n, "writing", error);

                if (again == 0) {
                    snprintf(error, PERM_ERROR_SIZE, "writing: the server "
                             "closed the connection");
                }

                if (again != 1) {
                    return -1;
                }

                continue;
            }

        } else {
            n = send(s->fd, buf, len, MSG_NOSIGNAL);

            if (n < 0) {
                if (errno == EAGAIN) {
                    if (await(s, POLLOUT, "writing", error) != 0) {
                        return -1;
                    }

                } else if (errno != EINTR) {
                    snprintf(error, PERM_ERROR_SIZE, "writing: %s",
                             strerror(errno));
                    return -1;
                }

                continue;
            }
        }

        buf += n;
        len -= n;
    }

    return 0;
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
