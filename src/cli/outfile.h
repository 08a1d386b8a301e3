
/*
 * A file that appears all at once, or not at all.
 */


#ifndef _PERM_OUTFILE_H_INCLUDED_
#define _PERM_OUTFILE_H_INCLUDED_


#include <stdio.h>


typedef struct {
    FILE        *file;
    const char  *name;
    char        *temporary;   /* NULL: written where it is */
} perm_outfile_t;


/*
 * name: NULL or "-" is standard output; what is there and is no regular file
 * is written as it is.  What fails ends the program; the temporary file goes
 * when perm_fatal() is called, or with perm_outfile_abandon().
 */
void perm_outfile_open(perm_outfile_t *out, const char *name);
void perm_outfile_commit(perm_outfile_t *out);
void perm_outfile_abandon(perm_outfile_t *out);


#endif /* _PERM_OUTFILE_H_INCLUDED_ */
