
/*
 * Temporary files: in the directory that TMPDIR names, else in /tmp.
 */


#ifndef _PERM_CLI_UTIL_TEMPORARY_H_INCLUDED_
#define _PERM_CLI_UTIL_TEMPORARY_H_INCLUDED_


#include <stdio.h>


/*
 * Returns a file without a name, which is gone when it is closed.  Ends the
 * program with the following when there can be none.
 */
FILE *perm_temporary_open(const char *content);

/*
 * Ends the program, which has changed nothing so far: errno says why the
 * content cannot be kept.
 */

void perm_temporary_failed(const char *content) __attribute__((noreturn));


#endif /* _PERM_CLI_UTIL_TEMPORARY_H_INCLUDED_ */
