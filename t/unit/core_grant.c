
/* grant values: what is readable, what a rewrite keeps */

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "core/grant.h"
#include "core/json.h"
#include "core/request.h"
#include "tap.h"


typedef struct {
    const char  *value;
    int64_t      expires;
} perm_case_t;


#define UNREADABLE  PERM_GRANT_UNREADABLE


static const perm_case_t  cases[] = {
    { "1800000000", 1800000000 },
    { " \t\r\n1800000000\n ", 1800000000 },
    { "0", 0 },
    { "-0", 0 },
    { "0.1", 1 },
    { "1800000000.000", 1800000000 },
    { "1800000000.25", 1800000001 },
    { "1.8e9", 1800000000 },
    { "18E+8", 1800000000 },
    { "180000000000e-2", 1800000000 },
    { "1800000000.00000000000000000000000000000000000000000", 1800000000 },
    { "253402300799", PERM_GRANT_EXPIRES_MAX },
    { "253402300798.5", PERM_GRANT_EXPIRES_MAX },
    { "{\"expires\":253402300799}", PERM_GRANT_EXPIRES_MAX },
    { "{\"expires\":1800000000}", 1800000000 },
    { "{ \"a\" : [1,{\"expires\":1}] , \"expires\" : 5 }", 5 },
    { "{\"\\u0065xpires\":7}", 7 },
    { "{\"expires\":9,\"note\":\"\\u0000\"}", 9 },
    { "{\"expires\":9,\"Expires\":1}", 9 },
    { "{\"expires\":9,\"note\":\"\xe6\x9d\x83\xe9\x99\x90\"}", 9 },

    { "", UNREADABLE },
    { " ", UNREADABLE },
    { "null", UNREADABLE },
    { "true", UNREADABLE },
    { "\"1800000000\"", UNREADABLE },
    { "[1800000000]", UNREADABLE },
    { "{}", UNREADABLE },
    { "-1", UNREADABLE },
    { "253402300800", UNREADABLE },
    { "253402300799.5", UNREADABLE },
    { "1800000000000", UNREADABLE },
    { "1e308", UNREADABLE },
    { "1e309", UNREADABLE },
    { "-1e309", UNREADABLE },
    { "1e999999999999999999", UNREADABLE },
    { "99999999999999999999999999999999999999999999999999999999", UNREADABLE },
    { "NaN", UNREADABLE },
    { "Infinity", UNREADABLE },
    { "nan", UNREADABLE },
    { ".5", UNREADABLE },
    { "+1", UNREADABLE },
    { "0x10", UNREADABLE },
    { "1e", UNREADABLE },
    { "1e+", UNREADABLE },
    { "-", UNREADABLE },
    { "1 2", UNREADABLE },
    { "1,", UNREADABLE },
    { ",", UNREADABLE },
    { "\xef\xbb\xbf" "1800000000", UNREADABLE },
    { " \xef\xbb\xbf" "1800000000", UNREADABLE },
    { "{\"expires\":+1}", UNREADABLE },
    { "{\"expires\":-1}", UNREADABLE },
    { "{\"expires\":1e999}", UNREADABLE },
    { "{\"expires\":253402300800}", UNREADABLE },
    { "{\"expires\":\"1\"}", UNREADABLE },
    { "{\"expires\":null}", UNREADABLE },
    { "{\"expires\":true}", UNREADABLE },
    { "{\"expires\":{}}", UNREADABLE },
    { "{\"Expires\":1}", UNREADABLE },
    { "{\"expires\":1", UNREADABLE },
    { "{\"expires\":1,", UNREADABLE },
    { "{\"expires\":1,}", UNREADABLE },
    { "{\"expires\":1}}", UNREADABLE },
    { "{\"expires\":1} x", UNREADABLE },
    { "{expires:1}", UNREADABLE },
    { "{'expires':1}", UNREADABLE },
    { "{\"expires\" 1}", UNREADABLE },
    { "{\"expires\":1 \"a\":2}", UNREADABLE },
    { "{\"expires\":1,\"a\":\"\\x\"}", UNREADABLE },
    { "{\"expires\":1,\"a\":\"\\ud800\"}", UNREADABLE },
    { "{\"expires\":1,\"a\":tru}", UNREADABLE },
    { "{\"expires\":1,\"a\":[1,]}", UNREADABLE },
    { "{\"expires\":1,\"a\":\"", UNREADABLE },
    { "{\"expires\":1,\"a\":\"\\", UNREADABLE },
    { "{\"expires\":1}//", UNREADABLE },

    /* what cJSON is generous with */

    { "01", 1 },
    { "1.", 1 },
    { "\v1800000000\x01", 1800000000 },
    { "{\"expires\":1,\"expires\":2}", 1 },
    { "{\"expires\":1,\"expires\":null}", 1 },
    { "{\"expires\\u0000x\":1}", 1 },
    { "{\"expires\":1,\"a\":\"\n\x01\"}", 1 },
    { "{\"expires\":1,\"a\":\"\\u12g4\"}", 1 },
    { "{\"expires\":1,\"a\":\"\xff\xc0\x80\"}", 1 }
};


static void
readable(void)
{
    size_t      i;
    char       *copy;
    perm_str_t  value;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {

        /* not one byte more than the value, for the memory checkers */

        value.len = strlen(cases[i].value);
        copy = malloc(value.len ? value.len : 1);
        memcpy(copy, cases[i].value, value.len);
        value.data = copy;

        ok(perm_grant_expires(value) == cases[i].expires, "value %zu", i);

        free(copy);
    }

    value.data = "1800000000";
    value.len = 11;
    ok(perm_grant_expires(value) == UNREADABLE, "a NUL after the number");

    value.data = "{\"expires\0\":1}";
    value.len = 14;
    ok(perm_grant_expires(value) == UNREADABLE, "a NUL in a name");
}


/* as deep as cJSON goes, on the stack of a small thread */

static void *
deep(void *data)
{
    char        *text;
    char        *value;
    unsigned     levels;
    perm_str_t   v;

    static const perm_grant_change_t  change = { 2, -1, NULL, NULL, 0 };

    levels = *(unsigned *) data;
    text = malloc(2 * levels + 64);
    v.data = text;
    v.len = sprintf(text, "{\"expires\":1,\"a\":");
    memset(text + v.len, '[', levels - 1);
    memset(text + v.len + levels - 1, ']', levels - 1);
    v.len += 2 * (levels - 1);
    text[v.len++] = '}';

    if (perm_grant_expires(v) == 1) {
        value = perm_grant_rewrite(v, &change);
        text[sizeof("{\"expires\":") - 1] = '2';
        *(unsigned *) data = strncmp(value, text, v.len) == 0
                             && value[v.len] == '\0'
                             && perm_grant_expires(str(value)) == 2;
        free(value);

    } else {
        *(unsigned *) data = 0;
    }

    free(text);

    return NULL;
}


static void
depth(unsigned levels, int good)
{
    unsigned        result;
    pthread_t       thread;
    pthread_attr_t  attr;

    result = levels;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 512 * 1024);

    ok(pthread_create(&thread, &attr, deep, &result) == 0
       && pthread_join(thread, NULL) == 0 && (int) result == good,
       "%u levels deep: %s", levels,
       good ? "readable, and kept" : "not readable");
}


static void
rewritten(const char *old, int64_t expires, const char *type,
    int64_t granted, const char *expected)
{
    char                 *value;
    perm_grant_change_t   change = { expires, granted, type, NULL, 0 };

    value = perm_grant_rewrite(str(old), &change);

    ok(strcmp(value, expected) == 0, "rewritten: %s", value);
    ok(perm_grant_expires(str(value)) == expires, "and readable");

    free(value);
}


static void
details(const char *value, const char *type, int64_t granted)
{
    perm_grant_details_t  got;

    perm_grant_details(str(value), &got);

    ok(strcmp(got.type, type) == 0 && got.grant.granted == granted,
       "details of %s", value);
}


/* what the rules and people read besides the end */

static void
members(void)
{
    char                  text[PERM_GRANT_TEXT_SIZE + 64], *value;
    perm_str_t            none = { 0, NULL };
    perm_grant_details_t  got;
    perm_grant_change_t   change = { 5, 3, "apply", "x \"y\"", 1 };

    ok(perm_grant_read(none).expires == PERM_GRANT_ABSENT, "absent");
    ok(perm_grant_read(str("")).expires == PERM_GRANT_UNREADABLE, "empty");
    ok(perm_grant_read(str("7")).renew == 1, "a number is renewed");
    ok(perm_grant_read(str("{\"expires\":1,\"renew\":false}")).renew == 0,
       "renew false");
    ok(perm_grant_read(str("{\"expires\":1,\"renew\":true}")).renew == 1,
       "renew true");
    ok(perm_grant_read(str("{\"expires\":1,\"renew\":0}")).renew == 1
       && perm_grant_read(str("{\"expires\":1,\"renew\":\"false\"}")).renew
          == 1, "only false is false");

    value = perm_grant_rewrite(str("{\"expires\":1,\"by\":7,\"n\":1}"),
                               &change);
    ok(strcmp(value, "{\"expires\":5,\"by\":\"x \\\"y\\\"\",\"n\":1,"
                     "\"type\":\"apply\",\"granted\":3,\"renew\":false}")
       == 0, "%s", value);
    perm_grant_details(str(value), &got);
    ok(strcmp(got.by, "x \"y\"") == 0 && !got.grant.renew
       && got.grant.granted == 3 && got.grant.expires == 5, "read again");

    change.by = "";
    free(value);
    value = perm_grant_rewrite(str("{\"expires\":1,\"by\":\"me\"}"), &change);
    perm_grant_details(str(value), &got);
    ok(got.by[0] == '\0', "nobody: %s", value);
    free(value);

    sprintf(text, "{\"expires\":1,\"by\":\"%0*d\"}",
            (int) PERM_GRANT_TEXT_SIZE - 1, 0);
    perm_grant_details(str(text), &got);
    ok(strlen(got.by) == PERM_GRANT_TEXT_SIZE - 1, "the longest");
    sprintf(text, "{\"expires\":1,\"by\":\"%0*d\"}",
            (int) PERM_GRANT_TEXT_SIZE, 0);
    perm_grant_details(str(text), &got);
    ok(got.by[0] == '\0' && got.grant.expires == 1, "one byte more");
}


static void
longest(void)
{
    char        *text;
    perm_str_t   value;

    text = malloc(PERM_GRANT_VALUE_MAX + 1);
    memset(text, ' ', PERM_GRANT_VALUE_MAX + 1);
    text[0] = '7';
    value.data = text;

    value.len = PERM_GRANT_VALUE_MAX;
    ok(perm_grant_expires(value) == 7, "64 KiB are readable");
    value.len++;
    ok(perm_grant_expires(value) == PERM_GRANT_UNREADABLE, "a byte more is not");

    free(text);
}


/* each allocation of cJSON fails once: nothing else may come of that */

static long  left;


static void *
allocate(size_t size)
{
    if (--left == 0) {
        errno = ENOMEM;
        return NULL;
    }

    return malloc(size);
}


/* as malloc() of glibc, where brk() fails and mmap() does not */

static void *
allocate_late(size_t size)
{
    void  *p;

    p = malloc(size);
    errno = ENOMEM;

    return p;
}


static void
memory_late(void)
{
    cJSON_Hooks  hooks = { allocate_late, free };

    cJSON_InitHooks(&hooks);

    ok(perm_grant_expires(str("7")) == 7, "memory that comes late is memory");
    ok(perm_grant_expires(str("7 x")) == UNREADABLE, "an odd value is odd");
    ok(perm_request_read(str("{\"status\":\"x\"}")).status
       == PERM_REQUEST_UNREADABLE && errno == 0, "and so is an odd request");

    cJSON_InitHooks(NULL);
}


static void
memory(void)
{
    int                   n, unread, refused, wrong;
    char                 *value;
    perm_str_t            old, request;
    cJSON_Hooks           hooks = { allocate, free };
    perm_grant_change_t   change;

    old = str("{\"expires\":7,\"note\":\"kept\",\"more\":[1,{}]}");
    request = str("{\"status\":\"pending\"}");
    memset(&change, 0, sizeof(perm_grant_change_t));
    change.expires = 9;
    change.granted = -1;

    cJSON_InitHooks(&hooks);
    unread = 0;
    refused = 0;
    wrong = 0;

    for (n = 1; n < 100; n++) {
        left = n;

        switch (perm_grant_expires(old)) {

        case 7:
            break;

        case PERM_GRANT_NO_MEMORY:
            unread++;
            break;

        default:
            wrong++;
        }

        left = n;
        value = perm_grant_rewrite(old, &change);

        if (value == NULL) {
            refused++;

        } else {
            wrong += (strcmp(value, "{\"expires\":9,\"note\":\"kept\","
                             "\"more\":[1,{}]}") != 0);
            free(value);
        }

        left = n;

        if (perm_request_read(request).status != PERM_REQUEST_PENDING) {
            wrong += (errno != ENOMEM);
        }
    }

    ok(wrong == 0, "without memory nothing is taken for unreadable");
    ok(unread >= 9, "%d times a grant is not read", unread);
    ok(refused >= 2 * unread, "%d times it is not rewritten", refused);

    errno = ENOMEM;
    ok(perm_grant_expires(str("{")) == UNREADABLE, "an error of before");
    errno = ENOMEM;
    ok(perm_json_parse(str("")) == NULL && errno == 0, "no text");

    cJSON_InitHooks(NULL);
}


int
main(void)
{
    readable();
    members();
    longest();

    depth(64, 1);
    depth(CJSON_NESTING_LIMIT, 1);
    depth(CJSON_NESTING_LIMIT + 1, 0);
    depth(30000, 0);

    rewritten("", 5, NULL, -1, "{\"expires\":5}");
    rewritten("1", 5, "apply", 3,
              "{\"expires\":5,\"type\":\"apply\",\"granted\":3}");
    rewritten("{\"expires\":1}", 5, NULL, -1, "{\"expires\":5}");
    rewritten("{ \"n\" : 12345678901234567890 , \"expires\" : 1 }", 5, "renew",
              -1,
              "{\"n\":12345678901234567890,\"expires\":5,\"type\":\"renew\"}");
    rewritten("{\"a\":\"\\u0000,}\",\"\\u0065xpires\":1,\"z\":[ 1.10, {} ]}",
              5, NULL, -1,
              "{\"a\":\"\\u0000,}\",\"\\u0065xpires\":5,\"z\":[ 1.10, {} ]}");
    rewritten("{\"expires\":1,\"type\":\"a\",\"type\":7}", 5, "b", -1,
              "{\"expires\":5,\"type\":\"b\"}");
    rewritten("{\"expires\":1,\"expires\":2}", 5, NULL, -1, "{\"expires\":5}");
    rewritten("{\"expires\":1,\"n\":1e400,\"n\":0.1,\"m\":-0}", 5, NULL, -1,
              "{\"expires\":5,\"n\":1e400,\"n\":0.1,\"m\":-0}");
    rewritten("{\"b\\\\\" : \"}\\\"{\", \"\":[{\"]\":\"[\"}] ,\"expires\":1}",
              5, NULL, -1,
              "{\"b\\\\\":\"}\\\"{\",\"\":[{\"]\":\"[\"}],\"expires\":5}");
    rewritten("{\"expires\":1,\"a\":\"\xff\n\\u0000\",\"a\\u0000b\":3}",
              5, NULL, -1,
              "{\"expires\":5,\"a\":\"\xff\n\\u0000\",\"a\\u0000b\":3}");
    rewritten("[1]", 5, NULL, -1, "{\"expires\":5}");
    rewritten("{\"type\":\"x\"}", 5, NULL, -1, "{\"expires\":5}");
    rewritten("", 5, "q\"\\\n", -1,
              "{\"expires\":5,\"type\":\"q\\\"\\\\\\u000a\"}");

    details("{\"expires\":1,\"type\":\"apply\",\"granted\":9}", "apply", 9);
    details("{\"expires\":1,\"type\":\"allright\",\"granted\":-9}", "allright",
            -1);
    details("{\"expires\":1,\"type\":\"exactly\",\"granted\":1.5}", "exactly",
            2);
    details("{\"expires\":1,\"granted\":\"9\"}", "", -1);
    details("{\"expires\":1,\"granted\":1e999}", "", -1);
    details("{\"expires\":1,\"type\":", "", -1);
    details("{\"expires\":1,\"type\":7}", "", -1);
    details("1", "", -1);
    details("{\"expires\":1,\"type\":\"\\uD83D\\ude00\"}", "\xf0\x9f\x98\x80",
            -1);

    memory();
    memory_late();

    return done();
}
