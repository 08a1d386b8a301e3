
/*
 * A file that appears all at once, or not at all.
 */


#ifndef _PERM_CLI_UTIL_ATOMIC_FILE_H_INCLUDED_
#define _PERM_CLI_UTIL_ATOMIC_FILE_H_INCLUDED_


#include <stdio.h>


typedef struct {
    FILE        *file;
    const char  *name;
    char        *temporary;   /* NULL: written where it is */
} perm_atomic_file_t;


/*
 * name: NULL or "-" is standard output; what is there and is no regular file
 * is written as it is.  What fails ends the program; the temporary file goes
 * when perm_fatal() is called, or with perm_atomic_file_abandon().
 */
void perm_atomic_file_open(perm_atomic_file_t *out, const char *name);
void perm_atomic_file_commit(perm_atomic_file_t *out);
void perm_atomic_file_abandon(perm_atomic_file_t *out);


#endif /* _PERM_CLI_UTIL_ATOMIC_FILE_H_INCLUDED_ */
