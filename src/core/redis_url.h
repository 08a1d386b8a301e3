
/*
 * Where Redis is: the URLs of app_permission_redis and --redis.
 *
 *   redis://[[user]:password@]host[:port][/db]      rediss://... with TLS
 *   unix:/path[?db=n]
 *   redis+sentinel://h1[:p],h2[:p],.../master-name[/db]
 *   redis+cluster://h1[:p],h2[:p],...               rediss+... with TLS
 */


#ifndef _PERM_CORE_REDIS_URL_H_INCLUDED_
#define _PERM_CORE_REDIS_URL_H_INCLUDED_


#include "core/name.h"


#define PERM_REDIS_URL_MAX    1024   /* bytes */
#define PERM_REDIS_HOSTS_MAX  16


typedef enum {
    PERM_REDIS_SINGLE = 0,
    PERM_REDIS_UNIX,
    PERM_REDIS_SENTINEL,
    PERM_REDIS_CLUSTER
} perm_redis_kind_t;


typedef struct {
    perm_str_t         name;   /* host name or address, IPv6 without brackets */
    unsigned           port;
} perm_redis_host_t;


/*
 * The strings point into "text" and are NUL-terminated there, so that the
 * struct must not be copied.  Absent ones have len 0.  The user and password
 * of a Sentinel URL are those of the Sentinels, and of the servers too unless
 * these are configured apart.
 */
typedef struct {
    perm_redis_kind_t  kind;
    unsigned           tls;
    unsigned           db;
    perm_str_t         user;
    perm_str_t         password;
    perm_str_t         path;           /* PERM_REDIS_UNIX */
    perm_str_t         master;         /* PERM_REDIS_SENTINEL */
    unsigned           nhosts;
    perm_redis_host_t  hosts[PERM_REDIS_HOSTS_MAX];
    char               text[PERM_REDIS_URL_MAX + sizeof("%00")];
} perm_redis_url_t;


/*
 * Returns NULL with *url filled, or what is wrong with the text, to follow
 * "invalid Redis URL: ".  User, password, path and master name may be
 * percent-encoded.  The message never has a part of the password.
 */
const char *perm_redis_url_parse(perm_str_t text, perm_redis_url_t *url);


#endif /* _PERM_CORE_REDIS_URL_H_INCLUDED_ */
