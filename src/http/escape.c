
#include "http/escape.h"


u_char *
perm_escape(u_char *p, perm_str_t text)
{
    size_t         i;
    u_char         c;

    static u_char  hex[] = "0123456789ABCDEF";

    for (i = 0; i < text.len; i++) {
        c = (u_char) text.data[i];

        if (c >= ' ' && c <= '~' && c != '"' && c != '\\') {
            *p++ = c;
            continue;
        }

        *p++ = '\\';
        *p++ = 'x';
        *p++ = hex[c >> 4];
        *p++ = hex[c & 0xf];
    }

    return p;
}
