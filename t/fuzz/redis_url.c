
/*
 * Redis URLs.  A second reading has to say of each the same: that it is none,
 * or its parts.
 */


#include "fuzz.h"

#include "core/redis_url.h"


static void check_url(const uint8_t *data, size_t size);
static void check_parts(const perm_redis_url_t *url);
static void check_inside(const perm_redis_url_t *url, perm_str_t part);
static void check_same(const perm_redis_url_t *one,
    const perm_redis_url_t *two);
static int same(perm_str_t one, perm_str_t two);
static int read_url(char *text, perm_redis_url_t *url);
static char *split(char *text, char *at);
static int read_hosts(char *hosts, perm_redis_url_t *url);
static int read_host(char *text, unsigned port, perm_redis_host_t *host);
static int read_number(const char *text, unsigned long max, unsigned *value);
static int decode(char *text, perm_str_t *part);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    perm_str_t  part;

    check_url(data, size);

    /* an input of the corpus may be several URLs */

    while (memchr(data, '\0', size) != NULL) {
        part = fuzz_part(&data, &size);
        check_url((const uint8_t *) part.data, part.len);
    }

    return 0;
}


static void
check_url(const uint8_t *data, size_t size)
{
    char              *copy;
    int                good;
    perm_str_t         text;
    const char        *error;
    perm_redis_url_t  *one, *two;

    text = fuzz_copy(data, size);
    copy = fuzz_text(data, size);
    one = malloc(sizeof(perm_redis_url_t));
    two = malloc(sizeof(perm_redis_url_t));

    error = perm_redis_url_parse(text, one);

    memset(two, 0, sizeof(perm_redis_url_t));
    good = size <= 1024 && strlen(copy) == size && read_url(copy, two);

    check((error == NULL) == good);

    if (error != NULL) {
        check(*error != '\0' && fuzz_printable(error, strlen(error), ""));

    } else {
        check_parts(one);
        check_same(one, two);
    }

    free(one);
    free(two);
    free(copy);
    free((char *) text.data);
}


static void
check_parts(const perm_redis_url_t *url)
{
    unsigned  i;

    check_inside(url, url->user);
    check_inside(url, url->password);
    check_inside(url, url->path);
    check_inside(url, url->master);

    for (i = 0; i < url->nhosts; i++) {
        check_inside(url, url->hosts[i].name);
    }
}


/* with a NUL behind it, and none in it */

static void
check_inside(const perm_redis_url_t *url, perm_str_t part)
{
    if (part.len) {
        check(part.data >= url->text
              && part.data + part.len < url->text + sizeof(url->text));
        check(strlen(part.data) == part.len);
    }
}


static void
check_same(const perm_redis_url_t *one, const perm_redis_url_t *two)
{
    unsigned  i;

    check(one->kind == two->kind && one->tls == two->tls && one->db == two->db
          && one->nhosts == two->nhosts);
    check(same(one->user, two->user) && same(one->password, two->password)
          && same(one->path, two->path) && same(one->master, two->master));

    for (i = 0; i < one->nhosts; i++) {
        check(one->hosts[i].port == two->hosts[i].port
              && same(one->hosts[i].name, two->hosts[i].name));
    }
}


/* an absent part has no data */

static int
same(perm_str_t one, perm_str_t two)
{
    return one.len == two.len
           && (one.len == 0 || memcmp(one.data, two.data, one.len) == 0);
}


/* each part is cut out at what cannot be in it, from the left to the right */

static int
read_url(char *text, perm_redis_url_t *url)
{
    char   *user, *hosts, *path, *rest;
    size_t  i;

    static const struct {
        const char  *begin;
        unsigned     kind, tls;
    } begins[] = {
        { "redis://", PERM_REDIS_SINGLE, 0 },
        { "rediss://", PERM_REDIS_SINGLE, 1 },
        { "redis+sentinel://", PERM_REDIS_SENTINEL, 0 },
        { "rediss+sentinel://", PERM_REDIS_SENTINEL, 1 },
        { "redis+cluster://", PERM_REDIS_CLUSTER, 0 },
        { "rediss+cluster://", PERM_REDIS_CLUSTER, 1 },
        { "unix:", PERM_REDIS_UNIX, 0 }
    };

    for (i = 0; strncmp(text, begins[i].begin, strlen(begins[i].begin)); i++) {
        if (i == 6) {
            return 0;
        }
    }

    url->kind = begins[i].kind;
    url->tls = begins[i].tls;
    text += strlen(begins[i].begin);

    if (url->kind == PERM_REDIS_UNIX) {
        rest = split(text, strchr(text, '?'));

        return *text == '/' && decode(text, &url->path)
               && url->path.len <= 107
               && (*rest == '\0' || (strncmp(rest, "db=", 3) == 0
                                     && read_number(rest + 3, 1000000,
                                                    &url->db)));
    }

    path = split(text, strchr(text, '/'));
    hosts = strrchr(text, '@');
    user = text;

    if (hosts == NULL) {
        hosts = text;

    } else {
        hosts = split(text, hosts);
        rest = split(user, strchr(user, ':'));

        if (!decode(user, &url->user) || !decode(rest, &url->password)) {
            return 0;
        }
    }

    if (url->kind == PERM_REDIS_SENTINEL) {
        rest = split(path, strchr(path, '/'));

        if (*path == '\0' || !decode(path, &url->master)) {
            return 0;
        }

        path = rest;
    }

    return read_hosts(hosts, url)
           && (*path == '\0' || read_number(path, 1000000, &url->db))
           && (url->kind != PERM_REDIS_CLUSTER || url->db == 0);
}


/* cuts it there, and returns what is behind, or its end */

static char *
split(char *text, char *at)
{
    if (at == NULL) {
        return text + strlen(text);
    }

    *at = '\0';

    return at + 1;
}


static int
read_hosts(char *hosts, perm_redis_url_t *url)
{
    char      *next;
    int        last;
    unsigned   port;

    port = (url->kind == PERM_REDIS_SENTINEL) ? 26379 : 6379;

    do {
        last = (strchr(hosts, ',') == NULL);
        next = split(hosts, strchr(hosts, ','));

        if (url->nhosts == 16
            || !read_host(hosts, port, &url->hosts[url->nhosts++]))
        {
            return 0;
        }

        hosts = next;
    } while (!last);

    return url->nhosts == 1 || url->kind != PERM_REDIS_SINGLE;
}


static int
read_host(char *text, unsigned port, perm_redis_host_t *host)
{
    char    *number;
    size_t   len;

    host->port = port;
    len = (*text == '[') ? 1 + strspn(text + 1, "0123456789abcdefABCDEF:.")
                         : strcspn(text, ":");
    number = text + len;

    if (*text == '[') {
        text++;
        len--;

        if (*number++ != ']') {
            return 0;
        }
    }

    host->name.data = text;
    host->name.len = len;

    return len && fuzz_printable(text, len, " @%[]?#\\\"/")
           && (*number == '\0'
               || (*number == ':'
                   && read_number(number + 1, 65535, &host->port)
                   && host->port > 0));
}


static int
read_number(const char *text, unsigned long max, unsigned *value)
{
    unsigned long  number;

    number = strtoul(text, NULL, 10);
    *value = (unsigned) number;

    return *text != '\0' && strlen(text) <= 9
           && strspn(text, "0123456789") == strlen(text) && number <= max;
}


static int
decode(char *text, perm_str_t *part)
{
    char      *p;
    unsigned   byte;

    part->data = text;

    for (p = text; *text != '\0'; p++) {
        if (*text != '%') {
            *p = *text++;
            continue;
        }

        if (strspn(text + 1, "0123456789abcdefABCDEF") < 2
            || sscanf(text + 1, "%2x", &byte) != 1 || byte == 0)
        {
            return 0;
        }

        *p = (char) byte;
        text += 3;
    }

    part->len = (size_t) (p - part->data);

    return 1;
}
