
#include "core/redis_url.h"

#include <stdlib.h>
#include <string.h>


#define REDIS_PORT     6379
#define SENTINEL_PORT  26379
#define DB_MAX         1000000
#define HEXADECIMAL    "0123456789abcdefABCDEF"


static const struct {
    const char        *prefix;
    perm_redis_kind_t  kind;
    unsigned           tls;
} schemes[] = {
    { "redis://",           PERM_REDIS_SINGLE,   0 },
    { "rediss://",          PERM_REDIS_SINGLE,   1 },
    { "unix:",              PERM_REDIS_UNIX,     0 },
    { "redis+sentinel://",  PERM_REDIS_SENTINEL, 0 },
    { "rediss+sentinel://", PERM_REDIS_SENTINEL, 1 },
    { "redis+cluster://",   PERM_REDIS_CLUSTER,  0 },
    { "rediss+cluster://",  PERM_REDIS_CLUSTER,  1 }
};


#define NSCHEMES  (sizeof(schemes) / sizeof(schemes[0]))


static const char *parse_userinfo(char **rest, perm_redis_url_t *url);
static const char *parse_hosts(char **rest, perm_redis_url_t *url);
static const char *parse_host(char *name, unsigned port,
    perm_redis_host_t *host);
static const char *parse_path(char *rest, perm_redis_url_t *url);
static const char *parse_unix(char *rest, perm_redis_url_t *url);
static const char *parse_db(const char *text, perm_redis_url_t *url);
static int parse_number(const char *text, unsigned max, unsigned *value);
static int decode(char *text, perm_str_t *decoded);


/* the parts are cut and decoded where they stand, in url->text */

const char *
perm_redis_url_parse(perm_str_t text, perm_redis_url_t *url)
{
    char        *rest;
    size_t       i, len;
    const char  *error;

    memset(url, 0, sizeof(perm_redis_url_t));

    if (text.len > PERM_REDIS_URL_MAX) {
        return "longer than 1024 bytes";
    }

    memcpy(url->text, text.data, text.len);

    if (strlen(url->text) != text.len) {
        return "a NUL in it";
    }

    len = 0;

    for (i = 0; i < NSCHEMES; i++) {
        len = strlen(schemes[i].prefix);

        if (strncmp(url->text, schemes[i].prefix, len) == 0) {
            break;
        }
    }

    if (i == NSCHEMES) {
        return "it begins with none of redis://, rediss://, unix:, "
               "redis+sentinel://, rediss+sentinel://, redis+cluster://, "
               "rediss+cluster://";
    }

    url->kind = schemes[i].kind;
    url->tls = schemes[i].tls;
    rest = url->text + len;

    if (url->kind == PERM_REDIS_UNIX) {
        return parse_unix(rest, url);
    }

    error = parse_userinfo(&rest, url);

    if (error == NULL) {
        error = parse_hosts(&rest, url);
    }

    return error == NULL ? parse_path(rest, url) : error;
}


static const char *
parse_userinfo(char **rest, perm_redis_url_t *url)
{
    char  *password, *end;

    /* an unescaped "@" in a password is common: the last one before the
       hosts counts */

    password = *rest;
    end = password + strcspn(password, "/");

    while (end > password && end[-1] != '@') {
        end--;
    }

    if (end == password) {

        /* the name of a master may have one */

        return (url->kind == PERM_REDIS_SENTINEL || strchr(end, '@') == NULL)
               ? NULL : "a \"/\" before the \"@\": in a user name or password "
                        "it is written \"%2F\"";
    }

    end[-1] = '\0';
    *rest = end;

    if (!decode(strsep(&password, ":"), &url->user)) {
        return "bad percent-encoding in the user name";
    }

    if (password != NULL && !decode(password, &url->password)) {
        return "bad percent-encoding in the password";
    }

    return NULL;
}


static const char *
parse_hosts(char **rest, perm_redis_url_t *url)
{
    char        *hosts, *host;
    unsigned     port;
    const char  *error;

    hosts = strsep(rest, "/");

    if (*hosts != '\0' && hosts[strlen(hosts) - 1] == ',') {
        return "no host after the last \",\"";
    }

    port = (url->kind == PERM_REDIS_SENTINEL) ? SENTINEL_PORT : REDIS_PORT;

    while ((host = strsep(&hosts, ",")) != NULL) {

        if (url->nhosts == PERM_REDIS_HOSTS_MAX) {
            return "more than 16 hosts";
        }

        error = parse_host(host, port, &url->hosts[url->nhosts++]);
        if (error != NULL) {
            return error;
        }
    }

    if (url->kind == PERM_REDIS_SINGLE && url->nhosts > 1) {
        return "several hosts need redis+sentinel:// or redis+cluster://";
    }

    return NULL;
}


static const char *
parse_host(char *name, unsigned port, perm_redis_host_t *host)
{
    char  *p, *number;

    number = name;

    if (*name == '[') {
        number = strchr(++name, ']');

        if (number == NULL) {
            return "no \"]\" after an IPv6 address";
        }

        *number++ = '\0';

        if (name[strspn(name, HEXADECIMAL ":.")] != '\0') {
            return "no IPv6 address between \"[\" and \"]\"";
        }

        if (*strsep(&number, ":") != '\0') {
            return "unexpected text after \"]\"";
        }

    } else {
        (void) strsep(&number, ":");
    }

    if (number != NULL && *number == '\0') {
        return "no port after \":\"";
    }

    if (*name == '\0') {
        return "no host";
    }

    for (p = name; *p != '\0'; p++) {
        if (*p <= ' ' || *p > '~' || strchr("@%[]?#\\\"", *p) != NULL) {
            return "a byte that no host name has";
        }
    }

    if (number != NULL && (!parse_number(number, 65535, &port) || port == 0)) {
        return "the port is not a number from 1 to 65535";
    }

    host->name = perm_str(name);
    host->port = port;

    return NULL;
}


/* "rest" is NULL where no "/" follows the hosts */

static const char *
parse_path(char *rest, perm_redis_url_t *url)
{
    char  *name;

    if (url->kind == PERM_REDIS_SENTINEL) {
        name = strsep(&rest, "/");

        if (name == NULL || *name == '\0') {
            return "no master name after the hosts, as in \"/mymaster\"";
        }

        if (!decode(name, &url->master)) {
            return "bad percent-encoding in the master name";
        }
    }

    return (rest == NULL || *rest == '\0') ? NULL : parse_db(rest, url);
}


static const char *
parse_unix(char *rest, perm_redis_url_t *url)
{
    char  *path;

    path = strsep(&rest, "?");

    if (*path != '/') {
        return "unix: needs an absolute path, as in \"unix:/run/redis.sock\"";
    }

    if (!decode(path, &url->path)) {
        return "bad percent-encoding in the path";
    }

    if (url->path.len > 107) {
        return "the path of a unix socket is longer than 107 bytes";
    }

    if (rest == NULL || *rest == '\0') {
        return NULL;
    }

    if (strncmp(rest, "db=", 3) != 0) {
        return "after \"?\" only \"db=\" is known";
    }

    return parse_db(rest + 3, url);
}


static const char *
parse_db(const char *text, perm_redis_url_t *url)
{
    if (!parse_number(text, DB_MAX, &url->db)) {
        return "the database is not a number";
    }

    if (url->kind == PERM_REDIS_CLUSTER && url->db != 0) {
        return "a cluster has only database 0";
    }

    return NULL;
}


static int
parse_number(const char *text, unsigned max, unsigned *value)
{
    size_t  len;

    len = strlen(text);

    if (len == 0 || len > 9 || strspn(text, "0123456789") != len) {
        return 0;
    }

    *value = (unsigned) strtoul(text, NULL, 10);

    return *value <= max;
}


/* returns 0 for a bad percent-escape, or one that makes a NUL */

static int
decode(char *text, perm_str_t *decoded)
{
    char  *p, hex[3];

    hex[2] = '\0';
    decoded->data = text;

    for (p = text; *text != '\0'; text++) {

        if (*text != '%') {
            *p++ = *text;
            continue;
        }

        memcpy(hex, text + 1, 2);    /* zeroed behind the longest text */

        if (strspn(hex, HEXADECIMAL) != 2 || strcmp(hex, "00") == 0) {
            return 0;
        }

        *p++ = (char) strtoul(hex, NULL, 16);
        text += 2;
    }

    *p = '\0';
    decoded->len = p - decoded->data;

    return 1;
}
