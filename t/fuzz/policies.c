
/*
 * Files of "--policies".  The input is up to two files with a byte 1 between
 * them: whatever is included is the second one.  A second reading has to refuse
 * the same files, and to find the same lines in the others.
 * sources: src/cli/util/output.c src/cli/util/time.c src/resp/printable.c
 */


#include "fuzz.h"

#include <setjmp.h>

static FILE *fuzz_open(const char *name, const char *mode);
static int fuzz_close(FILE *file);
static void fuzz_free(void *p);
static void *fuzz_keep(size_t n, size_t size);

#define fopen   fuzz_open
#define fclose  fuzz_close
#define calloc  fuzz_keep
#define free    fuzz_free

#include "cli/table/policies.c"

#undef fopen
#undef fclose
#undef calloc
#undef free


#define OPEN_MAX  16   /* files in files would be without end */


/* the second reading */

typedef struct {
    char  *key;
    int    open;
} line_t;


static void check_files(const uint8_t *data, size_t size);
static void check_policies(const perm_policies_t *policies);
static void check_found(const perm_policies_t *policies, perm_str_t gateway,
    perm_str_t resource, int open);
static int read_again(perm_str_t file, unsigned depth);
static int read_token(perm_str_t *rest, char token[KEY_MAX + 2]);
static int read_line(const char *key, const char *value, unsigned depth);
static void stop(void *data);


static jmp_buf           stopped;
static perm_str_t        files[2];
static FILE             *open_files[OPEN_MAX];
static void             *kept[OPEN_MAX];
static unsigned          nfiles, nkept;
static perm_policies_t  *read_now;

static line_t           *lines;
static unsigned          nlines, nopened;
static int               other;    /* what is not listed */


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t          len;
    const uint8_t  *end;

    /* an input of the corpus may be several, with a byte 2 between them */

    do {
        end = size ? memchr(data, 2, size) : NULL;
        len = end ? (size_t) (end - data) : size;

        check_files(data, len);

        data += len + (end != NULL);
        size -= len + (end != NULL);
    } while (end != NULL);

    return 0;
}


static void
check_files(const uint8_t *data, size_t size)
{
    int             good;
    size_t          i;
    const uint8_t  *end;

    if (fuzz_stderr() == stderr) {
        stderr = fopen("/dev/null", "w");
    }

    end = size ? memchr(data, 1, size) : NULL;
    files[0].data = (const char *) data;
    files[0].len = end ? (size_t) (end - data) : size;
    files[1].data = end ? (const char *) end + 1 : "";
    files[1].len = end ? size - files[0].len - 1 : 0;

    nlines = 0;
    nopened = 0;
    other = 0;
    good = read_again(files[0], 0);

    nfiles = 0;
    nkept = 0;
    read_now = NULL;

    perm_output_at_fatal(stop, NULL);

    if (setjmp(stopped) == 0) {
        check_policies(perm_policies_read("dir/first"));
        check(good);

    } else {
        check(!good);
    }

    perm_output_at_fatal(NULL, NULL);

    for (i = 0; i < nfiles; i++) {
        if (open_files[i] != NULL) {
            fclose(open_files[i]);
        }
    }

    for (i = 0; i < nkept; i++) {
        free(kept[i]);
    }

    perm_policies_free(read_now);

    while (nlines--) {
        free(lines[nlines].key);
    }

    free(lines);
    lines = NULL;
}


static void
check_policies(const perm_policies_t *policies)
{
    size_t       i, j;
    perm_str_t   key;
    const char  *slash;

    check(policies->n == nlines && policies->open == other);

    for (i = 0; i < nlines; i++) {

        for (j = 0; strcmp(policies->lines[j].key, lines[i].key) != 0; ) {
            check(++j < nlines);
        }

        check(policies->lines[j].open == lines[i].open);
        check(i == 0
              || strcmp(policies->lines[i - 1].key, policies->lines[i].key)
                 < 0);

        /* a resource of that name, of a gateway that has no such line */

        key = perm_str(lines[i].key);
        check_found(policies, perm_str("!"), key, lines[i].open);

        /* and the resource of one gateway */

        slash = strchr(key.data, '/');

        if (slash != NULL) {
            key.len = (size_t) (slash - key.data);
            check_found(policies, key, perm_str(slash + 1), lines[i].open);
        }
    }

    check_found(policies, perm_str("!"), perm_str("!"), other);
}


static void
check_found(const perm_policies_t *policies, perm_str_t gateway,
    perm_str_t resource, int open)
{
    size_t        i;
    char         *upper;
    perm_tuple_t  tuple;

    tuple.gateway = gateway;
    tuple.resource = fuzz_copy(resource.data, resource.len);
    tuple.app = perm_str("demo");

    check(perm_policies_open(policies, &tuple) == open);

    upper = (char *) tuple.resource.data;

    for (i = 0; i < resource.len; i++) {
        upper[i] = (char) toupper((unsigned char) upper[i]);
    }

    check(perm_policies_open(policies, &tuple) == open);

    free(upper);
}


/* returns 0 when there is something that no map has, or that is refused */

static int
read_again(perm_str_t file, unsigned depth)
{
    int       token;
    char      tokens[3][KEY_MAX + 2];
    unsigned  n;

    if (++nopened > OPEN_MAX) {
        return 0;
    }

    for (n = 0; (token = read_token(&file, tokens[n])) != EOF; ) {

        if (token == 0 || (token == 1 && ++n > 2)) {
            return 0;
        }

        if (token == 1) {
            continue;
        }

        if (n == 1 ? strcmp(tokens[0], "volatile") != 0
            : n != 2 || !read_line(tokens[0], tokens[1], depth))
        {
            return 0;
        }

        n = 0;
    }

    return n == 0;
}


/* EOF; ';'; 1: there is a token; 0: there is none, or it is too long */

static int
read_token(perm_str_t *rest, char token[KEY_MAX + 2])
{
    int          result;
    char         quote;
    size_t       len;
    const char  *p, *end;

    p = rest->data;
    end = rest->data + rest->len;

    while (p < end && (*p == '#' || *p == ' ' || *p == '\t' || *p == '\r'
                       || *p == '\n'))
    {
        if (*p == '#') {
            while (p < end && *p != '\n') {
                p++;
            }

        } else {
            p++;
        }
    }

    if (p == end) {
        return EOF;
    }

    result = 1;
    len = 0;

    if (*p == ';') {
        result = *p++;

    } else if (*p == '"' || *p == '\'') {
        quote = *p++;

        while (p < end && *p != quote && *p != '\n' && *p != '\0') {
            if (++len > KEY_MAX) {
                return 0;
            }

            token[len - 1] = *p++;
        }

        if (p == end || *p++ != quote) {
            return 0;
        }

    } else {
        while (p < end && *p != ';' && !isspace((unsigned char) *p)) {
            if (*p == '\0' || *p == '{' || *p == '}' || ++len > KEY_MAX) {
                return 0;
            }

            token[len - 1] = *p++;
        }

        if (p == end) {
            return 0;
        }

    }

    token[len] = '\0';
    rest->len = (size_t) (end - p);
    rest->data = p;

    return result;
}


static int
read_line(const char *key, const char *value, unsigned depth)
{
    int        open;
    char      *p;
    unsigned   i;

    if (strcmp(key, "include") == 0) {
        return depth < 8 && strpbrk(value, "*?[") == NULL
               && read_again(files[1], depth + 1);
    }

    open = (strcmp(value, "required") != 0);

    if (open && strcmp(value, "open") != 0 && strcmp(value, "off") != 0) {
        return 0;
    }

    if (strcmp(key, "default") == 0) {
        other = open;
        return 1;
    }

    key += (*key == '\\');

    if (*key == '\0') {
        return 1;
    }

    if (!fuzz_name(perm_str(key), 256) || *key == '~'
        || strcmp(key, "-") == 0)
    {
        return 0;
    }

    lines = reallocarray(lines, nlines + 1, sizeof(line_t));
    lines[nlines].key = strdup(key);
    lines[nlines].open = open;

    for (p = lines[nlines].key; *p != '\0'; p++) {
        *p = (char) tolower((unsigned char) *p);
    }

    nlines++;

    for (i = 0; i + 1 < nlines; i++) {
        if (strcmp(lines[i].key, lines[nlines - 1].key) == 0) {
            return 0;
        }
    }

    return 1;
}


static void
stop(void *data)
{
    longjmp(stopped, 1);
}


static FILE *
fuzz_open(const char *name, const char *mode)
{
    perm_str_t  *file;

    if (nfiles == OPEN_MAX) {
        return NULL;
    }

    file = &files[nfiles > 0];

    /* there is no stream of no bytes */

    open_files[nfiles] = file->len
                         ? fmemopen((char *) file->data, file->len, "r")
                         : fopen("/dev/null", "r");

    return open_files[nfiles++];
}


static int
fuzz_close(FILE *file)
{
    unsigned  i;

    for (i = 0; i < nfiles; i++) {
        if (open_files[i] == file) {
            open_files[i] = NULL;
        }
    }

    return fclose(file);
}


static void *
fuzz_keep(size_t n, size_t size)
{
    read_now = calloc(n, size);

    return read_now;
}


/* in place of cli/util/alloc.c: the name of an included file is freed here */

void *
perm_alloc(size_t size)
{
    return kept[nkept++] = malloc(size);
}


void *
perm_alloc_check(void *p)
{
    return p;
}


void *
perm_alloc_room(void *array, size_t *size, size_t n, size_t each)
{
    if (n > *size) {
        *size = 2 * n;
        array = reallocarray(array, *size, each);
        read_now->lines = array;
    }

    return array;
}


static void
fuzz_free(void *p)
{
    unsigned  i;

    for (i = 0; i < nkept; i++) {
        if (kept[i] == p) {
            kept[i] = NULL;
        }
    }

    free(p);
}
