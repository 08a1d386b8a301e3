
/*
 * Bytes from outside as harmless text.
 * sources: src/resp/printable.c
 */


#include "tap.h"

#include <stdlib.h>

#include "resp/printable.h"


static void
shows(const char *what, perm_str_t text, size_t size, int quoted,
    const char *expected)
{
    char    *buf;
    size_t   len;

    /* of its very size, for AddressSanitizer */

    buf = malloc(size);
    len = perm_printable(buf, size, text, quoted);

    ok(len == strlen(expected) && strcmp(buf, expected) == 0, "%s: %s", what,
       buf);

    free(buf);
}


int
main(void)
{
    size_t      i, len;
    char        all[256], buf[PERM_PRINTABLE_SIZE(256)];
    perm_str_t  text;

    static const char  nul[] = "a\0b";

    shows("nothing", str(""), 8, 0, "");
    shows("plain", str("app-1 ~"), 8, 0, "app-1 ~");
    shows("a line and an escape code", str("a\r\n\x1b[2J"), 64, 0,
          "a\\x0d\\x0a\\x1b[2J");
    shows("DEL and what is not ASCII", str("\x7f\x80\xff"), 64, 0,
          "\\x7f\\x80\\xff");
    shows("a backslash, which nothing can fake then", str("\\x0a"), 64, 0,
          "\\x5cx0a");
    shows("a quote", str("\"a\""), 64, 0, "\"a\"");
    shows("a quote within quotes", str("\"a\""), 64, 1, "\\x22a\\x22");

    text.data = nul;
    text.len = 3;
    shows("a NUL", text, 64, 0, "a\\x00b");

    shows("it just fits", str("1234567"), 8, 0, "1234567");
    shows("it does not", str("12345678"), 8, 0, "1234...");
    shows("an escaped byte is not cut in two", str("123\x01"), 8, 0,
          "123\\x01");
    shows("... but left out", str("1234\x01"), 8, 0, "1234...");
    shows("... nor the one before it", str("1\x01" "23456"), 8, 0, "1...");

    for (i = 0; i < 256; i++) {
        all[i] = (char) i;
    }

    text.data = all;
    text.len = 256;
    len = perm_printable(buf, sizeof(buf), text, 1);

    for (i = 0; i < len && buf[i] >= ' ' && buf[i] <= '~' && buf[i] != '"';
         i++)
    {
        /* void */
    }

    ok(i == len && len == 93 + 163 * 4, "every byte: %zu of %zu", i, len);

    text.len = 256;
    memset(all, '\n', sizeof(all));
    ok(perm_printable(buf, sizeof(buf), text, 1) == 4 * 256,
       "there is room for the worst");

    return done();
}
