
#include "redis/conf.h"

#include "core/grant_key.h"


#define PERM_PASSWORD_MAX  1024   /* bytes */


static ngx_int_t perm_redis_conf_password(ngx_conf_t *cf,
    perm_redis_conf_t *conf);
static const char *perm_redis_conf_read_line(ngx_conf_t *cf, ngx_fd_t fd,
    ngx_str_t *line, ngx_err_t *err);
static void perm_redis_conf_users(perm_redis_conf_t *conf);
static ngx_int_t perm_redis_conf_hosts(ngx_conf_t *cf,
    perm_redis_conf_t *conf);
static ngx_int_t perm_redis_conf_ssl(ngx_conf_t *cf, perm_redis_conf_t *conf);


void
perm_redis_conf_create(perm_redis_conf_t *conf)
{
    ngx_memzero(conf, sizeof(perm_redis_conf_t));

    conf->connect_timeout = NGX_CONF_UNSET_MSEC;
    conf->timeout = NGX_CONF_UNSET_MSEC;
    conf->resolver_timeout = NGX_CONF_UNSET_MSEC;

#if (NGX_SSL)
    conf->ssl_verify = NGX_CONF_UNSET;
#endif
}


ngx_int_t
perm_redis_conf_init(ngx_conf_t *cf, perm_redis_conf_t *conf)
{
    perm_str_t  prefix;

    ngx_conf_init_msec_value(conf->connect_timeout, 1000);
    ngx_conf_init_msec_value(conf->timeout, 500);
    ngx_conf_init_msec_value(conf->resolver_timeout, 30000);

    if (conf->connect_timeout == 0 || conf->timeout == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%s\" must not be 0",
                           conf->timeout == 0
                           ? "app_permission_redis_timeout"
                           : "app_permission_redis_connect_timeout");
        return NGX_ERROR;
    }

    /* http has an empty one where none is configured */

#if (angie_version >= 1012000)
    if (conf->resolver != NULL && conf->resolver->connections == NULL) {
#else
    if (conf->resolver != NULL && conf->resolver->connections.nelts == 0) {
#endif
        conf->resolver = NULL;
    }

    if (conf->prefix.data == NULL) {
        ngx_str_set(&conf->prefix, PERM_PREFIX_DEFAULT);
    }

    prefix.len = conf->prefix.len;
    prefix.data = (const char *) conf->prefix.data;

    if (!perm_grant_key_prefix_valid(prefix)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid prefix \"%V\" in "
                           "\"app_permission_redis_prefix\": use at most %d "
                           "printable ASCII characters, no blanks, braces, "
                           "quotes or any of * ? [ ] \\",
                           &conf->prefix, PERM_PREFIX_MAX);
        return NGX_ERROR;
    }

    if (conf->url == NULL) {
        return NGX_OK;
    }

    if (perm_redis_conf_password(cf, conf) != NGX_OK) {
        return NGX_ERROR;
    }

    perm_redis_conf_users(conf);

    if (perm_redis_conf_hosts(cf, conf) != NGX_OK) {
        return NGX_ERROR;
    }

    return perm_redis_conf_ssl(cf, conf);
}


void
perm_redis_conf_node(perm_redis_node_t *node, const void *name, size_t len,
    ngx_uint_t port)
{
    u_char  *end;

    ngx_memzero(node, sizeof(perm_redis_node_t));
    ngx_memcpy(node->name, name, len);

    node->port = (in_port_t) port;
    end = node->label + PERM_REDIS_LABEL_MAX;

    if (port == 0) {
        ngx_slprintf(node->label, end, "unix:%s%Z", node->name);

    } else if (ngx_strchr(node->name, ':') != NULL) {
        ngx_slprintf(node->label, end, "[%s]:%ui%Z", node->name, port);

    } else {
        ngx_slprintf(node->label, end, "%s:%ui%Z", node->name, port);
    }
}


void
perm_redis_conf_node_named(perm_redis_node_t *node,
    perm_reply_address_t *address, perm_redis_node_t *asked)
{
    perm_redis_conf_node(node, address->host.data, address->host.len,
                         address->port);

    if (address->host.data == (char *) asked->name) {
        node->addrs = asked->addrs;
        node->naddrs = asked->naddrs;
    }
}


ngx_uint_t
perm_redis_conf_node_equal(perm_redis_node_t *a, perm_redis_node_t *b)
{
    return ngx_strcmp(a->label, b->label) == 0;
}


static ngx_int_t
perm_redis_conf_password(ngx_conf_t *cf, perm_redis_conf_t *conf)
{
    ngx_fd_t          fd;
    ngx_err_t         err;
    const char       *error;
    ngx_file_info_t   fi;

    if (conf->password_file.data == NULL) {
        return NGX_OK;
    }

    if (conf->password_file.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no file in \"app_permission_redis_password_file\"");
        return NGX_ERROR;
    }

    if (ngx_conf_full_name(cf->cycle, &conf->password_file, 1) != NGX_OK) {
        return NGX_ERROR;
    }

    fd = ngx_open_file(conf->password_file.data, NGX_FILE_RDONLY,
                       NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "\"app_permission_redis_password_file\": \"%V\" "
                           "could not be opened", &conf->password_file);
        return NGX_ERROR;
    }

    if (ngx_fd_info(fd, &fi) != NGX_FILE_ERROR && (fi.st_mode & S_IROTH)) {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "\"app_permission_redis_password_file\": \"%V\" "
                           "can be read by everyone: use mode 0600",
                           &conf->password_file);
    }

    error = perm_redis_conf_read_line(cf, fd, &conf->password, &err);

    if (error != NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, err,
                           "\"app_permission_redis_password_file\": \"%V\" %s",
                           &conf->password_file, error);
    }

    if (ngx_close_file(fd) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_ALERT, cf, ngx_errno,
                           ngx_close_file_n " \"%V\" failed",
                           &conf->password_file);
    }

    return (error == NULL) ? NGX_OK : NGX_ERROR;
}


/* one line of an open file into *line; returns NULL, or what is wrong */

static const char *
perm_redis_conf_read_line(ngx_conf_t *cf, ngx_fd_t fd, ngx_str_t *line,
    ngx_err_t *err)
{
    u_char   *p, *last, *end;
    ssize_t   n;

    *err = 0;

    /* a byte more than fits, to notice what is too long */

    p = ngx_pnalloc(cf->pool, PERM_PASSWORD_MAX + 3);
    if (p == NULL) {
        return "out of memory";
    }

    last = p;
    end = p + PERM_PASSWORD_MAX + 3;

    do {
        n = ngx_read_fd(fd, last, end - last);

        if (n == -1) {
            *err = ngx_errno;
            return "could not be read";
        }

        last += n;

    } while (n > 0 && last < end);

    line->data = p;

    if (last > p && last[-1] == LF) {
        last--;
    }

    if (last > p && last[-1] == CR) {
        last--;
    }

    line->len = last - p;

    if (line->len == 0) {
        return "is empty: put the password on its first line";
    }

    if (line->len > PERM_PASSWORD_MAX) {
        return "holds more than a password of 1024 bytes";
    }

    if (ngx_strlchr(p, last, LF) != NULL) {
        return "has more than one line: only the password may be in it";
    }

    return NULL;
}


static void
perm_redis_conf_str(ngx_str_t *to, perm_str_t from)
{
    to->len = from.len;
    to->data = (u_char *) from.data;
}


/*
 * The directives override user and password of the URL.  Those of a Sentinel
 * URL are of the servers, too, unless a directive sets either.
 */

static void
perm_redis_conf_users(perm_redis_conf_t *conf)
{
    ngx_str_t  user, password;

    perm_redis_conf_str(&user, conf->url->user);
    perm_redis_conf_str(&password, conf->url->password);

    if (conf->url->kind == PERM_REDIS_SENTINEL) {
        conf->sentinel_user = user;
        conf->sentinel_password = password;

        if (conf->user.len || conf->password.len) {
            return;
        }
    }

    if (conf->user.len == 0) {
        conf->user = user;
    }

    if (conf->password.len == 0) {
        conf->password = password;
    }
}


/*
 * NGX_OK, with no address when "literal" is set and the name is none.
 * NGX_DECLINED: the name cannot be resolved now, for the reason in *err.
 */

static ngx_int_t
perm_redis_conf_resolve(ngx_conf_t *cf, perm_redis_node_t *host,
    ngx_uint_t literal, char **err)
{
    ngx_url_t  u;

    ngx_memzero(&u, sizeof(ngx_url_t));
    u.no_resolve = literal ? 1 : 0;
    u.url.len = ngx_strlen(host->label);
    u.url.data = ngx_pnalloc(cf->pool, u.url.len);
    if (u.url.data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(u.url.data, host->label, u.url.len);

    if (ngx_parse_url(cf->pool, &u) != NGX_OK) {
        *err = u.err;
        return (u.err != NULL) ? NGX_DECLINED : NGX_ERROR;
    }

    host->addrs = u.addrs;
    host->naddrs = u.naddrs;

    return NGX_OK;
}


static ngx_int_t
perm_redis_conf_hosts(ngx_conf_t *cf, perm_redis_conf_t *conf)
{
    char               *err;
    ngx_int_t           rc;
    ngx_uint_t          i, port, literal;
    perm_str_t          name;
    perm_redis_url_t   *url;
    perm_redis_node_t  *host;

    url = conf->url;
    conf->nhosts = (url->kind == PERM_REDIS_UNIX) ? 1 : url->nhosts;

    conf->hosts = ngx_pcalloc(cf->pool,
                              conf->nhosts * sizeof(perm_redis_node_t));
    if (conf->hosts == NULL) {
        return NGX_ERROR;
    }

    literal = 0;

    for (i = 0; i < conf->nhosts; i++) {

        if (url->kind == PERM_REDIS_UNIX) {
            name = url->path;
            port = 0;

        } else {
            name = url->hosts[i].name;
            port = url->hosts[i].port;
        }

        if (name.len > PERM_REDIS_NAME_MAX) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "host \"%*s\" in \"app_permission_redis\" is "
                               "longer than %d bytes", name.len, name.data,
                               PERM_REDIS_NAME_MAX);
            return NGX_ERROR;
        }

        host = &conf->hosts[i];
        perm_redis_conf_node(host, name.data, name.len, port);
        host->sentinel = (url->kind == PERM_REDIS_SENTINEL);

        err = NULL;
        rc = perm_redis_conf_resolve(cf, host, literal, &err);

        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (rc == NGX_OK) {
            continue;
        }

        if (conf->resolver == NULL) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "%s: host \"%s\" in \"app_permission_redis\"; "
                               "correct the name, or configure \"resolver\" "
                               "in the http block to have it resolved later",
                               err, host->name);
            return NGX_ERROR;
        }

        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "%s: host \"%s\" in \"app_permission_redis\"; it "
                           "is left to the \"resolver\"", err, host->name);

        /* the system's resolver may be slow: it is asked once */

        literal = 1;
    }

    return NGX_OK;
}


#if (NGX_SSL)

/* directives without an effect where there is no TLS */

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

    if (conf->ssl_certificate.len == 0 || conf->ssl_certificate_key.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"app_permission_redis_ssl_certificate\" and "
                           "\"app_permission_redis_ssl_certificate_key\" need "
                           "each other: only \"%V%V\" is set",
                           &conf->ssl_certificate, &conf->ssl_certificate_key);
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
                           &conf->ssl_certificate, &conf->ssl_certificate_key);
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

        if (SSL_CTX_set_default_verify_paths(conf->ssl->ctx) == 1) {
            return NGX_OK;
        }

        ngx_ssl_error(NGX_LOG_EMERG, cf->log, 0,
                      "the system's trusted certificates cannot be loaded: "
                      "set \"app_permission_redis_ssl_trusted_certificate\"");
        return NGX_ERROR;
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


static ngx_int_t
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

static ngx_int_t
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
