
/*
 * A file that appears all at once, or not at all.
 */


#ifndef _PERM_CLI_UTIL_ATOMIC_FILE_H_INCLUDED_
#define _PERM_CLI_UTIL_ATOMIC_FILE_H_INCLUDED_


#include <stdio.h>


typedef struct {
    FILE        *file;
    const char  *name;        /* for messages */
    char        *target;
    char        *temporary;   /* beside the target; NULL: written in place */
} perm_atomic_file_t;


/*
 * name: NULL or "-" is standard output; a name of something that is no regular
 * file is written in place.  What fails ends the program; perm_output_fatal()
 * and perm_atomic_file_abandon() remove the temporary file.
 */
void perm_atomic_file_open(perm_atomic_file_t *out, const char *name);
void perm_atomic_file_commit(perm_atomic_file_t *out);
void perm_atomic_file_abandon(perm_atomic_file_t *out);


#endif /* _PERM_CLI_UTIL_ATOMIC_FILE_H_INCLUDED_ */
