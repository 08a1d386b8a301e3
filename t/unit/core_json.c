
/* the codec: what it takes, from whom, and what a JSON string looks like */

#include <stdlib.h>

#include "core/json.h"
#include "tap.h"


static void
escaped(const char *bytes, size_t len, const char *expected)
{
    char        *out;
    size_t       n;
    perm_str_t   text;

    text.data = bytes;
    text.len = len;

    /* not one byte more than the header asks for, for the memory checkers */

    out = malloc(len ? PERM_JSON_ESCAPE * len : 1);
    n = perm_json_escape(out, text);

    ok(n == strlen(expected) && memcmp(out, expected, n) == 0,
       "escaped: %.*s", (int) n, out);

    free(out);
}


static void
escapes(void)
{
    escaped("", 0, "");
    escaped("a/b~ {}", 7, "a/b~ {}");
    escaped("\"\\", 2, "\\\"\\\\");
    escaped("\0\n\x1f\x7f", 4, "\\u0000\\u000a\\u001f\\u007f");
    escaped("</script>", 9, "\\u003c/script>");
    escaped("\xc3\xa9\xe6\x9d\x83\xf0\x9f\x98\x80", 9,
            "\xc3\xa9\xe6\x9d\x83\xf0\x9f\x98\x80");
    escaped("\x80", 1, "\\ufffd");
    escaped("\xff\xfe", 2, "\\ufffd\\ufffd");
    escaped("\xe6\x9d", 2, "\\ufffd\\ufffd");
    escaped("\xe6\x9d\"", 3, "\\ufffd\\ufffd\\\"");
    escaped("\xc0\xaf", 2, "\\ufffd\\ufffd");
    escaped("\xe0\x9f\xbf", 3, "\\ufffd\\ufffd\\ufffd");
    escaped("\xed\xa0\x80", 3, "\\ufffd\\ufffd\\ufffd");
    escaped("\xef\xbf\xbf", 3, "\xef\xbf\xbf");
    escaped("\xf0\x8f\xbf\xbf", 4, "\\ufffd\\ufffd\\ufffd\\ufffd");
    escaped("\xf4\x8f\xbf\xbf", 4, "\xf4\x8f\xbf\xbf");
    escaped("\xf4\x90\x80\x80", 4, "\\ufffd\\ufffd\\ufffd\\ufffd");
    escaped("\xf8\x88\x80\x80", 4, "\\ufffd\\ufffd\\ufffd\\ufffd");
}


static void
line(const char *text, const char *expected)
{
    char    out[256];
    size_t  len;

    len = perm_json_line(out, perm_str(text));
    ok(perm_str_equal((perm_str_t) { len, out }, perm_str(expected)),
       "on a line: %s: %.*s", text, (int) len, out);
}


static void
lines(void)
{
    line("{ \"a\" :\n[1, \"b \\u00e9\\n\"]}", "{\"a\":[1,\"b \\u00e9\\n\"]}");
    line("\"a\nb\xff\"", "\"a\\u000ab\\ufffd\"");

    /* numbers that are none of JSON */

    line("[01,-007.50,1.,-.5,1.e5,100,0,-0,10.010,1e05,\"01.\"]",
         "[1,-7.50,1.0,-0.5,1.0e5,100,0,-0,10.010,1e5,\"01.\"]");

    /* cJSON takes these: the string ends where it ended */

    line("\"\\uzzzz\"", "\"\\ufffduzzzz\"");
    line("\"\\u\\\\u\\\"b\"", "\"\\ufffdu\\\\u\\\"b\"");
    line("\"\\u\\\xff\x9b<\"", "\"\\ufffdu\\ufffd\\ufffd\\ufffd\\u003c\"");
    line("[\"\\u0\\\\\\\"\",1]", "[\"\\ufffdu0\\\\\\\"\",1]");

    /* and these: half of a surrogate pair in an escape without digits */

    line("\"\\u\\udddd\"", "\"\\ufffdu\\ufffdudddd\"");
    line("\"\\u\\uD83D\\u0041\"", "\"\\ufffdu\\ufffduD83D\\u0041\"");
    line("\"\\u\\ud83d\\ude00\"", "\"\\ufffdu\\ud83d\\ude00\"");
    line("\"\\ud83d\\ude00\"", "\"\\ud83d\\ude00\"");
}


static void
strict(const char *text, int good)
{
    char        *copy;
    cJSON       *json;
    perm_str_t   exact;

    exact.len = strlen(text);
    copy = malloc(exact.len ? exact.len : 1);
    exact.data = memcpy(copy, text, exact.len);

    json = perm_json_parse_strict(exact);
    ok((json != NULL) == good, "of a caller: %.60s", text);

    cJSON_Delete(json);
    free(copy);
}


/* so many members, each of another name */

static void
crowded(unsigned members, int good)
{
    char      text[4096], *p;
    unsigned  i;

    for (i = 0, p = text; i < members; i++) {
        p += sprintf(p, "%c\"m%u\":1", i ? ',' : '{', i);
    }

    strcpy(p, "}");
    strict(text, good);
}


static void
callers(void)
{
    strict("{}", 1);
    strict(" {\"a\":\"b\",\"A\":\"c\"} ", 1);
    strict("{\"a\":[1,{\"b\":1}],\"b\":\"\\u00410000\\\\u0000\"}", 1);
    strict("{\"a\":\"\\u1000\\u0001\"}", 1);
    strict("", 0);
    strict("[]", 0);
    strict("[\"a\"]", 0);
    strict("\"a\"", 0);
    strict("null", 0);
    strict("{\"a\":1", 0);
    strict("{\"a\":1,", 0);
    strict("{\"a\":1} {}", 0);
    strict("\xef\xbb\xbf{}", 0);
    strict("{\"a\":1,\"a\":1}", 0);
    strict("{\"a\":1,\"b\":2,\"\\u0061\":1}", 0);
    strict("{\"a\":\"\\u0000\"}", 0);
    strict("{\"a\":\"b\\u0000c\"}", 0);
    strict("{\"a\\u0000\":\"b\"}", 0);
    strict("{\"a\":[{\"b\":\"\\\\\\u0000\"}]}", 0);
    strict("{\"a\":\"b\\u00zz\"}", 0);
    strict("{\"a\":\"b\\uzzzz\"}", 0);
    strict("{\"a\":\"\\u00\"}", 0);
    strict("{\"a\":\"\\", 0);
    strict("{\"a\":\"\\u", 0);
    strict("\\u0000", 0);
    crowded(PERM_JSON_MEMBERS_MAX, 1);
    crowded(PERM_JSON_MEMBERS_MAX + 1, 0);
}


int
main(void)
{
    callers();
    escapes();
    lines();

    return done();
}
