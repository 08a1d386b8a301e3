
#include "cli/util/line_reader.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/util/output.h"


#define READ_SIZE  65536


void
perm_line_reader_init(perm_line_reader_t *lines, int fd, size_t max)
{
    memset(lines, 0, sizeof(perm_line_reader_t));

    lines->fd = fd;
    lines->max = max;
    lines->size = 2 * READ_SIZE;
    lines->buf = perm_alloc(lines->size);
}


void
perm_line_reader_free(perm_line_reader_t *lines)
{
    free(lines->buf);
}


/* more bytes behind those that are there */

static int
fill(perm_line_reader_t *lines)
{
    ssize_t  n;

    if (lines->start) {
        memmove(lines->buf, lines->buf + lines->start,
                lines->end - lines->start);
        lines->end -= lines->start;
        lines->start = 0;
    }

    if (lines->size - lines->end < READ_SIZE) {
        lines->size *= 2;
        lines->buf = perm_realloc(lines->buf, lines->size);
    }

    n = read(lines->fd, lines->buf + lines->end, READ_SIZE);

    if (n == -1) {
        return -1;
    }

    if (n == 0) {
        lines->eof = 1;
    }

    lines->end += (size_t) n;

    return 0;
}


perm_line_reader_status_t
perm_line_reader_next(perm_line_reader_t *lines, perm_str_t *line)
{
    int     skipping;
    char   *newline;
    size_t  seen, len;

    skipping = 0;
    seen = 0;

    for ( ;; ) {
        len = lines->end - lines->start;
        newline = memchr(lines->buf + lines->start + seen, '\n', len - seen);

        if (newline != NULL || (lines->eof && len)) {
            break;
        }

        if (lines->eof) {
            if (skipping) {
                lines->number++;
                return PERM_LINE_READER_TOO_LONG;
            }

            return PERM_LINE_READER_END;
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
