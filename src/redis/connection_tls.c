
/*
 * TLS with the server, verified.
 */


#include "redis/connection_priv.h"


#if (NGX_SSL)

#include <openssl/x509v3.h>


static ngx_uint_t
perm_redis_connection_tls_is_address(ngx_str_t *name)
{
#if (NGX_HAVE_INET6)
    u_char  addr6[16];

    if (ngx_inet6_addr(name->data, name->len, addr6) == NGX_OK) {
        return 1;
    }
#endif

    return ngx_inet_addr(name->data, name->len) != INADDR_NONE;
}


static ngx_str_t *
perm_redis_connection_tls_name(perm_redis_connection_t *connection)
{
    return connection->conf->ssl_name.len ? &connection->conf->ssl_name
                                          : &connection->host;
}


/* unlike ngx_ssl_check_host() it knows addresses, which clusters announce */

static ngx_uint_t
perm_redis_connection_tls_match(X509 *cert, ngx_str_t *name)
{
    int     rc;
    u_char  text[NGX_SOCKADDR_STRLEN + 1];

    if (name->len == 0) {
        return 0;
    }

    if (!perm_redis_connection_tls_is_address(name)) {
        rc = X509_check_host(cert, (char *) name->data, name->len, 0, NULL);
        return rc == 1;
    }

    if (name->len > NGX_SOCKADDR_STRLEN) {
        return 0;
    }

    (void) ngx_cpystrn(text, name->data, name->len + 1);

    return X509_check_ip_asc(cert, (char *) text, 0) == 1;
}


static ngx_int_t
perm_redis_connection_tls_verify(perm_redis_connection_t *connection)
{
    long               rc;
    X509              *cert;
    ngx_str_t         *name;
    ngx_uint_t         match;
    ngx_ssl_conn_t    *ssl_conn;

    if (!connection->conf->ssl_verify) {
        return NGX_OK;
    }

    ssl_conn = connection->peer.connection->ssl->connection;

    rc = SSL_get_verify_result(ssl_conn);

    if (rc != X509_V_OK) {
        perm_redis_connection_error(connection,
                    "the certificate of the server is refused: %s (%l); see "
                    "\"app_permission_redis_ssl_trusted_certificate\"",
                    X509_verify_cert_error_string(rc), rc);
        return NGX_ERROR;
    }

    cert = SSL_get_peer_certificate(ssl_conn);

    if (cert == NULL) {
        perm_redis_connection_error(connection,
                                    "the server sent no certificate");
        return NGX_ERROR;
    }

    name = perm_redis_connection_tls_name(connection);
    match = perm_redis_connection_tls_match(cert, name);

    X509_free(cert);

    if (!match) {
        perm_redis_connection_error(connection,
                    "the certificate of the server is not for \"%V\"; see "
                    "\"app_permission_redis_ssl_name\"", name);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
perm_redis_connection_tls_done(perm_redis_connection_t *connection)
{
    ngx_connection_t  *c;

    c = connection->peer.connection;

    if (!c->ssl->handshaked) {

        if (connection->error_len == 0) {
            perm_redis_connection_error(connection,
                        "the TLS handshake failed: the server closed the "
                        "connection; does it speak TLS on this port?");
        }

        return NGX_ERROR;
    }

    if (perm_redis_connection_tls_verify(connection) != NGX_OK) {
        return NGX_ERROR;
    }

    c->read->handler = perm_redis_connection_read;
    c->write->handler = perm_redis_connection_write;

    connection->error_len = 0;

    return perm_redis_handshake_begin(connection);
}


static void
perm_redis_connection_tls_handler(ngx_connection_t *c)
{
    perm_redis_connection_t  *connection;

    connection = c->data;

    perm_redis_connection_enter(connection);

    if (perm_redis_connection_tls_done(connection) != NGX_OK) {
        perm_redis_connection_lost(connection);
    }

    perm_redis_connection_leave(connection);
}


ngx_int_t
perm_redis_connection_tls_start(perm_redis_connection_t *connection)
{
    ngx_int_t          rc;
    ngx_str_t         *name;
    ngx_connection_t  *c;

    c = connection->peer.connection;

    if (ngx_ssl_create_connection(connection->conf->ssl, c, NGX_SSL_CLIENT)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    name = perm_redis_connection_tls_name(connection);

    /* as of RFC 6066 an address is none; both names end with a NUL */

    if (name->len && !perm_redis_connection_tls_is_address(name)
        && SSL_set_tlsext_host_name(c->ssl->connection, (char *) name->data)
           == 0)
    {
        ngx_ssl_error(NGX_LOG_ERR, c->log, 0,
                      "SSL_set_tlsext_host_name(\"%V\") failed", name);
        return NGX_ERROR;
    }

    rc = ngx_ssl_handshake(c);

    if (rc == NGX_AGAIN) {
        c->ssl->handler = perm_redis_connection_tls_handler;
        return NGX_OK;
    }

    return perm_redis_connection_tls_done(connection);
}

#endif
