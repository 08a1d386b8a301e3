
/*
 * Files of "--policies".  The input is up to two files with a byte 1 between
 * them: whatever is included is the second one.
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


static void check_policies(const perm_policies_t *policies);
static void stop(void *data);


static jmp_buf           stopped;
static perm_str_t        files[2];
static FILE             *open_files[OPEN_MAX];
static void             *kept[OPEN_MAX];
static unsigned          nfiles, nkept;
static perm_policies_t  *read_now;


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
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

    nfiles = 0;
    nkept = 0;
    read_now = NULL;

    perm_output_at_fatal(stop, NULL);

    if (setjmp(stopped) == 0) {
        check_policies(perm_policies_read("dir/first"));
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

    return 0;
}


static void
check_policies(const perm_policies_t *policies)
{
    size_t        i;
    perm_tuple_t  tuple;

    for (i = 0; i < policies->n; i++) {
        check(strlen(policies->lines[i].key) <= KEY_MAX);
        check(i == 0
              || strcmp(policies->lines[i - 1].key, policies->lines[i].key)
                 < 0);

        /* a resource of that name; of one gateway it is found, too */

        tuple.gateway = perm_str("nowhere");
        tuple.resource = perm_str(policies->lines[i].key);
        tuple.app = perm_str("demo");

        if (perm_name_resource_valid(tuple.resource)) {
            check(perm_policies_open(policies, &tuple)
                  == policies->lines[i].open);
        }
    }
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
