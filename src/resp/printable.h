
/*
 * Bytes from outside as text that is harmless in a log line, in a header and
 * on a terminal.
 */


#ifndef _PERM_RESP_PRINTABLE_H_INCLUDED_
#define _PERM_RESP_PRINTABLE_H_INCLUDED_


#include "core/name.h"


/* room for any text of "len" bytes */

#define PERM_PRINTABLE_SIZE(len)  (4 * (len) + 1)


/*
 * Writes the text to "buf", of "size" bytes, with a NUL at its end, and
 * returns its length.  Each byte that is not printable ASCII becomes "\xhh",
 * as do the backslash and, with "quoted", the double quote.  A text that does
 * not fit is cut and ends with "...": "size" is at least 8.
 */
size_t perm_printable(char *buf, size_t size, perm_str_t text, int quoted);


#endif /* _PERM_RESP_PRINTABLE_H_INCLUDED_ */
