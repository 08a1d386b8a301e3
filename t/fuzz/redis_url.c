
/*
 * Redis URLs.  Of one that is taken, another one is written of its parts, and
 * has the same parts.
 */


#include "fuzz.h"

#include "core/redis_url.h"


static void check_parts(const perm_redis_url_t *url);
static void check_inside(const perm_redis_url_t *url, perm_str_t part);
static int same(perm_str_t one, perm_str_t two);
static char *write_url(const perm_redis_url_t *url);
static void put(FILE *stream, perm_str_t text);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char              *again;
    unsigned           i;
    perm_str_t         text;
    const char        *error;
    perm_redis_url_t  *one, *two;

    text = fuzz_copy(data, size);
    one = malloc(sizeof(perm_redis_url_t));
    two = malloc(sizeof(perm_redis_url_t));

    error = perm_redis_url_parse(text, one);

    if (error != NULL) {
        check(*error != '\0' && fuzz_printable(error, strlen(error), ""));

    } else {
        check_parts(one);

        again = write_url(one);

        if (strlen(again) <= PERM_REDIS_URL_MAX) {
            check(perm_redis_url_parse(perm_str(again), two) == NULL);
            check_parts(two);

            check(one->kind == two->kind && one->tls == two->tls
                  && one->db == two->db && one->nhosts == two->nhosts
                  && same(one->user, two->user)
                  && same(one->password, two->password)
                  && same(one->path, two->path)
                  && same(one->master, two->master));

            for (i = 0; i < one->nhosts; i++) {
                check(one->hosts[i].port == two->hosts[i].port
                      && same(one->hosts[i].name, two->hosts[i].name));
            }
        }

        free(again);
    }

    free(one);
    free(two);
    free((char *) text.data);

    return 0;
}


static void
check_parts(const perm_redis_url_t *url)
{
    unsigned  i;

    check_inside(url, url->user);
    check_inside(url, url->password);
    check_inside(url, url->path);
    check_inside(url, url->master);

    check(url->db <= 1000000);
    check(url->db == 0 || url->kind != PERM_REDIS_CLUSTER);
    check((url->kind == PERM_REDIS_UNIX)
          == (url->path.len && url->path.data[0] == '/'));
    check((url->kind == PERM_REDIS_UNIX) == (url->nhosts == 0));
    check(url->path.len <= 107);
    check((url->kind == PERM_REDIS_SENTINEL) == (url->master.len != 0));
    check(url->nhosts <= PERM_REDIS_HOSTS_MAX);
    check(url->nhosts <= 1 || url->kind != PERM_REDIS_SINGLE);

    for (i = 0; i < url->nhosts; i++) {
        check_inside(url, url->hosts[i].name);
        check(url->hosts[i].name.len);
        check(fuzz_printable(url->hosts[i].name.data, url->hosts[i].name.len,
                             " @%[]?#\\\"/,"));
        check(url->hosts[i].port >= 1 && url->hosts[i].port <= 65535);
    }
}


static void
check_inside(const perm_redis_url_t *url, perm_str_t part)
{
    if (part.len) {
        check(part.data >= url->text
              && part.data + part.len < url->text + sizeof(url->text));
        check(strlen(part.data) == part.len);
    }
}


/* an absent part has no data */

static int
same(perm_str_t one, perm_str_t two)
{
    return one.len == two.len
           && (one.len == 0 || memcmp(one.data, two.data, one.len) == 0);
}


static char *
write_url(const perm_redis_url_t *url)
{
    char      *text;
    FILE      *stream;
    size_t     len;
    unsigned   i;

    static const char *const  schemes[][2] = {
        { "redis://", "rediss://" },
        { "unix:", "unix:" },
        { "redis+sentinel://", "rediss+sentinel://" },
        { "redis+cluster://", "rediss+cluster://" }
    };

    stream = open_memstream(&text, &len);
    fputs(schemes[url->kind][url->tls], stream);

    if (url->user.len || url->password.len) {
        put(stream, url->user);
        fputc(':', stream);
        put(stream, url->password);
        fputc('@', stream);
    }

    for (i = 0; i < url->nhosts; i++) {
        fprintf(stream, strchr(url->hosts[i].name.data, ':') ? "%s[%s]:%u"
                        : "%s%s:%u", i ? "," : "", url->hosts[i].name.data,
                url->hosts[i].port);
    }

    if (url->kind == PERM_REDIS_UNIX) {
        fputc('/', stream);
        put(stream, (perm_str_t) { url->path.len - 1, url->path.data + 1 });
        fprintf(stream, "?db=%u", url->db);

    } else {
        fputc('/', stream);

        if (url->master.len) {
            put(stream, url->master);
            fputc('/', stream);
        }

        fprintf(stream, "%u", url->db);
    }

    fclose(stream);

    return text;
}


static void
put(FILE *stream, perm_str_t text)
{
    size_t  i;

    for (i = 0; i < text.len; i++) {
        fprintf(stream, "%%%02x", (unsigned char) text.data[i]);
    }
}
