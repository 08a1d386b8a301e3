
#include "resp/printable.h"

#include <stdio.h>
#include <string.h>


#define CUT  "..."


size_t
perm_printable(char *buf, size_t size, perm_str_t text, int quoted)
{
    int             plain;
    char           *p, *cut;
    size_t          i;
    unsigned char   c;

    p = buf;
    cut = buf;     /* the last place that has room for the dots behind it */

    for (i = 0; i < text.len; i++) {
        c = (unsigned char) text.data[i];
        plain = (c >= ' ' && c <= '~' && c != '\\' && !(quoted && c == '"'));

        if ((size_t) (p - buf) + (plain ? 1 : 4) >= size) {
            p = cut + sprintf(cut, CUT);
            break;
        }

        if (plain) {
            *p++ = (char) c;

        } else {
            p += sprintf(p, "\\x%02x", c);
        }

        if ((size_t) (p - buf) + sizeof(CUT) <= size) {
            cut = p;
        }
    }

    *p = '\0';

    return (size_t) (p - buf);
}
