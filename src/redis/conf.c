
#include "redis/conf.h"

#include "core/grant_key.h"


#define PERM_PASSWORD_MAX  1024   /* bytes */


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


static ngx_int_t
perm_redis_conf_prefix(ngx_conf_t *cf, perm_redis_conf_t *conf)
{
    perm_str_t  prefix;

    if (conf->prefix.data == NULL) {
        ngx_str_set(&conf->prefix, PERM_PREFIX_DEFAULT);
        return NGX_OK;
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

    return NGX_OK;
}


/* one line out of an open file; logs nothing when that fails, but says why */

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


static void
perm_redis_conf_str(ngx_str_t *to, perm_str_t from)
{
    to->len = from.len;
    to->data = (u_char *) from.data;
}


/*
 * The directives' user and password go over those in the URL; where that one
 * is of Sentinels, either directive makes theirs another matter.
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
 * NGX_DECLINED when the name cannot be resolved now, with the reason in *err;
 * addresses are added to "addrs", with "literal" only those that are written
 * as one.
 */

static ngx_int_t
perm_redis_conf_resolve(ngx_conf_t *cf, perm_redis_conf_t *conf,
    perm_redis_conf_host_t *host, ngx_uint_t literal, ngx_array_t *addrs,
    char **err)
{
    u_char      *p;
    ngx_url_t    u;
    ngx_addr_t  *addr;

    ngx_memzero(&u, sizeof(ngx_url_t));
    u.no_resolve = literal ? 1 : 0;

    p = ngx_pnalloc(cf->pool,
                    host->name.len + sizeof("unix:[]:65535") - 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    u.url.data = p;

    if (conf->url->kind == PERM_REDIS_UNIX) {
        p = ngx_sprintf(p, "unix:%V", &host->name);

    } else if (ngx_strlchr(host->name.data, host->name.data + host->name.len,
                           ':'))
    {
        p = ngx_sprintf(p, "[%V]:%ui", &host->name, (ngx_uint_t) host->port);

    } else {
        p = ngx_sprintf(p, "%V:%ui", &host->name, (ngx_uint_t) host->port);
    }

    u.url.len = p - u.url.data;

    if (ngx_parse_url(cf->pool, &u) != NGX_OK) {
        *err = u.err;
        return (u.err != NULL) ? NGX_DECLINED : NGX_ERROR;
    }

    if (u.naddrs == 0) {
        return NGX_OK;
    }

    addr = ngx_array_push_n(addrs, u.naddrs);
    if (addr == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(addr, u.addrs, u.naddrs * sizeof(ngx_addr_t));
    host->naddrs = u.naddrs;

    return NGX_OK;
}


/* the hosts as the URL names them */

static ngx_int_t
perm_redis_conf_name_hosts(ngx_conf_t *cf, perm_redis_conf_t *conf)
{
    ngx_uint_t               i;
    perm_redis_url_t        *url;
    perm_redis_conf_host_t  *host;

    url = conf->url;
    conf->nhosts = (url->kind == PERM_REDIS_UNIX) ? 1 : url->nhosts;

    host = ngx_pcalloc(cf->pool,
                       conf->nhosts * sizeof(perm_redis_conf_host_t));
    if (host == NULL) {
        return NGX_ERROR;
    }

    conf->hosts = host;

    if (url->kind == PERM_REDIS_UNIX) {
        perm_redis_conf_str(&host->name, url->path);
        return NGX_OK;
    }

    for (i = 0; i < conf->nhosts; i++) {
        perm_redis_conf_str(&host[i].name, url->hosts[i].name);
        host[i].port = (in_port_t) url->hosts[i].port;
    }

    return NGX_OK;
}


static ngx_int_t
perm_redis_conf_addrs(ngx_conf_t *cf, perm_redis_conf_t *conf)
{
    char                    *err;
    ngx_int_t                rc;
    ngx_uint_t               i, n, literal;
    ngx_array_t              addrs;
    perm_redis_conf_host_t  *host;

    if (perm_redis_conf_name_hosts(cf, conf) != NGX_OK
        || ngx_array_init(&addrs, cf->pool, 4, sizeof(ngx_addr_t)) != NGX_OK)
    {
        return NGX_ERROR;
    }

    literal = 0;

    for (i = 0; i < conf->nhosts; i++) {
        host = &conf->hosts[i];
        err = NULL;

        rc = perm_redis_conf_resolve(cf, conf, host, literal, &addrs, &err);

        if (rc == NGX_OK) {
            continue;
        }

        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (conf->resolver == NULL) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "%s: host \"%V\" in \"app_permission_redis\"; "
                               "correct the name, or configure \"resolver\" "
                               "in the http block to have it resolved later",
                               err, &host->name);
            return NGX_ERROR;
        }

        /* the system's resolver may take its time: not once more */

        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "%s: host \"%V\" in \"app_permission_redis\"; it "
                           "is left to the \"resolver\"", err, &host->name);

        literal = 1;
    }

    conf->addrs = addrs.elts;
    conf->naddrs = addrs.nelts;

    for (i = 0, n = 0; i < conf->nhosts; i++) {
        conf->hosts[i].addrs = conf->addrs + n;
        n += conf->hosts[i].naddrs;
    }

    return NGX_OK;
}


ngx_int_t
perm_redis_conf_init(ngx_conf_t *cf, perm_redis_conf_t *conf)
{
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

    if (conf->resolver != NULL && conf->resolver->connections.nelts == 0) {
        conf->resolver = NULL;
    }

    if (perm_redis_conf_prefix(cf, conf) != NGX_OK) {
        return NGX_ERROR;
    }

    if (conf->url == NULL) {
        return NGX_OK;
    }

    if (perm_redis_conf_password(cf, conf) != NGX_OK) {
        return NGX_ERROR;
    }

    perm_redis_conf_users(conf);

    if (perm_redis_conf_addrs(cf, conf) != NGX_OK) {
        return NGX_ERROR;
    }

    return perm_redis_conf_ssl(cf, conf);
}
