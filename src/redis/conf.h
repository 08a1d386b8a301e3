
/*
 * The app_permission_redis* directives, ready for use.
 */


#ifndef _PERM_REDIS_CONF_H_INCLUDED_
#define _PERM_REDIS_CONF_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "core/redis_url.h"
#include "resp/reply.h"


#define PERM_REDIS_NAME_MAX   PERM_REPLY_HOST_MAX

/* "[host]:65535" or "unix:/path", with a NUL */
#define PERM_REDIS_LABEL_MAX  (PERM_REDIS_NAME_MAX + sizeof("[]:65535"))


/* a server, as the URL, a Sentinel or a cluster names it */

typedef struct {
    u_char             name[PERM_REDIS_NAME_MAX + 1];   /* host name, address
                                            or path, with a NUL */
    u_char             label[PERM_REDIS_LABEL_MAX];     /* for log lines */
    in_port_t          port;             /* 0: a unix socket */
    unsigned           sentinel:1;
    unsigned           met:1;            /* it was up: whether it speaks TLS is
                                            no question */
    ngx_addr_t        *addrs;            /* of the host at start, maybe with
                                            another port */
    ngx_uint_t         naddrs;           /* 0: only the resolver can tell */
    ngx_uint_t         next;             /* of its addresses: to begin with */
    ngx_msec_t         since;            /* a master; 0: from the start */
} perm_redis_node_t;


typedef struct {
    perm_redis_url_t  *url;              /* NULL: no app_permission_redis */

    ngx_str_t          prefix;           /* of every key */
    ngx_str_t          password_file;

    /* of the servers, after perm_redis_conf_init(): the directive's, or else
       the URL's; no password: no AUTH */
    ngx_str_t          user;
    ngx_str_t          password;

    /* of the Sentinels: the URL's */
    ngx_str_t          sentinel_user;
    ngx_str_t          sentinel_password;

    ngx_msec_t         connect_timeout;  /* ms: resolve, connect, handshake */
    ngx_msec_t         timeout;          /* ms: of one command */

    perm_redis_node_t *hosts;            /* of the URL */
    ngx_uint_t         nhosts;

    /* set before perm_redis_conf_init(), from the http block */
    ngx_resolver_t    *resolver;         /* NULL: names are resolved at start
                                            only */
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


/* every field unset, for the directives to fill */
void perm_redis_conf_create(perm_redis_conf_t *conf);

/*
 * Defaults, the password file, addresses and the TLS context.  Returns
 * NGX_OK, or NGX_ERROR with a line in the log that names the directive, the
 * value and what to do.
 */
ngx_int_t perm_redis_conf_init(ngx_conf_t *cf, perm_redis_conf_t *conf);


/* name: at most PERM_REDIS_NAME_MAX bytes.  No addresses are known */
void perm_redis_conf_node(perm_redis_node_t *node, const void *name,
    size_t len, ngx_uint_t port);

/* "asked" is the node that named the address, which may be at its host */
void perm_redis_conf_node_named(perm_redis_node_t *node,
    perm_reply_address_t *address, perm_redis_node_t *asked);

ngx_uint_t perm_redis_conf_node_equal(perm_redis_node_t *a,
    perm_redis_node_t *b);


#endif /* _PERM_REDIS_CONF_H_INCLUDED_ */
