
/*
 * What replies mean: the slots of a cluster, MOVED and ASK, ROLE, a Sentinel's
 * master, grants, the time to live, advice.  Each reply of the input is read
 * as any of them.
 * sources: src/resp/reader.c src/resp/cluster.c src/resp/reply.c
 * sources: src/resp/advice.c src/resp/printable.c src/sync/grants_reply.c
 * sources: src/shm/health.c src/shm/tuple.c
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


/* of the logging of replies, which is not called */

uint32_t  *ngx_crc32_table_short;

static const perm_str_t  asked = perm_string("asked.example");


static void check_cluster(const redisReply *reply);
static void check_address(const perm_reply_address_t *address);
static void check_sentinel(const redisReply *reply);
static void check_grants(redisReply *reply);
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

        check_cluster(reply);

        redirect = perm_cluster_redirect(reply, asked);
        check(redirect.slot < PERM_CLUSTER_SLOTS);

        if (redirect.to.port) {
            check(redirect.kind != PERM_REDIRECT_NONE);
            check_address(&redirect.to);
        }

        if (perm_reply_role(reply, &role) != 0) {
            check(role == PERM_ROLE_UNKNOWN);
        }

        (void) perm_reply_role_linked(reply);

        check_sentinel(reply);
        check_grants(reply);
        check_error(reply);

        freeReplyObject(reply);
    }

    perm_reader_free(reader);

    return 0;
}


static void
check_cluster(const redisReply *reply)
{
    unsigned     i;
    const char  *error;

    static perm_cluster_slots_t  slots;

    error = perm_cluster_slots_parse(reply, asked, &slots);

    if (error != NULL) {
        check(*error != '\0');
        return;
    }

    check(slots.n >= 1 && slots.n <= PERM_CLUSTER_MASTERS_MAX);

    for (i = 0; i < slots.n; i++) {
        check_address(&slots.masters[i]);
    }

    for (i = 0; i < PERM_CLUSTER_SLOTS; i++) {
        check(slots.slots[i] <= slots.n);
    }
}


static void
check_address(const perm_reply_address_t *address)
{
    size_t  i;

    check(address->port >= 1 && address->port <= 65535);
    check(address->host.len >= 1 && address->host.len <= PERM_REPLY_HOST_MAX);

    for (i = 0; i < address->host.len; i++) {
        check(isalnum((unsigned char) address->host.data[i])
              || strchr("._-:", address->host.data[i]) != NULL);
        check(address->host.data[i] != '\0');
    }
}


static void
check_sentinel(const redisReply *reply)
{
    const char            *error;
    perm_reply_address_t   master;

    error = perm_reply_sentinel(reply, "unknown", &master);

    if (error == NULL) {
        check(reply->type == REDIS_REPLY_ARRAY);
        check_address(&master);
    }
}


static void
check_grants(redisReply *reply)
{
    int64_t         left;
    ngx_int_t       rc;
    ngx_uint_t      loaded;
    perm_grants_t   grants;

    rc = perm_grants_reply_parse(reply, &grants);

    if (rc == NGX_OK) {
        check(reply->elements == 2);
        check(grants.gateway >= PERM_GRANT_UNREADABLE
              && grants.gateway <= PERM_GRANT_EXPIRES_MAX
              && grants.resource >= PERM_GRANT_UNREADABLE
              && grants.resource <= PERM_GRANT_EXPIRES_MAX);
        check(!perm_grants_reply_too_long(reply, 0) || grants.gateway < 0);
        check(!perm_grants_reply_too_long(reply, 1) || grants.resource < 0);

    } else {
        check(rc == NGX_ERROR || reply->type == REDIS_REPLY_ERROR);
    }

    if (perm_grants_reply_left(reply, 5, &left) == NGX_OK) {
        check(left >= 0 && left <= PERM_GRANTS_ENDLESS);
        check(reply->integer == -1 || left == PERM_GRANTS_ENDLESS
              || left == ngx_max(reply->integer - 5, 0));
    }

    if (perm_grants_reply_loaded(reply, &loaded) == NGX_OK && loaded) {
        check(reply->type == REDIS_REPLY_STRING && reply->len == 1
              && reply->str[0] == '1');
    }
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
