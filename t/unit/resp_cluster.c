
/*
 * CLUSTER SLOTS, MOVED and ASK, as servers of several versions say them.
 * sources: src/resp/reply.c src/resp/cluster.c
 */


#include "resp.h"

#include "resp/cluster.h"


#define ID  "$40\r\nf128521d8c52ee61eec230bbfea5fe45b3157074\r\n"

/* the ranges of two masters, either one with what is given of it */

#define TWO(a, b)                                                             \
    "*2\r\n*3\r\n:0\r\n:8191\r\n" a "*3\r\n:8192\r\n:16383\r\n" b


static perm_cluster_slots_t  slots;
static perm_str_t            asked = perm_string("asked.example");


static void
two(const char *what, const char *bytes, const char *a, unsigned aport,
    const char *b, unsigned bport)
{
    int          good;
    redisReply  *reply;
    const char  *error;

    reply = replied(bytes);
    error = perm_cluster_slots_parse(reply, asked, &slots);

    good = error == NULL && slots.n == 2
           && is(slots.masters[0].host, a) && slots.masters[0].port == aport
           && is(slots.masters[1].host, b) && slots.masters[1].port == bport
           && slots.slots[0] == 1 && slots.slots[8191] == 1
           && slots.slots[8192] == 2 && slots.slots[16383] == 2;

    ok(good, "%s%s%s", what, error ? ": " : "", error ? error : "");

    freeReplyObject(reply);
}


static void
useless(const char *what, const char *bytes, const char *expected)
{
    redisReply  *reply;
    const char  *error;

    reply = replied(bytes);
    error = perm_cluster_slots_parse(reply, asked, &slots);

    ok(error != NULL && strstr(error, expected) != NULL, "%s: %s", what,
       error ? error : "taken");

    freeReplyObject(reply);
}


static void
test_versions(void)
{
    two("Redis 6.2", TWO("*3\r\n$9\r\n127.0.0.1\r\n:7901\r\n" ID,
                         "*3\r\n$9\r\n127.0.0.1\r\n:7902\r\n" ID),
        "127.0.0.1", 7901, "127.0.0.1", 7902);

    two("Redis 7.0", TWO("*4\r\n$9\r\n127.0.0.1\r\n:7901\r\n" ID "*0\r\n",
                         "*4\r\n$9\r\n127.0.0.1\r\n:7902\r\n" ID "*0\r\n"),
        "127.0.0.1", 7901, "127.0.0.1", 7902);

    two("Redis 8 with host names as metadata",
        TWO("*4\r\n$8\r\n10.0.0.1\r\n:6379\r\n" ID
            "*2\r\n$8\r\nhostname\r\n$10\r\na.internal\r\n",
            "*4\r\n$8\r\n10.0.0.2\r\n:6379\r\n" ID
            "*2\r\n$8\r\nhostname\r\n$10\r\nb.internal\r\n"),
        "10.0.0.1", 6379, "10.0.0.2", 6379);

    two("Valkey 8 with host names, and an availability zone",
        TWO("*4\r\n$14\r\nnode-1.example\r\n:6379\r\n" ID
            "*4\r\n$2\r\nip\r\n$8\r\n10.0.0.1\r\n"
            "$17\r\navailability-zone\r\n$10\r\nus-east-1a\r\n",
            "*4\r\n$14\r\nnode_2.example\r\n:6379\r\n" ID
            "*2\r\n$2\r\nip\r\n$8\r\n10.0.0.2\r\n"),
        "node-1.example", 6379, "node_2.example", 6379);

    two("IPv6", TWO("*3\r\n$3\r\n::1\r\n:7901\r\n" ID,
                    "*3\r\n$11\r\n2001:db8::1\r\n:7901\r\n" ID),
        "::1", 7901, "2001:db8::1", 7901);

    two("with replicas",
        "*2\r\n*5\r\n:0\r\n:8191\r\n*3\r\n$1\r\na\r\n:1\r\n" ID
        "*3\r\n$1\r\nr\r\n:9\r\n" ID "*3\r\n$1\r\ns\r\n:9\r\n" ID
        "*4\r\n:8192\r\n:16383\r\n*3\r\n$1\r\nb\r\n:2\r\n" ID
        "*3\r\n$1\r\nr\r\n:9\r\n" ID,
        "a", 1, "b", 2);

    two("a master twice",
        "*3\r\n*3\r\n:0\r\n:99\r\n*2\r\n$1\r\na\r\n:1\r\n"
        "*3\r\n:8192\r\n:16383\r\n*2\r\n$1\r\nb\r\n:2\r\n"
        "*3\r\n:100\r\n:8191\r\n*2\r\n$1\r\na\r\n:1\r\n",
        "a", 1, "b", 2);
}


static void
test_hosts(void)
{
    two("a node that does not know its host: \"\"",
        TWO("*4\r\n$0\r\n\r\n:7901\r\n" ID "*0\r\n",
            "*4\r\n$1\r\nb\r\n:7902\r\n" ID "*0\r\n"),
        "asked.example", 7901, "b", 7902);

    ok(slots.masters[0].host.data == asked.data, "... is the one asked itself");

    two("unknown-endpoint: NULL",
        TWO("*4\r\n$-1\r\n:7901\r\n" ID "*2\r\n$2\r\nip\r\n$8\r\n10.0.0.1\r\n",
            "*4\r\n$-1\r\n:7902\r\n" ID "*2\r\n$2\r\nip\r\n$8\r\n10.0.0.2\r\n"),
        "asked.example", 7901, "asked.example", 7902);

    two("a host name that is missing: ?, and the address of the node",
        TWO("*4\r\n$1\r\n?\r\n:7901\r\n" ID "*2\r\n$2\r\nip\r\n$8\r\n10.0.0.1\r\n",
            "*4\r\n$1\r\n?\r\n:7902\r\n" ID
            "*4\r\n$8\r\nhostname\r\n$0\r\n\r\n$2\r\nip\r\n$3\r\n::1\r\n"),
        "10.0.0.1", 7901, "::1", 7902);

    two("... without an address",
        TWO("*4\r\n$1\r\n?\r\n:7901\r\n" ID "*0\r\n",
            "*3\r\n$1\r\n?\r\n:7902\r\n" ID),
        "asked.example", 7901, "asked.example", 7902);

    two("... with a half one",
        TWO("*4\r\n$1\r\n?\r\n:7901\r\n" ID "*1\r\n$2\r\nip\r\n",
            "*4\r\n$1\r\n?\r\n:7902\r\n" ID "*2\r\n$2\r\nip\r\n:7\r\n"),
        "asked.example", 7901, "asked.example", 7902);

    useless("... with a bad one",
            TWO("*4\r\n$1\r\n?\r\n:7901\r\n" ID
                "*2\r\n$2\r\nip\r\n$3\r\na b\r\n",
                "*2\r\n$1\r\nb\r\n:2\r\n"),
            "something unknown");
}


static void
test_useless(void)
{
    size_t  i;
    char    bytes[256];

    static const char *const  bad[] = {
        ":1\r\n", "*0\r\n", "*2\r\n:0\r\n:1\r\n",
        "*3\r\n:0\r\n:1\r\n$1\r\na\r\n",
        "*3\r\n:0\r\n:1\r\n*1\r\n$1\r\na\r\n",
        "*3\r\n:0\r\n:1\r\n*2\r\n:1\r\n:1\r\n",
        "*3\r\n:0\r\n:1\r\n*2\r\n*0\r\n:1\r\n",
        "*3\r\n:0\r\n:1\r\n*2\r\n$1\r\na\r\n$1\r\n1\r\n",
        "*3\r\n:0\r\n:1\r\n*2\r\n$1\r\na\r\n:0\r\n",
        "*3\r\n:0\r\n:1\r\n*2\r\n$1\r\na\r\n:-1\r\n",
        "*3\r\n:0\r\n:1\r\n*2\r\n$1\r\na\r\n:65536\r\n",
        "*3\r\n:0\r\n:1\r\n*2\r\n$1\r\na\r\n:4294967297\r\n",
        "*3\r\n:0\r\n:1\r\n*2\r\n$3\r\na b\r\n:1\r\n",
        "*3\r\n:0\r\n:1\r\n*2\r\n$2\r\na\n\r\n:1\r\n",
        "*3\r\n:0\r\n:1\r\n*2\r\n$3\r\na/b\r\n:1\r\n",
        "*3\r\n:0\r\n:1\r\n*2\r\n$5\r\n[::1]\r\n:1\r\n",
        "*3\r\n:0\r\n:1\r\n*2\r\n$2\r\n\xc3\xa9\r\n:1\r\n",
        "*3\r\n:-1\r\n:1\r\n*2\r\n$1\r\na\r\n:1\r\n",
        "*3\r\n:2\r\n:1\r\n*2\r\n$1\r\na\r\n:1\r\n",
        "*3\r\n:0\r\n:16384\r\n*2\r\n$1\r\na\r\n:1\r\n",
        "*3\r\n$1\r\n0\r\n:1\r\n*2\r\n$1\r\na\r\n:1\r\n"
    };

    useless("no right", "-NOPERM this user has no permissions\r\n",
            "no right to CLUSTER SLOTS");
    useless("no cluster", "-ERR This instance has cluster support disabled\r\n",
            "is it a node of a cluster?");
    useless("another type", "+OK\r\n", "unexpected answer");
    useless("nil", "$-1\r\n", "unexpected answer");
    useless("no slots", "*0\r\n", "no slot of the cluster is assigned");

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        snprintf(bytes, sizeof(bytes),
                 "*2\r\n*3\r\n:2\r\n:3\r\n*2\r\n$1\r\nb\r\n:1\r\n%s", bad[i]);
        useless("garbage", bytes, "something unknown");
    }
}


static void
test_many(void)
{
    char        *bytes, *p;
    unsigned     i;

    bytes = malloc(64 * (PERM_CLUSTER_MASTERS_MAX + 2));
    p = bytes + sprintf(bytes, "*%d\r\n", PERM_CLUSTER_MASTERS_MAX + 1);

    for (i = 0; i <= PERM_CLUSTER_MASTERS_MAX; i++) {
        p += sprintf(p, "*3\r\n:%u\r\n:%u\r\n*2\r\n$1\r\na\r\n:%u\r\n", i, i,
                     i + 1);
    }

    useless("too many masters", bytes, "something unknown");

    free(bytes);
}


static void
sent(const char *bytes, perm_redirect_kind_t kind, unsigned slot,
    const char *host, unsigned port)
{
    redisReply       *reply;
    perm_redirect_t   redirect;

    reply = replied(bytes);
    redirect = perm_cluster_redirect(reply, asked);

    ok(redirect.kind == kind && redirect.to.port == port
       && (port == 0
           || (redirect.slot == slot && is(redirect.to.host, host))),
       "%.*s", (int) strcspn(bytes, "\r"), bytes);

    freeReplyObject(reply);
}


static void
test_redirect(void)
{
    size_t  i;
    char    bytes[512];

    static const char *const  bad[] = {
        "", " ", " 1", " 1 ", " 1 a", " 1 a:", " 1 a:0", " 1 a:65536",
        " 1 a:99999999999999999999", " 1 a:-1", " 1 a:+1", " 1 a: 1",
        " 1 a:1 ", " 1 a:1x", " 1 a b:1", " 1 a\x1b[2J:1", " 1 \x80:1",
        " 1 [::1]:1", " 1 a/b:1", " x a:1", " -1 a:1", " 16384 a:1",
        " 99999999999999999999 a:1", "  1 a:1", " 1a:1"
    };

    sent("-MOVED 3999 127.0.0.1:6381\r\n", PERM_REDIRECT_MOVED, 3999,
         "127.0.0.1", 6381);
    sent("-ASK 0 127.0.0.1:65535\r\n", PERM_REDIRECT_ASK, 0, "127.0.0.1",
         65535);
    sent("-MOVED 16383 ::1:6381\r\n", PERM_REDIRECT_MOVED, 16383, "::1", 6381);
    sent("-ASK 1 2001:db8::1:1\r\n", PERM_REDIRECT_ASK, 1, "2001:db8::1", 1);
    sent("-MOVED 15495 node-2.example:7902\r\n", PERM_REDIRECT_MOVED, 15495,
         "node-2.example", 7902);
    sent("-MOVED 15495 :7902\r\n", PERM_REDIRECT_MOVED, 15495, "asked.example",
         7902);
    sent("-ASK 15495 ?:7902\r\n", PERM_REDIRECT_ASK, 15495, "asked.example",
         7902);

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        snprintf(bytes, sizeof(bytes), "-MOVED%s\r\n", bad[i]);
        sent(bytes, PERM_REDIRECT_MOVED, 0, "", 0);
    }

    snprintf(bytes, sizeof(bytes), "-ASK 1 %0256d:1\r\n", 0);
    sent(bytes, PERM_REDIRECT_ASK, 0, "", 0);

    sent("-MOVEDTO 1 a:1\r\n", PERM_REDIRECT_NONE, 0, "", 0);
    sent("-ERR MOVED 1 a:1\r\n", PERM_REDIRECT_NONE, 0, "", 0);
    sent("+MOVED 1 a:1\r\n", PERM_REDIRECT_NONE, 0, "", 0);
    sent("$10\r\nASK 1 a:1 \r\n", PERM_REDIRECT_NONE, 0, "", 0);
    sent("*0\r\n", PERM_REDIRECT_NONE, 0, "", 0);
}


int
main(void)
{
    test_versions();
    test_hosts();
    test_useless();
    test_many();
    test_redirect();

    return done();
}
