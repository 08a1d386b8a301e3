
#include "cli/table/grant_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/util/alloc.h"
#include "cli/util/temporary.h"


#define BLANKS  " \t\r\n"
#define BOM     "\xef\xbb\xbf"
#define COPY    "a copy of the input"
#define END     (-1)


static void spool(perm_grant_file_t *file);
static void begin(perm_grant_file_t *file);
static int next_line(perm_grant_file_t *file, perm_grant_item_t *item);
static int next_element(perm_grant_file_t *file, perm_grant_item_t *item);
static int read_element(perm_grant_file_t *file, perm_grant_item_t *item);
static void put(perm_grant_file_t *file, perm_grant_item_t *item, int c);
static int skip_blanks(perm_grant_file_t *file);
static int peek(perm_grant_file_t *file);
static int take(perm_grant_file_t *file);
static int fill(perm_grant_file_t *file);


perm_grant_file_t *
perm_grant_file_open(const char *name)
{
    struct stat         st;
    perm_grant_file_t  *file;

    file = perm_alloc(sizeof(perm_grant_file_t));
    memset(file, 0, offsetof(perm_grant_file_t, in));

    file->name = "standard input";
    file->fd = STDIN_FILENO;

    if (name != NULL && strcmp(name, "-") != 0) {
        file->name = name;
        file->fd = open(name, O_RDONLY | O_CLOEXEC);

        if (file->fd == -1) {
            perm_output_fatal(PERM_EXIT_USAGE, "cannot open \"%s\": %m",
                              perm_output_safe_text(name));
        }
    }

    if (fstat(file->fd, &st) == 0) {

        if (S_ISDIR(st.st_mode)) {
            perm_output_fatal(PERM_EXIT_USAGE, "\"%s\" is a directory",
                              perm_output_safe_text(file->name));
        }

        if (!S_ISREG(st.st_mode)) {
            spool(file);

        } else {
            file->start = lseek(file->fd, 0, SEEK_CUR);
            file->size = (perm_count_t) (st.st_size - file->start);
        }
    }

    perm_grant_file_rewind(file);

    return file;
}


static void
spool(perm_grant_file_t *file)
{
    FILE  *copy;

    copy = perm_temporary_open(COPY);

    while (fill(file)) {
        if (fwrite(file->in, 1, file->len, copy) != file->len) {
            break;
        }

        file->size += file->len;
        file->pos = file->len;
    }

    if (ferror(copy) || fflush(copy) != 0) {
        perm_temporary_failed(COPY);
    }

    if (file->fd != STDIN_FILENO) {
        (void) close(file->fd);
    }

    file->fd = fcntl(fileno(copy), F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    (void) fclose(copy);
}


void
perm_grant_file_rewind(perm_grant_file_t *file)
{
    (void) lseek(file->fd, file->start, SEEK_SET);

    file->offset = 0;
    file->line = 1;
    file->column = 1;
    file->begun = 0;
    file->array = 0;
    file->ended = 0;
    file->open = 0;
    file->comma = 0;
    file->pos = 0;
    file->len = 0;
}


void
perm_grant_file_close(perm_grant_file_t *file)
{
    if (file->fd != STDIN_FILENO) {
        (void) close(file->fd);
    }

    free(file);
}


int
perm_grant_file_next(perm_grant_file_t *file, perm_grant_item_t *item)
{
    if (!file->begun) {
        begin(file);
    }

    item->text.data = file->text;
    item->text.len = 0;
    item->wrong = NULL;

    if (file->ended || perm_walk_interrupted) {
        return 0;
    }

    return (file->array ? next_element(file, item) : next_line(file, item))
           && !perm_walk_interrupted;
}


/* what the first bytes say */

static void
begin(perm_grant_file_t *file)
{
    size_t  bom;

    file->begun = 1;

    while (file->len < 4 && fill(file)) { /* void */ }

    if (file->len >= 2
        && (memcmp(file->in, "\xff\xfe", 2) == 0
            || memcmp(file->in, "\xfe\xff", 2) == 0
            || file->in[0] == '\0' || file->in[1] == '\0'))
    {
        perm_output_fatal(PERM_EXIT_NO, "\"%s\" is UTF-16, or no text at all: "
                          "nothing was done; save it as UTF-8 without a byte "
                          "order mark", perm_output_safe_text(file->name));
    }

    /* a line with the mark is refused as it is; before an array it is passed */

    bom = (file->len >= 4 && memcmp(file->in, BOM "[", 4) == 0) ? 3 : 0;
    file->pos = bom;
    file->offset = bom;

    if (skip_blanks(file) == '[') {
        (void) take(file);
        file->array = 1;
    }
}


static int
next_line(perm_grant_file_t *file, perm_grant_item_t *item)
{
    size_t  n, room;
    char   *p, *end;

    do {
        if (skip_blanks(file) == END) {
            file->ended = 1;
            return 0;
        }

        item->line = file->line;
        item->column = file->column;
        item->text.len = 0;
        end = NULL;

        while (end == NULL && peek(file) != END) {
            p = file->in + file->pos;
            end = memchr(p, '\n', file->len - file->pos);
            n = end ? (size_t) (end - p) : file->len - file->pos;

            room = (item->text.len < PERM_LINE_MAX)
                   ? PERM_LINE_MAX - item->text.len : 0;
            memcpy(file->text + item->text.len, p, n < room ? n : room);

            item->text.len += n;
            file->pos += n;
            file->offset += n;
            file->column += n;
        }

        file->open = (end == NULL);

    } while (item->text.len == 0);

    if (item->text.len > PERM_LINE_MAX) {
        item->text.len = 0;
        item->wrong = "longer than 1 MiB";
    }

    file->text[item->text.len] = '\0';

    return 1;
}


static int
next_element(perm_grant_file_t *file, perm_grant_item_t *item)
{
    int  c;

    c = skip_blanks(file);
    item->line = file->line;
    item->column = file->column;

    if (c == END) {
        file->ended = 1;
        file->open = 1;
        item->wrong = "the file ends within the array: it is not whole";
        return 1;
    }

    if (c == ',') {
        (void) take(file);
        item->wrong = "no object before this comma";
        return 1;
    }

    if (c != ']') {
        return read_element(file, item);
    }

    (void) take(file);
    file->ended = 1;

    if (file->comma) {
        item->wrong = "no object before the end of the array";
        return 1;
    }

    if (skip_blanks(file) == END) {
        return 0;
    }

    item->line = file->line;
    item->column = file->column;
    item->wrong = "text behind the array, which is not read";

    return 1;
}


/* up to the comma behind it, or before the end of the array */

static int
read_element(perm_grant_file_t *file, perm_grant_item_t *item)
{
    int       c, string;
    unsigned  depth;

    string = 0;
    depth = 0;

    for ( ;; ) {
        c = peek(file);

        if (c == END || (!string && depth == 0 && (c == ',' || c == ']'))) {
            break;
        }

        (void) take(file);
        put(file, item, c);

        if (c == '"') {
            string = !string;

        } else if (string && c == '\\') {
            c = take(file);

            if (c != END) {
                put(file, item, c);
            }

        } else if (!string && (c == '{' || c == '[')) {
            depth++;

        } else if (!string && (c == '}' || c == ']') && depth) {
            depth--;
        }
    }

    file->comma = (c == ',');

    if (file->comma) {
        (void) take(file);
    }

    if (c == END) {
        file->ended = 1;
        file->open = 1;
        item->wrong = "the file ends within the array: it is not whole";

    } else if (item->text.len > PERM_LINE_MAX) {
        item->wrong = "longer than 1 MiB";
    }

    if (item->wrong != NULL) {
        item->text.len = 0;
    }

    file->text[item->text.len] = '\0';

    return 1;
}


static void
put(perm_grant_file_t *file, perm_grant_item_t *item, int c)
{
    if (item->text.len < PERM_LINE_MAX) {
        file->text[item->text.len] = (char) c;
    }

    item->text.len++;
}


/* the byte behind them, which stays */

static int
skip_blanks(perm_grant_file_t *file)
{
    int  c;

    for ( ;; ) {
        c = peek(file);

        if (c == END || c == '\0' || strchr(BLANKS, c) == NULL) {
            return c;
        }

        (void) take(file);
    }
}


static int
peek(perm_grant_file_t *file)
{
    return (file->pos < file->len || fill(file))
           ? (unsigned char) file->in[file->pos] : END;
}


static int
take(perm_grant_file_t *file)
{
    int  c;

    c = peek(file);

    if (c == END) {
        return END;
    }

    file->pos++;
    file->offset++;
    file->column++;

    if (c == '\n') {
        file->line++;
        file->column = 1;
    }

    return c;
}


/* more bytes behind those that are there; 0 at the end, and when interrupted */

static int
fill(perm_grant_file_t *file)
{
    ssize_t  n;

    if (file->pos == file->len) {
        file->pos = 0;
        file->len = 0;
    }

    do {
        n = read(file->fd, file->in + file->len, sizeof(file->in) - file->len);
    } while (n == -1 && errno == EINTR && !perm_walk_interrupted);

    if (n == -1 && !perm_walk_interrupted) {
        perm_output_fatal(PERM_EXIT_NO, "cannot read \"%s\": %m",
                          perm_output_safe_text(file->name));
    }

    file->len += (n > 0) ? (size_t) n : 0;

    return n > 0;
}
