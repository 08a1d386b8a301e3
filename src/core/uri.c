
#include "core/uri.h"


#define PERM_URI_ALPHA  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define PERM_URI_DIGIT  "0123456789"


static size_t uri_span(perm_str_t text, size_t from, const char *bytes);


int
perm_uri_reference_valid(perm_str_t text)
{
    size_t  i, fragments;

    static const char  bytes[] = PERM_URI_ALPHA PERM_URI_DIGIT
                                 "-._~:/?[]@!$&'()*+,;=";

    fragments = 0;

    for (i = 0; i < text.len; i++) {

        switch (text.data[i]) {

        case '%':
            if (uri_span(text, i + 1, PERM_URI_DIGIT "ABCDEFabcdef") < 2) {
                return 0;
            }

            break;

        case '#':
            fragments++;
            break;

        default:
            if (text.data[i] == '\0' || strchr(bytes, text.data[i]) == NULL) {
                return 0;
            }
        }
    }

    /* a ":" before any "/", "?" or "#" ends a scheme */

    i = uri_span(text, 0, PERM_URI_ALPHA PERM_URI_DIGIT
                 "-._~%[]@!$&'()*+,;=");

    if (i < text.len && text.data[i] == ':'
        && (uri_span(text, 0, PERM_URI_ALPHA) == 0
            || uri_span(text, 0, PERM_URI_ALPHA PERM_URI_DIGIT "+-.") != i))
    {
        return 0;
    }

    return text.len && fragments <= 1;
}


/* how many bytes from there on are among these; a NUL is not */

static size_t
uri_span(perm_str_t text, size_t from, const char *bytes)
{
    size_t  i;

    for (i = from; i < text.len && text.data[i] != '\0'; i++) {
        if (strchr(bytes, text.data[i]) == NULL) {
            break;
        }
    }

    return i - from;
}
