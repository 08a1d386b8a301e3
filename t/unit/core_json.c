
/* the codec: what a JSON string looks like */

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


int
main(void)
{
    escapes();

    return done();
}
