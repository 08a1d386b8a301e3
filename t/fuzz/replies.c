
/*
 * What replies mean: the slots of a cluster, MOVED and ASK, ROLE, a Sentinel's
 * master, grants, the time to live, "meta", the time, advice.  Each reply of
 * the input is read as any of them, and read again in other words.
 * sources: src/resp/reader.c src/resp/cluster.c src/resp/reply.c
 * sources: src/resp/advice.c src/resp/printable.c src/sync/grants_reply.c
 * sources: src/sync/server_clock.c src/shm/health.c src/shm/tuple.c
 */


#include "fuzz.h"
#include "nginx_test.h"

#include <ctype.h>

#include "core/grant.h"
#include "resp/advice.h"
#include "resp/cluster.h"
#include "resp/printable.h"
#include "resp/reader.h"
#include "sync/grants_reply.h"
#include "sync/server_clock.h"


static const perm_str_t  asked = perm_string("asked.example");

/* TIME on its way */

static perm_redis_reply_pt    time_handler;
static void                  *time_data;
static perm_redis_command_t   time_command;


static void make_exact(redisReply *reply);
static void check_cluster(const redisReply *reply);
static int valid_range(const redisReply *reply);
static perm_str_t node_host(const redisReply *node);
static int range(const redisReply *reply, long long slot);
static int is_text(const redisReply *reply, size_t i, const char *text);
static void check_redirect(const redisReply *reply,
    const perm_redirect_t *redirect);
static int valid_host(perm_str_t host);
static void check_address(const perm_reply_address_t *address);
static void check_sentinel(const redisReply *reply);
static void check_grants(redisReply *reply);
static int is_value(const redisReply *reply);
static int64_t expires(const redisReply *reply);
static void check_time(redisReply *reply);
static int64_t number(const redisReply *reply);
static void check_error(const redisReply *reply);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    perm_role_t       role;
    redisReply       *reply;
    perm_reader_t    *reader;
    perm_redirect_t   redirect;

    reader = perm_reader_create(1024 * 1024);
    perm_reader_feed(reader, (const char *) data, size);

    while (perm_reader_next(reader, &reply) == 0 && reply != NULL) {

        make_exact(reply);
        check_cluster(reply);

        redirect = perm_cluster_redirect(reply, asked);
        check(redirect.slot < PERM_CLUSTER_SLOTS);

        if (redirect.to.port) {
            check_address(&redirect.to);
        }

        check_redirect(reply, &redirect);

        if (perm_reply_role(reply, &role) != 0) {
            check(role == PERM_ROLE_UNKNOWN);

        } else if (reply->type == REDIS_REPLY_ARRAY) {
            check((role == PERM_ROLE_MASTER) == is_text(reply, 0, "master"));
            check((role == PERM_ROLE_REPLICA)
                  == (is_text(reply, 0, "slave")
                      || is_text(reply, 0, "replica")));
            check((role == PERM_ROLE_SENTINEL)
                  == is_text(reply, 0, "sentinel"));
        }

        check(perm_reply_role_linked(reply) == is_text(reply, 3, "connected"));

        check_sentinel(reply);
        check_grants(reply);
        check_time(reply);
        check_error(reply);

        freeReplyObject(reply);
    }

    perm_reader_free(reader);

    return 0;
}


/* strings get no NUL behind them, so that AddressSanitizer sees an overrun */

static void
make_exact(redisReply *reply)
{
    char    *str;
    size_t   i;

    if (reply->type == REDIS_REPLY_ARRAY) {
        for (i = 0; i < reply->elements; i++) {
            make_exact(reply->element[i]);
        }

    } else if (reply->type == REDIS_REPLY_STRING
               || reply->type == REDIS_REPLY_STATUS)
    {
        str = (char *) fuzz_copy(reply->str, (size_t) reply->len).data;
        free(reply->str);
        reply->str = str;
    }
}


static void
check_cluster(const redisReply *reply)
{
    int          good;
    size_t       i, r;
    unsigned     n;
    perm_str_t   host;
    const char  *error;
    redisReply  *node;

    static perm_cluster_slots_t  slots;

    error = perm_cluster_slots_parse(reply, asked, &slots);
    good = (reply->type == REDIS_REPLY_ARRAY && reply->elements > 0);

    for (i = 0; good && i < reply->elements; i++) {
        good = valid_range(reply->element[i]);
    }

    if (error != NULL) {
        check(*error != '\0');
        check(!good || reply->elements > PERM_CLUSTER_MASTERS_MAX);
        return;
    }

    check(good && slots.n >= 1 && slots.n <= PERM_CLUSTER_MASTERS_MAX);

    for (i = 0; i < slots.n; i++) {
        check_address(&slots.masters[i]);

        for (r = 0; r < i; r++) {
            check(slots.masters[r].port != slots.masters[i].port
                  || !perm_str_equal(slots.masters[r].host,
                                     slots.masters[i].host));
        }
    }

    /* a slot has the master of the last range that it is in */

    for (i = 0; i < PERM_CLUSTER_SLOTS; i++) {
        for (r = reply->elements; r && !range(reply->element[r - 1], i); r--) {
            /* void */
        }

        n = slots.slots[i];
        check(n <= slots.n && (n == 0) == (r == 0));

        if (n) {
            node = reply->element[r - 1]->element[2];
            host = node_host(node);

            check(node->element[1]->integer == slots.masters[n - 1].port);
            check(perm_str_equal(slots.masters[n - 1].host,
                                 host.len == 0
                                 || perm_str_equal(host, perm_str("?"))
                                 ? asked : host));
        }
    }
}


static int
valid_range(const redisReply *reply)
{
    const redisReply  *node;

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements < 3
        || reply->element[0]->type != REDIS_REPLY_INTEGER
        || reply->element[1]->type != REDIS_REPLY_INTEGER
        || reply->element[0]->integer < 0
        || reply->element[0]->integer > reply->element[1]->integer
        || reply->element[1]->integer > 16383)
    {
        return 0;
    }

    node = reply->element[2];

    return node->type == REDIS_REPLY_ARRAY && node->elements >= 2
           && (node->element[0]->type == REDIS_REPLY_STRING
               || node->element[0]->type == REDIS_REPLY_NIL)
           && node->element[1]->type == REDIS_REPLY_INTEGER
           && node->element[1]->integer >= 1
           && node->element[1]->integer <= 65535
           && valid_host(node_host(node));
}


/* the address in the metadata takes the place of "?" */

static perm_str_t
node_host(const redisReply *node)
{
    size_t             i;
    const redisReply  *metadata;

    if (is_text(node, 0, "?") && node->elements > 3
        && node->element[3]->type == REDIS_REPLY_ARRAY)
    {
        metadata = node->element[3];

        for (i = 0; i + 2 <= metadata->elements; i += 2) {
            if (is_text(metadata, i, "ip")) {
                return perm_reply_text(metadata->element[i + 1]);
            }
        }
    }

    return perm_reply_text(node->element[0]);
}


static int
range(const redisReply *reply, long long slot)
{
    return slot >= reply->element[0]->integer
           && slot <= reply->element[1]->integer;
}


static int
is_text(const redisReply *reply, size_t i, const char *text)
{
    return reply->type == REDIS_REPLY_ARRAY && i < reply->elements
           && (reply->element[i]->type == REDIS_REPLY_STRING
               || reply->element[i]->type == REDIS_REPLY_STATUS)
           && (size_t) reply->element[i]->len == strlen(text)
           && memcmp(reply->element[i]->str, text, strlen(text)) == 0;
}


/* "MOVED slot host:port" or "ASK slot host:port"; the last ":" counts */

static void
check_redirect(const redisReply *reply, const perm_redirect_t *redirect)
{
    char           *end;
    const char     *p, *colon;
    perm_str_t      host;
    unsigned long   slot, port;

    p = (reply->type == REDIS_REPLY_ERROR) ? reply->str : "";

    check((redirect->kind == PERM_REDIRECT_MOVED)
          == (strcmp(p, "MOVED") == 0 || strncmp(p, "MOVED ", 6) == 0));
    check((redirect->kind == PERM_REDIRECT_ASK)
          == (strcmp(p, "ASK") == 0 || strncmp(p, "ASK ", 4) == 0));

    if (redirect->kind == PERM_REDIRECT_NONE || strchr(p, ' ') == NULL) {
        check(redirect->to.port == 0);
        return;
    }

    p = strchr(p, ' ') + 1;
    slot = strtoul(p, &end, 10);
    colon = strrchr(end, ':');
    port = 0;

    if (isdigit((unsigned char) *p) && *end == ' ' && colon != NULL
        && colon[1 + strspn(colon + 1, "0123456789")] == '\0'
        && colon[1] != '\0' && slot <= 16383)
    {
        host.data = end + 1;
        host.len = (size_t) (colon - host.data);
        port = valid_host(host) ? strtoul(colon + 1, NULL, 10) : 0;
        port = (port <= 65535) ? port : 0;

        if (port) {
            host = (host.len && !perm_str_equal(host, perm_str("?"))) ? host
                                                                     : asked;
            check(redirect->slot == slot
                  && perm_str_equal(redirect->to.host, host));
        }
    }

    check(redirect->to.port == port);
}


/* of a name or an address, or none */

static int
valid_host(perm_str_t host)
{
    size_t  i;

    for (i = 0; i < host.len; i++) {
        if (!isalnum((unsigned char) host.data[i])
            && (host.data[i] == '\0' || !strchr("._-:", host.data[i])))
        {
            break;
        }
    }

    return host.len <= PERM_REPLY_HOST_MAX
           && (i == host.len || perm_str_equal(host, perm_str("?")));
}


static void
check_address(const perm_reply_address_t *address)
{
    check(address->port >= 1 && address->port <= 65535);
    check(address->host.len && valid_host(address->host));
    check(!perm_str_equal(address->host, perm_str("?")));
}


static void
check_sentinel(const redisReply *reply)
{
    int                    good;
    char                  *port;
    perm_str_t             host;
    const char            *error;
    perm_reply_address_t   master;

    error = perm_reply_sentinel(reply, "unknown", &master);
    good = (reply->type == REDIS_REPLY_ARRAY && reply->elements == 2);

    if (good) {
        host = perm_reply_text(reply->element[0]);
        good = host.len && valid_host(host)
               && !perm_str_equal(host, perm_str("?"));
    }

    if (good) {
        host = perm_reply_text(reply->element[1]);
        port = fuzz_text((const uint8_t *) host.data, host.len);
        good = strlen(port) == host.len
               && strspn(port, "0123456789") == host.len
               && strtoul(port, NULL, 10) >= 1
               && strtoul(port, NULL, 10) <= 65535;

        check(!good || error != NULL
              || master.port == strtoul(port, NULL, 10));
        free(port);
    }

    check((error == NULL) == good);

    if (error == NULL) {
        check_address(&master);
        check(perm_str_equal(master.host, perm_reply_text(reply->element[0])));
    }
}


static void
check_grants(redisReply *reply)
{
    int64_t         left;
    ngx_int_t       rc, refused;
    ngx_uint_t      loaded;
    perm_grants_t   grants;

    refused = (reply->type == REDIS_REPLY_ERROR) ? NGX_DECLINED : NGX_ERROR;
    rc = perm_grants_reply_parse(reply, &grants);

    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 2
        && is_value(reply->element[0]) && is_value(reply->element[1]))
    {
        check(rc == NGX_OK);
        check(grants.gateway == expires(reply->element[0])
              && grants.resource == expires(reply->element[1]));
        check(!perm_grants_reply_too_long(reply, 0) || grants.gateway < 0);
        check(!perm_grants_reply_too_long(reply, 1) || grants.resource < 0);

    } else {
        check(rc == refused);
    }

    rc = perm_grants_reply_left(reply, 5, &left);

    if (reply->type == REDIS_REPLY_INTEGER) {
        check(rc == NGX_OK);
        check(left == ((reply->integer == -1
                        || reply->integer >= PERM_GRANTS_ENDLESS)
                       ? PERM_GRANTS_ENDLESS
                       : reply->integer < 5 ? 0 : reply->integer - 5));

    } else {
        check(rc == refused);
    }

    rc = perm_grants_reply_loaded(reply, &loaded);

    if (is_value(reply)) {
        check(rc == NGX_OK);
        check(loaded == (reply->type == REDIS_REPLY_STRING && reply->len == 1
                         && reply->str[0] == '1'));

    } else {
        check(rc == refused);
    }
}


static int
is_value(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_STRING
           || reply->type == REDIS_REPLY_NIL;
}


static int64_t
expires(const redisReply *reply)
{
    return (reply->type == REDIS_REPLY_NIL) ? PERM_GRANT_ABSENT
           : perm_grant_expires((perm_str_t) { (size_t) reply->len,
                                               reply->str });
}


/* seconds and microseconds, as text */

static void
check_time(redisReply *reply)
{
    int64_t                   seconds, usec;
    ngx_int_t                 rc;
    ngx_str_t                 key = ngx_string("key");
    perm_server_clock_now_t   now;

    static perm_health_t         health;
    static perm_server_clock_t  *clocks;

    if (clocks == NULL) {
        test_cycle.pool = ngx_create_pool(4096, &test_log);
        clocks = perm_server_clock_create(&health, &test_cycle);
    }

    health.no_time = 0;
    perm_server_clock_cancel(clocks);

    check(perm_server_clock_read(clocks, NULL, &key, &now) == NGX_AGAIN);
    time_handler(time_data, reply);

    rc = perm_server_clock_read(clocks, NULL, &key, &now);

    seconds = usec = -1;

    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 2) {
        seconds = number(reply->element[0]);
        usec = number(reply->element[1]);
    }

    if (seconds >= 1 && seconds <= 4294967294 && usec >= 0 && usec < 1000000) {
        check(rc == NGX_OK);
        check(now.earliest == seconds && now.latest == seconds);

    } else {
        check(rc == NGX_DECLINED
              || (rc == NGX_ERROR && reply->type == REDIS_REPLY_ERROR));
        check(fuzz_printable(test_line, strcspn(test_line, "\n"), "\n"));
    }
}


/* -1: it is none */

static int64_t
number(const redisReply *reply)
{
    size_t      i;
    int64_t     n;
    perm_str_t  text;

    text = perm_reply_text(reply);

    for (i = 0, n = 0; i < text.len; i++) {
        if (!isdigit((unsigned char) text.data[i])) {
            return -1;
        }

        n = ngx_min(n * 10 + (text.data[i] - '0'), 1000000000000);
    }

    return text.len ? n : -1;
}


static void
check_error(const redisReply *reply)
{
    char                  shown[64], exact[8];
    size_t                len;
    perm_str_t            text;
    const perm_advice_t  *advice;

    text = perm_reply_text(reply);

    if (reply->type == REDIS_REPLY_ERROR) {
        advice = perm_advice_find(reply->str);
        check(advice != NULL && advice->gateway != NULL);

        text = perm_advice_error(reply->str);
        check(text.len <= reply->len);
    }

    len = perm_printable(shown, sizeof(shown), text, 1);

    check(len < sizeof(shown) && shown[len] == '\0');
    check(fuzz_printable(shown, len, "\""));

    check(perm_printable(exact, sizeof(exact), text, 0) < sizeof(exact));
}


/* what the clocks call */

ngx_uint_t
perm_redis_client_server(perm_redis_client_t *redis, ngx_str_t *key)
{
    return 1;
}


perm_redis_command_t *
perm_redis_client_send(perm_redis_client_t *redis, ngx_str_t *key,
    ngx_uint_t argc, ngx_str_t *argv, perm_redis_reply_pt handler, void *data)
{
    time_handler = handler;
    time_data = data;

    return &time_command;
}


void
perm_redis_command_cancel(perm_redis_command_t *command)
{
    check(command == &time_command);
}
