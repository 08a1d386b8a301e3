
/* grant values: what is readable, what a rewrite keeps */

#include <stdlib.h>

#include "core/grant.h"
#include "core/json.h"
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
    { "0.000000000000000000000000000000000000000000000000000018e62", 1800000000 },
    { "1800000000.00000000000000000000000000000000000000000000000000", 1800000000 },
    { "1e308", INT64_C(9007199254740992) },
    { "99999999999999999999999999999999999999999999999999999999", INT64_C(9007199254740992) },
    { "{\"expires\":1800000000}", 1800000000 },
    { "{ \"a\" : [1,{\"expires\":1}] , \"expires\" : 5 }", 5 },
    { "{\"\\u0065xpires\":7}", 7 },
    { "{\"expires\":9,\"note\":\"\\ud800\"}", 9 },
    { "{\"expires\":9,\"note\":\"\\u0000\"}", 9 },
    { "{\"expires\":9,\"expires\\u0000x\":1}", 9 },
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
    { "1e309", UNREADABLE },
    { "1e999999999999999999", UNREADABLE },
    { "NaN", UNREADABLE },
    { "Infinity", UNREADABLE },
    { "nan", UNREADABLE },
    { "01", UNREADABLE },
    { "1.", UNREADABLE },
    { ".5", UNREADABLE },
    { "+1", UNREADABLE },
    { "0x10", UNREADABLE },
    { "1e", UNREADABLE },
    { "1e+", UNREADABLE },
    { "-", UNREADABLE },
    { "1 2", UNREADABLE },
    { "1,", UNREADABLE },
    { "1800000000\v", UNREADABLE },
    { "\xef\xbb\xbf" "1800000000", UNREADABLE },
    { "{\"expires\":01}", UNREADABLE },
    { "{\"expires\":1.}", UNREADABLE },
    { "{\"expires\":+1}", UNREADABLE },
    { "{\"expires\":-1}", UNREADABLE },
    { "{\"expires\":1e999}", UNREADABLE },
    { "{\"expires\":\"1\"}", UNREADABLE },
    { "{\"expires\":null}", UNREADABLE },
    { "{\"expires\":{}}", UNREADABLE },
    { "{\"expires\":1,\"expires\":2}", UNREADABLE },
    { "{\"expires\":1,\"expires\":null}", UNREADABLE },
    { "{\"expires\\u0000x\":1}", UNREADABLE },
    { "{\"expires\":1", UNREADABLE },
    { "{\"expires\":1,}", UNREADABLE },
    { "{\"expires\":1}}", UNREADABLE },
    { "{\"expires\":1} x", UNREADABLE },
    { "{expires:1}", UNREADABLE },
    { "{'expires':1}", UNREADABLE },
    { "{\"expires\" 1}", UNREADABLE },
    { "{\"expires\":1 \"a\":2}", UNREADABLE },
    { "{\"expires\":1,\"a\":\"\n\"}", UNREADABLE },
    { "{\"expires\":1,\"a\":\"\x01\"}", UNREADABLE },
    { "{\"expires\":1,\"a\":\"\\x\"}", UNREADABLE },
    { "{\"expires\":1,\"a\":\"\\u12g4\"}", UNREADABLE },
    { "{\"expires\":1,\"a\":\"\xff\"}", UNREADABLE },
    { "{\"expires\":1,\"a\":\"\xc0\x80\"}", UNREADABLE },
    { "{\"expires\":1,\"a\":\"\xed\xa0\x80\"}", UNREADABLE },
    { "{\"expires\":1,\"a\":\"\xf4\x90\x80\x80\"}", UNREADABLE },
    { "{\"expires\":1,\"a\":\"\xe6\x9d\"}", UNREADABLE },
    { "{\"expires\":1,\"a\":tru}", UNREADABLE },
    { "{\"expires\":1,\"a\":[1,]}", UNREADABLE },
    { "{\"expires\":1}//", UNREADABLE }
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


static void
depth(unsigned levels, int good)
{
    char        text[4096];
    perm_str_t  value;

    value.len = sprintf(text, "{\"expires\":1,\"a\":");
    memset(text + value.len, '[', levels);
    memset(text + value.len + levels, ']', levels);
    value.len += 2 * levels;
    text[value.len++] = '}';
    value.data = text;

    ok((perm_grant_expires(value) == 1) == good, "%u levels deep", levels + 1);
}


static void
rewritten(const char *old, int64_t expires, const char *type,
    int64_t granted, const char *expected)
{
    char  *value;

    value = perm_grant_rewrite(str(old), expires, type, granted);

    ok(strcmp(value, expected) == 0, "rewritten: %s", value);
    ok(perm_grant_expires(str(value)) == expires, "and readable");

    free(value);
}


static void
details(const char *value, const char *type, int64_t granted)
{
    char     text[8];
    int64_t  seconds;

    perm_grant_details(str(value), text, sizeof(text), &seconds);

    ok(strcmp(text, type) == 0 && seconds == granted, "details of %s", value);
}


int
main(void)
{
    readable();

    depth(PERM_JSON_DEPTH - 1, 1);
    depth(PERM_JSON_DEPTH, 0);
    depth(2000, 0);

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
              "{\"expires\":5,\"type\":\"b\",\"type\":\"b\"}");
    rewritten("{\"expires\":1,\"expires\":2}", 5, NULL, -1, "{\"expires\":5}");
    rewritten("{\"expires\":1,\"expires\\u0000\":2}", 5, NULL, -1,
              "{\"expires\":5,\"expires\\u0000\":2}");
    rewritten("", 5, "q\"\\\n", -1,
              "{\"expires\":5,\"type\":\"q\\\"\\\\\\u000a\"}");

    details("{\"expires\":1,\"type\":\"apply\",\"granted\":9}", "apply", 9);
    details("{\"expires\":1,\"type\":\"toolong!\",\"granted\":-9}", "", -1);
    details("{\"expires\":1,\"type\":\"a\\u0000b\",\"granted\":\"9\"}", "", -1);
    details("{\"expires\":1,\"type\":7}", "", -1);
    details("1", "", -1);
    details("{\"expires\":1,\"type\":\"\\uD83D\\ude00\"}", "\xf0\x9f\x98\x80",
            -1);

    return done();
}
