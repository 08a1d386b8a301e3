
#include "resp/printable.h"

#include <string.h>


#define CUT  "..."


size_t
perm_printable(char *buf, size_t size, perm_str_t text, int quoted)
{
    char           *p, *cut;
    size_t          i, len;
    unsigned char   c;

    static const char  hex[] = "0123456789abcdef";

    p = buf;
    cut = buf;

    for (i = 0; i < text.len; i++) {
        c = (unsigned char) text.data[i];

        len = (c < ' ' || c > '~' || c == '\\' || (quoted && c == '"')) ? 4 : 1;

        if ((size_t) (p - buf) + len >= size) {
            memcpy(cut, CUT, sizeof(CUT));
            return (size_t) (cut - buf) + sizeof(CUT) - 1;
        }

        if (len == 1) {
            *p++ = (char) c;

        } else {
            *p++ = '\\';
            *p++ = 'x';
            *p++ = hex[c >> 4];
            *p++ = hex[c & 0xf];
        }

        /* the last place that has room for the dots behind it */

        if ((size_t) (p - buf) + sizeof(CUT) <= size) {
            cut = p;
        }
    }

    *p = '\0';

    return (size_t) (p - buf);
}
