
#include "cli/wire/connection.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "cli/util/alloc.h"
#include "cli/wire/tls_advice.h"
#include "resp/advice.h"
#include "resp/reader.h"


#define ERROR_SIZE  512
#define NOT_PLAIN   "; if this port is for TLS, the URL begins with rediss://"
#define NOT_TLS     "; is this port for TLS? If not, the URL begins with "    \
                    "redis://"
#define NO_TLS_YET  "; does Redis hang? Or is this port not for TLS? Then "   \
                    "the URL begins with redis://"
#define TLS_ALERT   0x15
#define OUT_SIZE    65536
#define IN_SIZE     16384
#define REPLY_MAX   (64 * 1024 * 1024)   /* bytes of one reply */


/* the socket blocks, and the kernel ends each wait after the timeout */

struct perm_connection_s {
    const perm_connection_conf_t  *conf;
    int                            fd;
    SSL                           *ssl;
    perm_reader_t                 *reader;
    int                            answered;   /* there was a reply */
    size_t                         out_len;
    char                           name[sizeof(perm_address_t) + 8];
    char                           out[OUT_SIZE];
};


static int connect_unix(perm_connection_t *connection, const char *path);
static int connect_tcp(perm_connection_t *connection,
    const perm_address_t *address);
static int connect_to(perm_connection_t *connection,
    const struct sockaddr *addr, socklen_t len);
static void close_socket(perm_connection_t *connection);
static int tls_start(perm_connection_t *connection, const char *host);
static int tls_files(SSL_CTX *ctx, const perm_tls_t *tls);
static int tls_expect(SSL *ssl, const char *name);
static int tls_failed(const char *fmt, ...) PERM_PRINTF(1);
static int handshake(perm_connection_t *connection);
static int accepted(const perm_connection_t *connection, redisReply *reply,
    const char *command);
static int flush(perm_connection_t *connection);
static int transfer(perm_connection_t *connection, int writing, char *buf,
    size_t len);
static int failed(perm_connection_t *connection, int n, const char *doing);
static int tls_broken(const perm_connection_t *connection, const char *doing,
    int err);


static char  error[ERROR_SIZE];


const char *
perm_connection_error(void)
{
    return error;
}


int
perm_connection_fail(const char *fmt, ...)
{
    char     text[ERROR_SIZE];
    va_list  args;

    /* the last error may be among the arguments */

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);

    memcpy(error, text, sizeof(text));

    return -1;
}


int
perm_connection_refused(const char *command, const char *reply,
    const char *hint)
{
    perm_str_t   text;
    const char  *advice;

    text = perm_advice_error(reply);
    advice = perm_advice_find(text.data)->command;
    advice = *advice ? advice : hint;

    return perm_connection_fail("%.*s: %.*s%s%s",
                                (int) strcspn(command, " "), command,
                                (int) text.len, text.data,
                                *advice ? "; " : "", advice);
}


perm_connection_t *
perm_connection_open(const perm_connection_conf_t *conf,
    const perm_address_t *address)
{
    int                 rc;
    perm_connection_t  *connection;

    connection = perm_alloc_check(calloc(1, sizeof(perm_connection_t)));
    connection->reader = perm_alloc_check(perm_reader_create(REPLY_MAX));
    connection->conf = conf;
    connection->fd = -1;

    rc = address->port ? connect_tcp(connection, address)
                       : connect_unix(connection, address->host);

    if (rc == 0 && handshake(connection) == 0) {
        return connection;
    }

    (void) perm_connection_fail("%s %s: %s",
                                conf->sentinel ? "Sentinel" : "Redis at",
                                connection->name, error);
    perm_connection_close(connection);

    return NULL;
}


void
perm_connection_close(perm_connection_t *connection)
{
    close_socket(connection);
    perm_reader_free(connection->reader);
    free(connection);
}


const char *
perm_connection_name(const perm_connection_t *connection)
{
    return connection->name;
}


static int
connect_unix(perm_connection_t *connection, const char *path)
{
    struct sockaddr_un  addr;

    snprintf(connection->name, sizeof(connection->name), "unix:%s", path);

    if (strlen(path) >= sizeof(addr.sun_path)) {
        return perm_connection_fail("the path of the socket is too long");
    }

    memset(&addr, 0, sizeof(addr));
    addr.sun_family = AF_UNIX;
    strcpy(addr.sun_path, path);

    return connect_to(connection, (struct sockaddr *) &addr, sizeof(addr));
}


static int
connect_tcp(perm_connection_t *connection, const perm_address_t *address)
{
    int               rc;
    char              service[8];
    struct addrinfo   hints, *list, *ai;

    snprintf(connection->name, sizeof(connection->name),
             strchr(address->host, ':') ? "[%s]:%u" : "%s:%u", address->host,
             address->port);

    memset(&hints, 0, sizeof(hints));
    hints.ai_socktype = SOCK_STREAM;
    snprintf(service, sizeof(service), "%u", address->port % 65536);

    rc = getaddrinfo(address->host, service, &hints, &list);

    if (rc) {
        return perm_connection_fail("cannot find the host: %s",
                                    gai_strerror(rc));
    }

    rc = -1;

    for (ai = list; ai != NULL && rc != 0; ai = ai->ai_next) {
        rc = connect_to(connection, ai->ai_addr, ai->ai_addrlen);

        if (rc == 0 && connection->conf->tls.on) {
            rc = tls_start(connection, address->host);
        }
    }

    freeaddrinfo(list);

    return rc;
}


static int
connect_to(perm_connection_t *connection, const struct sockaddr *addr,
    socklen_t len)
{
    int             fd, rc, one;
    struct timeval  timeout;

    close_socket(connection);

    fd = socket(addr->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd == -1) {
        return perm_connection_fail("socket: %s", strerror(errno));
    }

    connection->fd = fd;
    one = 1;
    timeout.tv_sec = connection->conf->timeout / 1000;
    timeout.tv_usec = connection->conf->timeout % 1000 * 1000;

    if (addr->sa_family != AF_UNIX) {
        (void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    }

    (void) setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    (void) setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));

    /* after a signal the same call goes on waiting */

    do {
        rc = connect(fd, addr, len);
    } while (rc == -1 && errno == EINTR);

    if (rc == 0 || errno == EISCONN) {
        return 0;
    }

    return (errno == EINPROGRESS)
           ? failed(connection, rc, "connecting")
           : perm_connection_fail("cannot connect: %s", strerror(errno));
}


static void
close_socket(perm_connection_t *connection)
{
    if (connection->ssl != NULL) {
        (void) SSL_shutdown(connection->ssl);
        SSL_free(connection->ssl);
        connection->ssl = NULL;
    }

    ERR_clear_error();

    if (connection->fd != -1) {
        close(connection->fd);
        connection->fd = -1;
    }
}


static int
tls_start(perm_connection_t *connection, const char *host)
{
    int                n, rc;
    SSL               *ssl;
    long               verified;
    SSL_CTX           *ctx;
    const perm_tls_t  *tls;

    tls = &connection->conf->tls;
    ctx = SSL_CTX_new(TLS_client_method());

    if (ctx == NULL) {
        return tls_failed("cannot set up TLS");
    }

    rc = tls_files(ctx, tls);
    ssl = SSL_new(ctx);
    connection->ssl = ssl;
    SSL_CTX_free(ctx);

    if (rc != 0) {
        return -1;
    }

    if (ssl == NULL
        || SSL_set_min_proto_version(ssl, TLS1_2_VERSION) != 1
        || SSL_set_fd(ssl, connection->fd) != 1
        || tls_expect(ssl, tls->name ? tls->name : host) != 1)
    {
        return tls_failed("cannot set up TLS");
    }

    SSL_set_verify(ssl, tls->insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER,
                   NULL);

    do {
        errno = 0;
        ERR_clear_error();
        n = SSL_connect(ssl);
    } while (n != 1 && errno == EINTR);

    if (n == 1) {
        return 0;
    }

    verified = SSL_get_verify_result(ssl);

    return (!tls->insecure && verified != X509_V_OK)
           ? perm_connection_fail("its certificate is refused: %s; %s",
                                  X509_verify_cert_error_string(verified),
                                  perm_tls_advice_certificate(verified))
           : failed(connection, n, "waiting for the TLS handshake");
}


static int
tls_files(SSL_CTX *ctx, const perm_tls_t *tls)
{
    if (tls->cacert == NULL && SSL_CTX_set_default_verify_paths(ctx) != 1) {
        return tls_failed("cannot load the system's certificates");
    }

    if (tls->cacert != NULL
        && SSL_CTX_load_verify_locations(ctx, tls->cacert, NULL) != 1)
    {
        return tls_failed("cannot load --cacert \"%s\"", tls->cacert);
    }

    if (tls->cert != NULL
        && SSL_CTX_use_certificate_chain_file(ctx, tls->cert) != 1)
    {
        (void) tls_failed("cannot load --cert \"%s\"", tls->cert);

        return perm_connection_fail("%s; it has to be a certificate in PEM",
                                    error);
    }

    if (tls->key != NULL
        && SSL_CTX_use_PrivateKey_file(ctx, tls->key, SSL_FILETYPE_PEM) != 1)
    {
        (void) tls_failed("cannot load --key \"%s\"", tls->key);

        return perm_connection_fail("%s; it has to be a private key in PEM%s",
                                    error, tls->key == tls->cert
                                    ? ", or be in a file of its own" : "");
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


/* fails with what was done, and the reason that OpenSSL has */

static int
tls_failed(const char *fmt, ...)
{
    int          alert;
    char         doing[ERROR_SIZE / 2];
    va_list      args;
    const char  *reason;

    va_start(args, fmt);
    vsnprintf(doing, sizeof(doing), fmt, args);
    va_end(args);

    reason = perm_tls_advice_reason(&alert);

    return perm_connection_fail("%s: %s%s", doing, reason ? reason
                                : "the server closed the connection",
                                perm_tls_advice_alert(alert));
}


static int
handshake(perm_connection_t *connection)
{
    int                            rc;
    const char                    *password;
    redisReply                    *reply;
    const perm_connection_conf_t  *conf;

    rc = 0;
    conf = connection->conf;
    password = conf->password.len ? conf->password.data : "";

    if (conf->user.len || conf->password.len) {
        reply = conf->user.len
                ? perm_connection_call(connection, "AUTH %s %s",
                                       conf->user.data, password)
                : perm_connection_call(connection, "AUTH %s", password);
        rc = accepted(connection, reply, "AUTH");
    }

    if (rc == 0 && conf->db) {
        reply = perm_connection_call(connection, "SELECT %u", conf->db);
        rc = accepted(connection, reply, "SELECT");
    }

    return rc;
}


static int
accepted(const perm_connection_t *connection, redisReply *reply,
    const char *command)
{
    int  rc;

    if (reply == NULL) {
        return -1;
    }

    rc = (reply->type == REDIS_REPLY_ERROR
          && !(connection->conf->sentinel
               && strstr(reply->str, "without any password") != NULL))
         ? perm_connection_refused(command, reply->str, "") : 0;

    freeReplyObject(reply);

    return rc;
}


redisReply *
perm_connection_call(perm_connection_t *connection, const char *format, ...)
{
    int       len, rc;
    char     *command;
    va_list   args;

    va_start(args, format);
    len = redisvFormatCommand(&command, format, args);
    va_end(args);

    command = perm_alloc_check(len < 0 ? NULL : command);
    rc = perm_connection_write(connection, command, (size_t) len);
    free(command);

    return rc ? NULL : perm_connection_read(connection);
}


int
perm_connection_write(perm_connection_t *connection, const char *command,
    size_t len)
{
    size_t  part;

    while (len) {
        part = OUT_SIZE - connection->out_len;
        part = (len < part) ? len : part;

        memcpy(connection->out + connection->out_len, command, part);
        connection->out_len += part;
        command += part;
        len -= part;

        if (connection->out_len == OUT_SIZE && flush(connection) != 0) {
            return -1;
        }
    }

    return 0;
}


redisReply *
perm_connection_read(perm_connection_t *connection)
{
    int          n, first;
    char         buf[IN_SIZE];
    redisReply  *reply;

    first = 0;

    if (flush(connection) != 0) {
        return NULL;
    }

    for ( ;; ) {
        if (perm_reader_next(connection->reader, &reply) != 0) {
            (void) perm_connection_fail("%s%s",
                                        perm_reader_error(connection->reader),
                                        first == TLS_ALERT ? NOT_PLAIN : "");
            return NULL;
        }

        if (reply != NULL) {
            connection->answered = 1;
            return reply;
        }

        n = transfer(connection, 0, buf, sizeof(buf));

        if (n < 0) {
            return NULL;
        }

        if (first == 0 && !connection->answered) {
            first = (unsigned char) buf[0];
        }

        perm_reader_feed(connection->reader, buf, (size_t) n);
    }
}


static int
flush(perm_connection_t *connection)
{
    int     n;
    size_t  sent;

    for (sent = 0; sent < connection->out_len; sent += (size_t) n) {
        n = transfer(connection, 1, connection->out + sent,
                     connection->out_len - sent);

        if (n < 0) {
            return -1;
        }
    }

    connection->out_len = 0;

    return 0;
}


/* at least one byte; returns how many, or -1 */

static int
transfer(perm_connection_t *connection, int writing, char *buf, size_t len)
{
    int   n;
    SSL  *ssl;

    ssl = connection->ssl;

    do {
        errno = 0;
        ERR_clear_error();

        if (writing) {
            n = ssl ? SSL_write(ssl, buf, (int) len)
                    : (int) send(connection->fd, buf, len, MSG_NOSIGNAL);
        } else {
            n = ssl ? SSL_read(ssl, buf, (int) len)
                    : (int) recv(connection->fd, buf, len, 0);
        }
    } while (n <= 0 && errno == EINTR);

    return (n > 0) ? n : failed(connection, n, writing ? "writing" : "reading");
}


/* fails for the reason that a call returned n <= 0 */

static int
failed(perm_connection_t *connection, int n, const char *doing)
{
    int          err, reason, handshaking;
    SSL         *ssl;
    char         byte;
    const char  *hint;

    err = errno;
    ssl = connection->ssl;
    reason = ssl ? SSL_get_error(ssl, n) : SSL_ERROR_NONE;
    handshaking = ssl && !SSL_is_init_finished(ssl);
    hint = (connection->answered || strncmp(connection->name, "unix:/", 6) == 0)
           ? "" : NOT_PLAIN;

    /* the kernel says with EINPROGRESS that connect() took too long */

    if (reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_WANT_WRITE
        || (ssl == NULL && n && (err == EAGAIN || err == EINPROGRESS)))
    {
        return perm_connection_fail("no answer within %d ms while %s%s",
                                    connection->conf->timeout, doing,
                                    handshaking ? NO_TLS_YET : "");
    }

    if (ssl == NULL) {
        return (n == 0)
               ? perm_connection_fail("the server closed the connection%s",
                                      hint)
               : perm_connection_fail("%s: %s%s", doing, strerror(err),
                                      err == EINPROGRESS ? "" : hint);
    }

    /* an alert of the server may wait behind a write that failed */

    if (!handshaking && reason == SSL_ERROR_SYSCALL && *doing == 'w') {
        ERR_clear_error();
        (void) SSL_read(ssl, &byte, 1);
    }

    return tls_broken(connection, handshaking ? "the TLS handshake failed"
                                              : doing, err);
}


static int
tls_broken(const perm_connection_t *connection, const char *doing, int err)
{
    int          alert;
    const char  *reason, *hint;

    reason = perm_tls_advice_reason(&alert);

    if (reason == NULL) {
        reason = err ? strerror(err) : "the server closed the connection";
    }

    hint = (alert >= 0) ? perm_tls_advice_alert(alert)
           : !SSL_is_init_finished(connection->ssl) ? NOT_TLS
           : !connection->answered
           ? "; the server may want a certificate: --cert and --key" : "";

    return perm_connection_fail("%s: %s%s", doing, reason, hint);
}
