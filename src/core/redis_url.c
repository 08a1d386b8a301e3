
#include "core/redis_url.h"

#include <string.h>


#define REDIS_PORT     6379
#define SENTINEL_PORT  26379
#define DB_MAX         1000000


typedef struct {
    const char        *prefix;
    perm_redis_kind_t  kind;
    unsigned           tls;
} perm_scheme_t;


static const perm_scheme_t  schemes[] = {
    { "redis://",           PERM_REDIS_SINGLE,   0 },
    { "rediss://",          PERM_REDIS_SINGLE,   1 },
    { "unix:",              PERM_REDIS_UNIX,     0 },
    { "redis+sentinel://",  PERM_REDIS_SENTINEL, 0 },
    { "rediss+sentinel://", PERM_REDIS_SENTINEL, 1 },
    { "redis+cluster://",   PERM_REDIS_CLUSTER,  0 },
    { "rediss+cluster://",  PERM_REDIS_CLUSTER,  1 },
    { NULL,                 PERM_REDIS_SINGLE,   0 }
};


/* what is left to read, and where decoded bytes go */

typedef struct {
    perm_str_t         rest;
    char              *out;
} perm_url_parser_t;


static int
hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }

    c |= 0x20;

    return (c >= 'a' && c <= 'f') ? c - 'a' + 10 : -1;
}


/*
 * Copies, percent-decoded, with a NUL.  Returns 0 for a bad escape or one
 * that makes a NUL.
 */

static int
decode(perm_url_parser_t *parser, perm_str_t from, perm_str_t *to)
{
    int     high, low;
    char   *p;
    size_t  i;

    p = parser->out;

    for (i = 0; i < from.len; i++) {

        if (from.data[i] != '%') {
            *p++ = from.data[i];
            continue;
        }

        if (from.len - i < 3) {
            return 0;
        }

        high = hex_digit(from.data[i + 1]);
        low = hex_digit(from.data[i + 2]);

        if (high < 0 || low < 0 || (high | low) == 0) {
            return 0;
        }

        *p++ = (char) (high << 4 | low);
        i += 2;
    }

    *p = '\0';

    to->data = parser->out;
    to->len = p - parser->out;
    parser->out = p + 1;

    return 1;
}


static int
number(perm_str_t text, unsigned max, unsigned *value)
{
    size_t         i;
    unsigned long  n;

    if (text.len == 0 || text.len > 9) {
        return 0;
    }

    n = 0;

    for (i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return 0;
        }

        n = n * 10 + (text.data[i] - '0');
    }

    *value = (unsigned) n;

    return n <= max;
}


/* the part before the first of that byte, taken off with it; all if none */

static perm_str_t
cut(perm_str_t *rest, char byte)
{
    perm_str_t   head;
    const char  *p;

    head = *rest;
    p = rest->len ? memchr(rest->data, byte, rest->len) : NULL;

    if (p == NULL) {
        rest->data += rest->len;
        rest->len = 0;
        return head;
    }

    head.len = p - head.data;
    rest->data = p + 1;
    rest->len -= head.len + 1;

    return head;
}


static const char *
parse_userinfo(perm_url_parser_t *parser, perm_redis_url_t *url)
{
    size_t      i, at;
    perm_str_t  info, user;

    /* an unescaped "@" in a password is common: the last one before the
       hosts counts */

    at = 0;

    for (i = 0; i < parser->rest.len && parser->rest.data[i] != '/'; i++) {
        if (parser->rest.data[i] == '@') {
            at = i + 1;
        }
    }

    if (at == 0) {

        /* the name of a master may have one */

        if (url->kind != PERM_REDIS_SENTINEL && parser->rest.len
            && memchr(parser->rest.data, '@', parser->rest.len) != NULL)
        {
            return "a \"/\" before the \"@\": in a user name or password "
                   "it is written \"%2F\"";
        }

        return NULL;
    }

    info.data = parser->rest.data;
    info.len = at - 1;
    parser->rest.data += at;
    parser->rest.len -= at;

    user = cut(&info, ':');

    if (!decode(parser, user, &url->user)) {
        return "bad percent-encoding in the user name";
    }

    if (!decode(parser, info, &url->password)) {
        return "bad percent-encoding in the password";
    }

    return NULL;
}


static const char *
parse_host(perm_url_parser_t *parser, perm_str_t text, unsigned port,
    perm_redis_host_t *host)
{
    size_t       i;
    perm_str_t   name;

    if (text.len && text.data[0] == '[') {
        text.data++;
        text.len--;
        i = text.len;
        name = cut(&text, ']');

        if (name.len == i) {
            return "no \"]\" after an IPv6 address";
        }

        for (i = 0; i < name.len; i++) {
            if (hex_digit(name.data[i]) < 0 && name.data[i] != ':'
                && name.data[i] != '.')
            {
                return "no IPv6 address between \"[\" and \"]\"";
            }
        }

        if (text.len && text.data[0] != ':') {
            return "unexpected text after \"]\"";
        }

        if (text.len) {
            text.data++;
            text.len--;

            if (text.len == 0) {
                return "no port after \":\"";
            }
        }

    } else {
        i = text.len;
        name = cut(&text, ':');

        if (name.len != i && text.len == 0) {
            return "no port after \":\"";
        }
    }

    if (name.len == 0) {
        return "no host";
    }

    for (i = 0; i < name.len; i++) {
        if (name.data[i] <= ' ' || name.data[i] > '~'
            || strchr("@%[]?#\\\"", name.data[i]) != NULL)
        {
            return "a byte that no host name has";
        }
    }

    host->port = port;

    if (text.len
        && (!number(text, 65535, &host->port) || host->port == 0))
    {
        return "the port is not a number from 1 to 65535";
    }

    (void) decode(parser, name, &host->name);

    return NULL;
}


static const char *
parse_hosts(perm_url_parser_t *parser, perm_redis_url_t *url)
{
    unsigned     port;
    perm_str_t   hosts, host;
    const char  *error;

    hosts = cut(&parser->rest, '/');

    if (hosts.len && hosts.data[hosts.len - 1] == ',') {
        return "no host after the last \",\"";
    }

    port = (url->kind == PERM_REDIS_SENTINEL) ? SENTINEL_PORT : REDIS_PORT;

    do {
        host = cut(&hosts, ',');

        if (url->nhosts == PERM_REDIS_HOSTS_MAX) {
            return "more than 16 hosts";
        }

        error = parse_host(parser, host, port, &url->hosts[url->nhosts]);
        if (error != NULL) {
            return error;
        }

        url->nhosts++;

    } while (hosts.len);

    if (url->kind == PERM_REDIS_SINGLE && url->nhosts > 1) {
        return "several hosts need redis+sentinel:// or redis+cluster://";
    }

    return NULL;
}


static const char *
parse_path(perm_url_parser_t *parser, perm_redis_url_t *url)
{
    perm_str_t  name;

    if (url->kind == PERM_REDIS_SENTINEL) {
        name = cut(&parser->rest, '/');

        if (name.len == 0) {
            return "no master name after the hosts, as in \"/mymaster\"";
        }

        if (!decode(parser, name, &url->master)) {
            return "bad percent-encoding in the master name";
        }
    }

    if (parser->rest.len == 0) {
        return NULL;
    }

    if (!number(parser->rest, DB_MAX, &url->db)) {
        return "the database is not a number";
    }

    if (url->kind == PERM_REDIS_CLUSTER && url->db != 0) {
        return "a cluster has only database 0";
    }

    return NULL;
}


static const char *
parse_unix(perm_url_parser_t *parser, perm_redis_url_t *url)
{
    perm_str_t  path;

    path = cut(&parser->rest, '?');

    if (path.len == 0 || path.data[0] != '/') {
        return "unix: needs an absolute path, as in \"unix:/run/redis.sock\"";
    }

    if (!decode(parser, path, &url->path)) {
        return "bad percent-encoding in the path";
    }

    if (url->path.len > 107) {
        return "the path of a unix socket is longer than 107 bytes";
    }

    if (parser->rest.len == 0) {
        return NULL;
    }

    if (parser->rest.len < 3 || memcmp(parser->rest.data, "db=", 3) != 0) {
        return "after \"?\" only \"db=\" is known";
    }

    parser->rest.data += 3;
    parser->rest.len -= 3;

    return number(parser->rest, DB_MAX, &url->db)
           ? NULL : "the database is not a number";
}


const char *
perm_redis_url_parse(perm_str_t text, perm_redis_url_t *url)
{
    size_t                len;
    const char           *error;
    perm_url_parser_t     parser;
    const perm_scheme_t  *scheme;

    memset(url, 0, sizeof(perm_redis_url_t));

    if (text.len > PERM_REDIS_URL_MAX) {
        return "longer than 1024 bytes";
    }

    for (scheme = schemes; scheme->prefix != NULL; scheme++) {
        len = strlen(scheme->prefix);

        if (text.len >= len && memcmp(text.data, scheme->prefix, len) == 0) {
            break;
        }
    }

    if (scheme->prefix == NULL) {
        return "it begins with none of redis://, rediss://, unix:, "
               "redis+sentinel://, rediss+sentinel://, redis+cluster://, "
               "rediss+cluster://";
    }

    url->kind = scheme->kind;
    url->tls = scheme->tls;

    parser.rest.data = text.data + len;
    parser.rest.len = text.len - len;
    parser.out = url->text;

    if (url->kind == PERM_REDIS_UNIX) {
        return parse_unix(&parser, url);
    }

    error = parse_userinfo(&parser, url);

    if (error == NULL) {
        error = parse_hosts(&parser, url);
    }

    return error == NULL ? parse_path(&parser, url) : error;
}
