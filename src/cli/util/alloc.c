
#include "cli/util/alloc.h"

#include <stdlib.h>

#include "cli/util/output.h"


void
perm_alloc_failed(void)
{
    perm_output_fatal(PERM_EXIT_REDIS, "out of memory");
}


void *
perm_alloc_check(void *p)
{
    if (p == NULL) {
        perm_alloc_failed();
    }

    return p;
}


void *
perm_alloc(size_t size)
{
    return perm_alloc_check(malloc(size ? size : 1));
}


void *
perm_alloc_room(void *array, size_t *size, size_t n, size_t each)
{
    if (n <= *size) {
        return array;
    }

    *size = 2 * n;

    return perm_alloc_check(reallocarray(array, *size, each));
}


/* fclose() of glibc does not tell of all that has failed */

void
perm_alloc_close(FILE *file, char *const *text)
{
    int  failed;

    failed = ferror(file);

    if (fclose(file) != 0 || failed || *text == NULL) {
        perm_alloc_failed();
    }
}
