
/*
 * Outside bytes in a form that is harmless in a log line and in a header.
 */


#ifndef _PERM_HTTP_ESCAPE_H_INCLUDED_
#define _PERM_HTTP_ESCAPE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "core/name.h"


/* an escaped byte takes as much: "\x0A" */

#define PERM_ESCAPED_BYTE  4


/*
 * Writes the text to "p" with every byte but printable ASCII, and the double
 * quote and the backslash, as "\xHH"; returns the end of what was written, at
 * most PERM_ESCAPED_BYTE * text.len bytes on.
 */
u_char *perm_escape(u_char *p, perm_str_t text);


#endif /* _PERM_HTTP_ESCAPE_H_INCLUDED_ */
