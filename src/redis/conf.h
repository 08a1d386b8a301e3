
/*
 * What the app_permission_redis* directives say, ready for use.
 */


#ifndef _PERM_REDIS_CONF_H_INCLUDED_
#define _PERM_REDIS_CONF_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "core/redis_url.h"


/* one host of the URL */

typedef struct {
    ngx_str_t          name;             /* without a port; the path of a unix
                                            socket; NUL-terminated */
    in_port_t          port;
    ngx_addr_t        *addrs;            /* a part of the addrs below */
    ngx_uint_t         naddrs;           /* 0: nothing but the resolver can
                                            tell */
} perm_redis_conf_host_t;


typedef struct {
    perm_redis_url_t  *url;              /* NULL: no app_permission_redis */

    ngx_str_t          prefix;           /* of every key */
    ngx_str_t          password_file;

    /* after perm_redis_conf_init() those of the servers: the directive's, or
       else the URL's; no password: no AUTH */
    ngx_str_t          user;
    ngx_str_t          password;

    /* what a Sentinel is told: only what is in the URL */
    ngx_str_t          sentinel_user;
    ngx_str_t          sentinel_password;

    ngx_msec_t         connect_timeout;  /* ms: resolve, connect, handshake */
    ngx_msec_t         timeout;          /* ms: of one command */

    perm_redis_conf_host_t  *hosts;
    ngx_uint_t         nhosts;
    ngx_addr_t        *addrs;            /* of every host, resolved at start */
    ngx_uint_t         naddrs;

    /* set before perm_redis_conf_init(), from the http block */
    ngx_resolver_t    *resolver;         /* NULL: only what start resolved */
    ngx_msec_t         resolver_timeout; /* ms */

#if (NGX_SSL)
    ngx_ssl_t         *ssl;              /* NULL without TLS */
    ngx_flag_t         ssl_verify;
    ngx_str_t          ssl_name;         /* to verify and for SNI; len 0: the
                                            name connected to */
    ngx_str_t          ssl_trusted_certificate;
    ngx_str_t          ssl_certificate;
    ngx_str_t          ssl_certificate_key;
#endif
} perm_redis_conf_t;


/*
 * Puts every field into its unset state, for the directives to fill.
 */
void perm_redis_conf_create(perm_redis_conf_t *conf);


/*
 * Defaults, the password file, addresses and the TLS context.  Returns
 * NGX_OK, or NGX_ERROR with a line in the log that names the directive, the
 * value and what to do.
 */
ngx_int_t perm_redis_conf_init(ngx_conf_t *cf, perm_redis_conf_t *conf);


/* the part of perm_redis_conf_init() that is about TLS */

ngx_int_t perm_redis_conf_ssl(ngx_conf_t *cf, perm_redis_conf_t *conf);


#endif /* _PERM_REDIS_CONF_H_INCLUDED_ */
