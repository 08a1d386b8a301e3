
/*
 * TLS with the server, verified.
 */


#include "redis/connection_priv.h"


#if (NGX_SSL)

#include <arpa/inet.h>
#include <openssl/x509v3.h>


#define PERM_TLS_SHOWN                 128   /* bytes of an error in another */
#define PERM_TLS_CERTIFICATE_REQUIRED  116   /* RFC 8446; OpenSSL 1.1.0: none */


static ngx_int_t perm_redis_tls_expect(perm_redis_connection_t *connection,
    SSL *ssl);
static const char *perm_redis_tls_name(perm_redis_connection_t *connection);
static void perm_redis_tls_message(int sent, int version, int type,
    const void *buf, size_t len, SSL *ssl, void *data);
static const char *perm_redis_tls_advice(perm_redis_connection_t *connection,
    ngx_uint_t alert);
static void perm_redis_tls_handler(ngx_connection_t *c);
static ngx_int_t perm_redis_tls_done(perm_redis_connection_t *connection);
static void perm_redis_tls_failed(perm_redis_connection_t *connection);
static ngx_int_t perm_redis_tls_verify(perm_redis_connection_t *connection);


ngx_int_t
perm_redis_connection_tls_start(perm_redis_connection_t *connection)
{
    ngx_int_t          rc;
    ngx_connection_t  *c;

    c = connection->peer.connection;

    if (ngx_ssl_create_connection(connection->conf->ssl, c, NGX_SSL_CLIENT)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (perm_redis_tls_expect(connection, c->ssl->connection) != NGX_OK) {
        ngx_ssl_error(NGX_LOG_ERR, c->log, 0,
                      "the name \"%s\" cannot be expected of the server",
                      perm_redis_tls_name(connection));
        return NGX_ERROR;
    }

    SSL_set_msg_callback(c->ssl->connection, perm_redis_tls_message);
    SSL_set_msg_callback_arg(c->ssl->connection, connection);

    rc = ngx_ssl_handshake(c);

    if (rc == NGX_AGAIN) {
        c->ssl->handler = perm_redis_tls_handler;
        return NGX_OK;
    }

    return perm_redis_tls_done(connection);
}


/* an address is no name for SNI (RFC 6066), and is verified as an address */

static ngx_int_t
perm_redis_tls_expect(perm_redis_connection_t *connection, SSL *ssl)
{
    u_char             address[16];
    const char        *name;
    X509_VERIFY_PARAM *param;

    name = perm_redis_tls_name(connection);
    param = SSL_get0_param(ssl);

    if (inet_pton(AF_INET, name, address) == 1
        || inet_pton(AF_INET6, name, address) == 1)
    {
        return X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1 ? NGX_OK
                                                               : NGX_ERROR;
    }

    return (SSL_set_tlsext_host_name(ssl, name) == 1
            && X509_VERIFY_PARAM_set1_host(param, name, ngx_strlen(name)) == 1)
           ? NGX_OK : NGX_ERROR;
}


static const char *
perm_redis_tls_name(perm_redis_connection_t *connection)
{
    ngx_str_t  *name;

    name = &connection->conf->ssl_name;

    return (const char *) (name->len ? name->data : connection->node->name);
}


/*
 * An alert is the server's own word on why it ends the connection, in the
 * handshake or, of a client certificate with TLS 1.3, after it.  OpenSSL words
 * it differently from version to version, and a reset that follows may hide it.
 */

static void
perm_redis_tls_message(int sent, int version, int type, const void *buf,
    size_t len, SSL *ssl, void *data)
{
    perm_redis_connection_t *connection = data;

    const char    *name;
    const u_char  *alert;

    if (sent) {
        return;
    }

    if (type == SSL3_RT_HANDSHAKE) {
        connection->heard = 1;
        return;
    }

    alert = buf;

    if (type != SSL3_RT_ALERT || len != 2 || alert[0] != SSL3_AL_FATAL) {
        return;
    }

    name = (alert[1] == PERM_TLS_CERTIFICATE_REQUIRED)
           ? "certificate required" : SSL_alert_desc_string_long(alert[1]);

    perm_redis_connection_error(connection,
                                "the server ends the TLS connection with the "
                                "alert \"%s\" (%d)%s", name, (int) alert[1],
                                perm_redis_tls_advice(connection, alert[1]));
    connection->explained = 1;
}


static const char *
perm_redis_tls_advice(perm_redis_connection_t *connection, ngx_uint_t alert)
{
    switch (alert) {

    case SSL_AD_PROTOCOL_VERSION:
        return ": TLS 1.2 or 1.3 is needed";

    case SSL_AD_UNRECOGNIZED_NAME:
        return "; see \"app_permission_redis_ssl_name\"";

    case SSL_AD_HANDSHAKE_FAILURE:
    case SSL_AD_BAD_CERTIFICATE:
    case SSL_AD_UNSUPPORTED_CERTIFICATE:
    case SSL_AD_CERTIFICATE_REVOKED:
    case SSL_AD_CERTIFICATE_EXPIRED:
    case SSL_AD_CERTIFICATE_UNKNOWN:
    case SSL_AD_UNKNOWN_CA:
    case PERM_TLS_CERTIFICATE_REQUIRED:

        return connection->conf->ssl_certificate.len
               ? ": it does not accept the certificate in "
                 "\"app_permission_redis_ssl_certificate\""
               : ": it may want a client certificate, see "
                 "\"app_permission_redis_ssl_certificate\"";

    default:
        return "";
    }
}


static void
perm_redis_tls_handler(ngx_connection_t *c)
{
    perm_redis_connection_t  *connection;

    connection = c->data;

    perm_redis_connection_enter(connection);

    if (perm_redis_tls_done(connection) != NGX_OK) {
        perm_redis_connection_lost(connection);
    }

    perm_redis_connection_leave(connection);
}


static ngx_int_t
perm_redis_tls_done(perm_redis_connection_t *connection)
{
    ngx_connection_t  *c;

    c = connection->peer.connection;

    if (!c->ssl->handshaked) {
        perm_redis_tls_failed(connection);
        return NGX_ERROR;
    }

    if (perm_redis_tls_verify(connection) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_log_debug2(NGX_LOG_DEBUG_CORE, connection->base, 0,
                   "app_permission: redis %s: TLS with \"%s\"",
                   connection->node->label, perm_redis_tls_name(connection));

    c->read->handler = perm_redis_connection_socket_read;
    c->write->handler = perm_redis_connection_socket_write;

    connection->error_len = 0;

    return perm_redis_connection_handshake(connection);
}


static void
perm_redis_tls_failed(perm_redis_connection_t *connection)
{
    size_t  len;
    u_char  why[PERM_TLS_SHOWN];

    if (connection->heard || connection->node->met) {

        if (connection->error_len == 0) {
            perm_redis_connection_error(connection,
                                        "the TLS handshake failed");
        }

        return;
    }

    /* nothing of TLS came, whatever OpenSSL calls that */

    len = ngx_min(connection->error_len, PERM_TLS_SHOWN);
    ngx_memcpy(why, connection->error, len);

    perm_redis_connection_error(connection,
                                "the TLS handshake failed: does the server "
                                "speak TLS on this port?  Without it, the URL "
                                "in \"app_permission_redis\" begins with "
                                "\"redis\"%s%*s", len ? "; " : "", len, why);
}


static ngx_int_t
perm_redis_tls_verify(perm_redis_connection_t *connection)
{
    long   rc;
    X509  *cert;
    SSL   *ssl;

    if (!connection->conf->ssl_verify) {
        return NGX_OK;
    }

    ssl = connection->peer.connection->ssl->connection;
    rc = SSL_get_verify_result(ssl);

    if (rc == X509_V_ERR_HOSTNAME_MISMATCH
        || rc == X509_V_ERR_IP_ADDRESS_MISMATCH)
    {
        perm_redis_connection_error(connection,
                    "the certificate of the server is not for \"%s\"; see "
                    "\"app_permission_redis_ssl_name\"",
                    perm_redis_tls_name(connection));
        return NGX_ERROR;
    }

    if (rc != X509_V_OK) {
        perm_redis_connection_error(connection,
                    "the certificate of the server is refused: %s (%l); see "
                    "\"app_permission_redis_ssl_trusted_certificate\"",
                    X509_verify_cert_error_string(rc), rc);
        return NGX_ERROR;
    }

    /* without a certificate there was nothing to verify */

    cert = SSL_get_peer_certificate(ssl);

    if (cert == NULL) {
        perm_redis_connection_error(connection,
                                    "the server sent no certificate");
        return NGX_ERROR;
    }

    X509_free(cert);

    return NGX_OK;
}

#endif
