
/*
 * Lines of a file of any length, in bounded memory.
 */


#ifndef _PERM_LINES_H_INCLUDED_
#define _PERM_LINES_H_INCLUDED_


#include <stdint.h>

#include "core/name.h"


typedef struct {
    int          fd;
    size_t       max;       /* bytes of a line */
    char        *buf;
    size_t       start;     /* of what has not been returned */
    size_t       end;
    size_t       size;
    int          eof;
    uint64_t     offset;    /* bytes returned */
    uint64_t     number;    /* of the last line, from 1 */
} perm_lines_t;


typedef enum {
    PERM_LINE = 0,
    PERM_LINE_TOO_LONG,     /* and passed over */
    PERM_LINES_END,
    PERM_LINES_ERROR        /* errno; EINTR after a caught signal */
} perm_line_status_t;


void perm_lines_init(perm_lines_t *lines, int fd, size_t max);

/* The line is good until the next call, and comes without its end */

perm_line_status_t perm_lines_next(perm_lines_t *lines, perm_str_t *line);

void perm_lines_free(perm_lines_t *lines);


#endif /* _PERM_LINES_H_INCLUDED_ */
