
/*
 * The TLS context of the app_permission_redis_ssl_* directives.
 */


#include "redis/conf.h"


#if (NGX_SSL)

/* directives that say nothing without TLS */

static void
perm_redis_conf_no_ssl(ngx_conf_t *cf, perm_redis_conf_t *conf)
{
    ngx_uint_t  i;

    struct {
        char        *name;
        ngx_uint_t   given;
    } directives[] = {
        { "app_permission_redis_ssl_verify",
          conf->ssl_verify != NGX_CONF_UNSET },
        { "app_permission_redis_ssl_name", conf->ssl_name.len },
        { "app_permission_redis_ssl_trusted_certificate",
          conf->ssl_trusted_certificate.len },
        { "app_permission_redis_ssl_certificate", conf->ssl_certificate.len },
        { "app_permission_redis_ssl_certificate_key",
          conf->ssl_certificate_key.len }
    };

    for (i = 0; i < sizeof(directives) / sizeof(directives[0]); i++) {
        if (directives[i].given) {
            ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                               "\"%s\" has no effect: the URL in "
                               "\"app_permission_redis\" does not begin with "
                               "\"rediss\"", directives[i].name);
        }
    }
}


static ngx_int_t
perm_redis_conf_ssl_certificate(ngx_conf_t *cf, perm_redis_conf_t *conf)
{
    if (conf->ssl_certificate.len == 0 && conf->ssl_certificate_key.len == 0) {
        return NGX_OK;
    }

    if (conf->ssl_certificate_key.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no \"app_permission_redis_ssl_certificate_key\" "
                           "for \"app_permission_redis_ssl_certificate\" "
                           "\"%V\"", &conf->ssl_certificate);
        return NGX_ERROR;
    }

    if (conf->ssl_certificate.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no \"app_permission_redis_ssl_certificate\" for "
                           "\"app_permission_redis_ssl_certificate_key\" "
                           "\"%V\"", &conf->ssl_certificate_key);
        return NGX_ERROR;
    }

    if (ngx_ssl_certificate(cf, conf->ssl, &conf->ssl_certificate,
                            &conf->ssl_certificate_key, NULL)
        != NGX_OK)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"app_permission_redis_ssl_certificate\" \"%V\" "
                           "and \"app_permission_redis_ssl_certificate_key\" "
                           "\"%V\" cannot be used: they have to be a PEM "
                           "certificate and its key",
                           &conf->ssl_certificate,
                           &conf->ssl_certificate_key);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
perm_redis_conf_ssl_trusted(ngx_conf_t *cf, perm_redis_conf_t *conf)
{
    if (!conf->ssl_verify) {
        return NGX_OK;
    }

    if (conf->ssl_trusted_certificate.len == 0) {

        if (SSL_CTX_set_default_verify_paths(conf->ssl->ctx) == 0) {
            ngx_ssl_error(NGX_LOG_EMERG, cf->log, 0,
                          "the system's trusted certificates cannot be "
                          "loaded: set "
                          "\"app_permission_redis_ssl_trusted_certificate\"");
            return NGX_ERROR;
        }

        return NGX_OK;
    }

    if (ngx_ssl_trusted_certificate(cf, conf->ssl,
                                    &conf->ssl_trusted_certificate, 9)
        != NGX_OK)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"app_permission_redis_ssl_trusted_certificate\" "
                           "\"%V\" cannot be used: it has to be a file of PEM "
                           "certificates", &conf->ssl_trusted_certificate);
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
perm_redis_conf_ssl(ngx_conf_t *cf, perm_redis_conf_t *conf)
{
    ngx_pool_cleanup_t  *cln;

    if (!conf->url->tls) {
        perm_redis_conf_no_ssl(cf, conf);
        return NGX_OK;
    }

    ngx_conf_init_value(conf->ssl_verify, 1);

    conf->ssl = ngx_pcalloc(cf->pool, sizeof(ngx_ssl_t));
    if (conf->ssl == NULL) {
        return NGX_ERROR;
    }

    conf->ssl->log = cf->log;

    if (ngx_ssl_create(conf->ssl, NGX_SSL_TLSv1_2|NGX_SSL_TLSv1_3, NULL)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        ngx_ssl_cleanup_ctx(conf->ssl);
        return NGX_ERROR;
    }

    cln->handler = ngx_ssl_cleanup_ctx;
    cln->data = conf->ssl;

    if (perm_redis_conf_ssl_certificate(cf, conf) != NGX_OK) {
        return NGX_ERROR;
    }

    return perm_redis_conf_ssl_trusted(cf, conf);
}

#else

ngx_int_t
perm_redis_conf_ssl(ngx_conf_t *cf, perm_redis_conf_t *conf)
{
    if (!conf->url->tls) {
        return NGX_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "a URL in \"app_permission_redis\" that begins with "
                       "\"rediss\" needs an nginx built with SSL");
    return NGX_ERROR;
}

#endif
