
/* names, keys, slots, Redis URLs, and the decision without Redis */

#include "core/decision.h"
#include "core/grant_key.h"
#include "core/redis_url.h"
#include "tap.h"


static void
names(void)
{
    char        text[300];
    int         c, good;
    perm_str_t  name;

    for (c = 0; c < 256; c++) {
        text[0] = 'a';
        text[1] = (char) c;
        name.data = text;
        name.len = 2;
        good = c && strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                           "0123456789._~@/+-", c) != NULL;

        if (perm_name_app_valid(name) != good
            || perm_name_gateway_valid(name) != good
            || perm_name_resource_valid(name) != good)
        {
            break;
        }
    }

    ok(c == 256, "every byte of a name");

    memset(text, 'x', sizeof(text));
    name.data = text;

    name.len = 64;
    ok(perm_name_gateway_valid(name), "the longest gateway");
    name.len = 65;
    ok(!perm_name_gateway_valid(name), "one byte more");
    name.len = 128;
    ok(perm_name_app_valid(name), "the longest app");
    name.len = 129;
    ok(!perm_name_app_valid(name), "one byte more");
    name.len = 256;
    ok(perm_name_resource_valid(name), "the longest resource");
    name.len = 257;
    ok(!perm_name_resource_valid(name), "one byte more");

    ok(!perm_name_app_valid(str("")), "no name");
    ok(!perm_name_resource_valid(str("-")), "the whole gateway is no resource");
    ok(perm_name_app_valid(str("-")), "an app may be called so");
}


static void
keys(void)
{
    char         text[PERM_KEY_MAX], g[PERM_GATEWAY_MAX], a[PERM_APP_MAX];
    char         p[PERM_PREFIX_MAX];
    size_t       len;
    perm_str_t   key, gateway, app, prefix, other;

    len = perm_grant_key(text, PERM_KEY_GRANTS, str("p:"), str("g"), str("a"));
    ok(strcmp(text, "p:grants:{g:a}") == 0 && len == strlen(text), "%s", text);

    len = perm_grant_key_meta(text, str("p:"));
    ok(strcmp(text, "p:meta") == 0 && len == 6, "%s", text);

    memset(g, 'g', sizeof(g));
    memset(a, 'a', sizeof(a));
    memset(p, 'p', sizeof(p));
    gateway.data = g;
    gateway.len = sizeof(g);
    app.data = a;
    app.len = sizeof(a);
    prefix.data = p;
    prefix.len = sizeof(p);

    key.data = text;
    key.len = perm_grant_key(text, PERM_KEY_ACCESS, prefix, gateway, app);
    ok(key.len < PERM_KEY_MAX, "the longest key fits");

    ok(perm_grant_key_parse(key, PERM_KEY_ACCESS, prefix, &other, &app)
       && other.len == sizeof(g) && app.len == sizeof(a), "and comes apart");
    ok(!perm_grant_key_parse(key, PERM_KEY_GRANTS, prefix, &other, &app),
       "as what it is only");

    ok(!perm_grant_key_parse(str("p:grants:{ga}"), PERM_KEY_GRANTS, str("p:"),
                             &gateway, &app), "no colon");
    ok(!perm_grant_key_parse(str("p:grants:{:a}"), PERM_KEY_GRANTS, str("p:"),
                             &gateway, &app), "no gateway");
    ok(!perm_grant_key_parse(str("p:grants:{g:a:b}"), PERM_KEY_GRANTS,
                             str("p:"), &gateway, &app), "two colons");
    ok(!perm_grant_key_parse(str("p:grants:{g:a"), PERM_KEY_GRANTS, str("p:"),
                             &gateway, &app), "no end");
    ok(!perm_grant_key_parse(str("p:grants:{"), PERM_KEY_GRANTS, str("p:"),
                             &gateway, &app), "nothing");
    ok(!perm_grant_key_parse(str(""), PERM_KEY_GRANTS, str("p:"), &gateway,
                             &app), "nothing at all");

    /* of the cluster specification, and of CLUSTER KEYSLOT */

    ok(perm_grant_key_slot(str("123456789")) == 12739, "slot of 123456789");
    ok(perm_grant_key_slot(str("foo")) == 12182, "slot of foo");
    ok(perm_grant_key_slot(str("{user1000}.following"))
       == perm_grant_key_slot(str("user1000")), "the hash tag");
    ok(perm_grant_key_slot(str("foo{}{bar}"))
       != perm_grant_key_slot(str("bar")),
       "an empty one is none");
    ok(perm_grant_key_slot(str("foo{{bar}}zap"))
       == perm_grant_key_slot(str("{bar")),
       "to the first closing brace");

    ok(perm_grant_key_prefix_valid(str("")), "no prefix");
    ok(perm_grant_key_prefix_valid(str("a:b/c-")), "a prefix");
    ok(!perm_grant_key_prefix_valid(str("a{b")), "a brace is none");
    ok(!perm_grant_key_prefix_valid(str("a*")), "a glob is none");
    ok(!perm_grant_key_prefix_valid(str("a b")), "a blank is none");
    ok(!perm_grant_key_prefix_valid(str("\xc3\xa9")), "a letter is none");
}


static void
url_is(const char *text, perm_redis_kind_t kind, unsigned tls,
    const char *user, const char *password, unsigned nhosts,
    const char *host, unsigned port, unsigned db)
{
    perm_redis_url_t  url;
    const char       *wrong;

    wrong = perm_redis_url_parse(str(text), &url);

    ok(wrong == NULL && url.kind == kind && url.tls == tls && url.db == db
       && url.nhosts == nhosts
       && strcmp(url.user.len ? url.user.data : "", user) == 0
       && strcmp(url.password.len ? url.password.data : "", password) == 0
       && (nhosts == 0 || (strcmp(url.hosts[nhosts - 1].name.data, host) == 0
                           && url.hosts[nhosts - 1].port == port))
       && (kind != PERM_REDIS_UNIX || strcmp(url.path.data, host) == 0),
       "%s%s%s", text, wrong ? ": " : "", wrong ? wrong : "");
}


static void
url_wrong(const char *text, const char *part)
{
    perm_redis_url_t  url;
    const char       *wrong;

    wrong = perm_redis_url_parse(str(text), &url);

    ok(wrong != NULL && strstr(wrong, part) != NULL, "%s: %s", text,
       wrong ? wrong : "taken");
}


static void
urls(void)
{
    url_is("redis://h", PERM_REDIS_SINGLE, 0, "", "", 1, "h", 6379, 0);
    url_is("rediss://u:p%40%2F@h:1/2", PERM_REDIS_SINGLE, 1, "u", "p@/", 1,
           "h", 1, 2);
    url_is("redis://:a@b@h", PERM_REDIS_SINGLE, 0, "", "a@b", 1, "h", 6379, 0);
    url_is("redis://:@h", PERM_REDIS_SINGLE, 0, "", "", 1, "h", 6379, 0);
    url_is("redis://u@h", PERM_REDIS_SINGLE, 0, "u", "", 1, "h", 6379, 0);
    url_is("redis://u:a:b%25c@h", PERM_REDIS_SINGLE, 0, "u", "a:b%c", 1, "h",
           6379, 0);
    url_is("unix:/a?", PERM_REDIS_UNIX, 0, "", "", 0, "/a", 0, 0);
    url_is("redis://[::1]:7/", PERM_REDIS_SINGLE, 0, "", "", 1, "::1", 7, 0);
    url_is("unix:/a%20b?db=3", PERM_REDIS_UNIX, 0, "", "", 0, "/a b", 0, 3);
    url_is("redis+sentinel://:s@a:1,b/m/4", PERM_REDIS_SENTINEL, 0, "", "s", 2,
           "b", 26379, 4);
    url_is("redis+sentinel://a/m@n", PERM_REDIS_SENTINEL, 0, "", "", 1, "a",
           26379, 0);
    url_is("rediss+cluster://a,b:2,[::2]:3", PERM_REDIS_CLUSTER, 1, "", "", 3,
           "::2", 3, 0);
    url_is("redis+cluster://a/0", PERM_REDIS_CLUSTER, 0, "", "", 1, "a", 6379,
           0);

    url_wrong("", "begins with none");
    url_wrong("http://h", "begins with none");
    url_wrong("redis://", "no host");
    url_wrong("redis://:6379", "no host");
    url_wrong("redis://h:", "no port");
    url_wrong("redis://h:0", "port");
    url_wrong("redis://h:65536", "port");
    url_wrong("redis://h:+1", "port");
    url_wrong("redis://h/x", "database");
    url_wrong("redis://a,b", "several hosts");
    url_is("redis+cluster://a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p",
           PERM_REDIS_CLUSTER, 0, "", "", 16, "p", 6379, 0);
    url_wrong("redis+cluster://a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q",
              "more than 16 hosts");
    url_wrong("redis://[::1", "]");
    url_wrong("redis://[::1]x", "]");
    url_wrong("redis://[zz]:1", "no IPv6 address");
    url_wrong("redis://::1", "no host");
    url_wrong("redis://:a/b@h:1", "%2F");
    url_wrong("redis://u:%zz@h", "password");
    url_wrong("redis://u:%00@h", "password");
    url_wrong("redis://u:%a@h", "password");
    url_wrong("redis://%@h", "user name");
    url_wrong("redis://h:1:2", "port");
    url_wrong("redis://h:1234567890", "port");
    url_wrong("redis://h /0", "no host name has");
    url_wrong("redis+sentinel://a/", "no master name");
    url_wrong("redis+sentinel://a/%", "in the master name");
    url_wrong("unix:/a%2", "in the path");
    url_wrong("unix:/a?db=", "database");
    url_wrong("redis+cluster://a,", "no host after the last");
    url_wrong("redis+cluster://a,,b", "no host");
    url_wrong("redis+cluster://,a", "no host");
    url_wrong("redis+cluster://a/1", "only database 0");
    url_wrong("redis+sentinel://a,/m", "no host after the last");
    url_wrong("redis+sentinel://a", "no master name");
    url_wrong("unix:relative", "absolute path");
    url_wrong("unix:/a?x=1", "db=");
}


/* the longest URL, which ends in the middle of an escape */

static void
long_urls(void)
{
    char              text[PERM_REDIS_URL_MAX + 1];
    perm_str_t        bytes;
    perm_redis_url_t  url;

    memset(text, 'x', sizeof(text));
    memcpy(text, "redis+sentinel://a/", 19);
    bytes.data = text;

    bytes.len = PERM_REDIS_URL_MAX;
    text[bytes.len - 1] = '%';
    ok(strcmp(perm_redis_url_parse(bytes, &url),
              "bad percent-encoding in the master name") == 0, "cut off");

    text[bytes.len - 1] = 'x';
    ok(perm_redis_url_parse(bytes, &url) == NULL, "the longest URL");

    bytes.len++;
    ok(perm_redis_url_parse(bytes, &url) != NULL, "one byte more");

    bytes.data = "redis://h\0";
    bytes.len = 10;
    ok(perm_redis_url_parse(bytes, &url) != NULL, "a NUL");
}


static void
decides(int64_t gateway, int64_t resource, perm_outcome_t outcome,
    perm_reason_t reason)
{
    perm_grants_t    grants;
    perm_decision_t  decision;

    grants.gateway = gateway;
    grants.resource = resource;
    grants.left = 0;
    decision = perm_decision_make(&grants, 1000);

    ok(decision.reason == PERM_NO_GRANT && decision.expires < 0
       && !perm_decision_allows(grants, 1000),
       "gateway %lld, resource %lld: absent with their key",
       (long long) gateway, (long long) resource);

    grants.left = 4001;
    decision = perm_decision_make(&grants, 1000);

    ok(decision.outcome == outcome && decision.expires <= 1005,
       "gateway %lld, resource %lld: end with their key",
       (long long) gateway, (long long) resource);

    grants.left = PERM_GRANTS_ENDLESS;
    decision = perm_decision_make(&grants, 1000);

    ok(decision.outcome == outcome && decision.reason == reason,
       "gateway %lld, resource %lld: %s", (long long) gateway,
       (long long) resource, perm_decision_reason_name(decision.reason));
}


static void
decisions(void)
{
    const int64_t  none = PERM_GRANT_ABSENT, bad = PERM_GRANT_UNREADABLE;

    decides(1001, none, PERM_ALLOW, PERM_GATEWAY_GRANT);
    decides(1001, 1, PERM_ALLOW, PERM_GATEWAY_GRANT);
    decides(1001, bad, PERM_ALLOW, PERM_GATEWAY_GRANT);
    decides(1001, 2000, PERM_ALLOW, PERM_GATEWAY_GRANT);
    decides(none, 1001, PERM_ALLOW, PERM_RESOURCE_GRANT);
    decides(1000, 1001, PERM_ALLOW, PERM_RESOURCE_GRANT);
    decides(bad, 1001, PERM_ALLOW, PERM_RESOURCE_GRANT);
    decides(none, none, PERM_DENY, PERM_NO_GRANT);
    decides(bad, bad, PERM_DENY, PERM_NO_GRANT);
    decides(1000, none, PERM_DENY, PERM_GATEWAY_GRANT_EXPIRED);
    decides(0, bad, PERM_DENY, PERM_GATEWAY_GRANT_EXPIRED);
    decides(none, 1000, PERM_DENY, PERM_RESOURCE_GRANT_EXPIRED);
    decides(1000, 1000, PERM_DENY, PERM_RESOURCE_GRANT_EXPIRED);
    decides(bad, 0, PERM_DENY, PERM_RESOURCE_GRANT_EXPIRED);
    decides(PERM_GRANT_PERMANENT, none, PERM_ALLOW, PERM_GATEWAY_GRANT);
}


int
main(void)
{
    names();
    keys();
    urls();
    long_urls();
    decisions();

    return done();
}
