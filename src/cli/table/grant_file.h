
/*
 * The file that import reads: a JSON object a line, or one array of objects as
 * the dashboard of the BlueKing gateway exports it.  Only one object at a time
 * is in memory.
 */


#ifndef _PERM_CLI_TABLE_GRANT_FILE_H_INCLUDED_
#define _PERM_CLI_TABLE_GRANT_FILE_H_INCLUDED_


#include <sys/types.h>

#include "cli/table/grant_line.h"


typedef struct {
    perm_str_t     text;      /* with a NUL behind it */
    perm_count_t   line;      /* where it begins, from 1 */
    size_t         column;    /* likewise, in bytes */
    const char    *wrong;     /* NULL, or why there is no text */
} perm_grant_item_t;


typedef struct {
    const char    *name;      /* for messages */
    perm_count_t   size;      /* bytes, or 0 when it is not known */
    perm_count_t   offset;    /* bytes read */
    perm_count_t   line;      /* where the next byte is, from 1 */
    size_t         column;    /* likewise */
    int            begun;
    int            array;
    int            ended;     /* the array, or the file */
    int            open;      /* the file ends within the array, or its last
                                 line has no end */
    int            comma;     /* before the next element of the array */
    int            fd;
    off_t          start;     /* where it begins in fd */
    size_t         pos;       /* of the next byte in "in" */
    size_t         len;
    char           in[65536];
    char           text[PERM_LINE_MAX + 1];
} perm_grant_file_t;


/*
 * Opens the file; NULL and "-" are standard input.  What is no regular file is
 * copied to a temporary one, so that it can be read twice.  What cannot be
 * opened or read, and UTF-16, ends the program.
 */
perm_grant_file_t *perm_grant_file_open(const char *name);

/* Begins again where it began */

void perm_grant_file_rewind(perm_grant_file_t *file);

void perm_grant_file_close(perm_grant_file_t *file);


/*
 * Reads the next object, whatever it is.  Blank lines are passed.  Returns 0 at
 * the end, and after an interrupt.
 */
int perm_grant_file_next(perm_grant_file_t *file, perm_grant_item_t *item);


#endif /* _PERM_CLI_TABLE_GRANT_FILE_H_INCLUDED_ */
