
/*
 * Lines of a file of any length, in bounded memory.
 */


#ifndef _PERM_CLI_UTIL_LINE_READER_H_INCLUDED_
#define _PERM_CLI_UTIL_LINE_READER_H_INCLUDED_


#include <stdint.h>

#include "core/name.h"


typedef struct {
    int          fd;
    size_t       max;       /* bytes of a line */
    char        *buf;
    size_t       start;     /* of the bytes that were not returned */
    size_t       end;
    size_t       size;
    int          eof;
    uint64_t     offset;    /* bytes returned */
    uint64_t     number;    /* of the last line, from 1 */
} perm_line_reader_t;


typedef enum {
    PERM_LINE_READER_LINE = 0,
    PERM_LINE_READER_TOO_LONG,    /* and skipped */
    PERM_LINE_READER_END,
    PERM_LINE_READER_ERROR        /* errno; EINTR after a caught signal */
} perm_line_reader_status_t;


void perm_line_reader_init(perm_line_reader_t *lines, int fd, size_t max);

/* The line is good until the next call, and comes without its end */

perm_line_reader_status_t perm_line_reader_next(perm_line_reader_t *lines,
    perm_str_t *line);

void perm_line_reader_free(perm_line_reader_t *lines);


#endif /* _PERM_CLI_UTIL_LINE_READER_H_INCLUDED_ */
