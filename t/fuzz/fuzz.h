
/*
 * For fuzzers: the function that libFuzzer calls with an input, and check(),
 * which ends the program when a property does not hold.
 */


#ifndef _FUZZ_H_INCLUDED_
#define _FUZZ_H_INCLUDED_


#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/name.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


#define check(property)                                                       \
    do {                                                                      \
        if (!(property)) {                                                    \
            fprintf(fuzz_stderr(), "%s:%d: does not hold: %s\n", __FILE__,    \
                    __LINE__, #property);                                     \
            abort();                                                          \
        }                                                                     \
    } while (0)


/* stderr may be closed, or be another stream: this one is of the start */

__attribute__((unused))
static FILE *
fuzz_stderr(void)
{
    static FILE  *stream;

    if (stream == NULL) {
        stream = stderr;
    }

    return stream;
}


/* a copy without a byte behind it, so that AddressSanitizer sees an overrun */

__attribute__((unused))
static perm_str_t
fuzz_copy(const void *data, size_t len)
{
    char        *p;
    perm_str_t   text;

    p = malloc(len ? len : 1);
    text.data = memcpy(p, data, len);
    text.len = len;

    return text;
}


/* the text with a NUL, up to its first one; to be freed */

__attribute__((unused))
static char *
fuzz_text(const uint8_t *data, size_t size)
{
    return strndup((const char *) data, size);
}


/* takes the bytes before the next NUL off the input, and the NUL */

__attribute__((unused))
static perm_str_t
fuzz_part(const uint8_t **data, size_t *size)
{
    size_t          len;
    perm_str_t      part;
    const uint8_t  *end;

    end = memchr(*data, '\0', *size);
    len = end ? (size_t) (end - *data) : *size;

    part.data = (const char *) *data;
    part.len = len;

    *data += len + (end != NULL);
    *size -= len + (end != NULL);

    return part;
}


/* printable ASCII only, and none of these bytes */

__attribute__((unused))
static int
fuzz_printable(const char *text, size_t len, const char *without)
{
    size_t  i;

    for (i = 0; i < len; i++) {
        if (text[i] < ' ' || text[i] > '~' || strchr(without, text[i])) {
            return 0;
        }
    }

    return 1;
}


/* what the contract says of names, in other words than core/name.c */

__attribute__((unused))
static int
fuzz_name(perm_str_t name, size_t max)
{
    size_t  i;

    for (i = 0; i < name.len; i++) {
        if (!(name.data[i] >= 'A' && name.data[i] <= 'Z')
            && !(name.data[i] >= 'a' && name.data[i] <= 'z')
            && !(name.data[i] >= '0' && name.data[i] <= '9')
            && (name.data[i] == '\0' || !strchr("._~@/+-", name.data[i])))
        {
            return 0;
        }
    }

    return name.len >= 1 && name.len <= max;
}


#endif /* _FUZZ_H_INCLUDED_ */
