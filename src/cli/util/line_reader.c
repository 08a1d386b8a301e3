
#include "cli/util/line_reader.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/util/alloc.h"


#define READ_SIZE  65536


static int fill(perm_line_reader_t *lines);


void
perm_line_reader_init(perm_line_reader_t *lines, int fd, size_t max)
{
    memset(lines, 0, sizeof(perm_line_reader_t));

    lines->fd = fd;
    lines->max = max;
}


void
perm_line_reader_free(perm_line_reader_t *lines)
{
    free(lines->buf);
}


perm_line_reader_status_t
perm_line_reader_next(perm_line_reader_t *lines, perm_str_t *line)
{
    int     skipping;
    char   *newline;
    size_t  seen, len;

    skipping = 0;
    seen = 0;
    newline = NULL;

    for ( ;; ) {
        len = lines->end - lines->start;

        if (len > seen) {
            newline = memchr(lines->buf + lines->start + seen, '\n',
                             len - seen);
        }

        if (newline != NULL || (lines->eof && len)) {
            break;
        }

        if (lines->eof) {
            lines->number += (unsigned) skipping;
            return skipping ? PERM_LINE_READER_TOO_LONG : PERM_LINE_READER_END;
        }

        if (len > lines->max) {
            skipping = 1;
            lines->offset += len;
            lines->start = lines->end;
            len = 0;
        }

        seen = len;

        if (fill(lines) != 0) {
            return PERM_LINE_READER_ERROR;
        }
    }

    line->data = lines->buf + lines->start;
    line->len = newline ? (size_t) (newline - line->data) : len;

    len = line->len + (newline != NULL);
    lines->start += len;
    lines->offset += len;
    lines->number++;

    return (skipping || line->len > lines->max) ? PERM_LINE_READER_TOO_LONG
                                                : PERM_LINE_READER_LINE;
}


/* reads more bytes; those that are there move to the front */

static int
fill(perm_line_reader_t *lines)
{
    ssize_t  n;

    if (lines->start) {
        lines->end -= lines->start;
        memmove(lines->buf, lines->buf + lines->start, lines->end);
        lines->start = 0;
    }

    lines->buf = perm_alloc_room(lines->buf, &lines->size,
                                 lines->end + READ_SIZE, 1);

    n = read(lines->fd, lines->buf + lines->end, READ_SIZE);

    if (n == -1) {
        return -1;
    }

    lines->eof = (n == 0);
    lines->end += (size_t) n;

    return 0;
}
