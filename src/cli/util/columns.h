
/*
 * A table for people: lines of cells, in columns as wide as they need.
 */


#ifndef _PERM_CLI_UTIL_COLUMNS_H_INCLUDED_
#define _PERM_CLI_UTIL_COLUMNS_H_INCLUDED_


#include <stddef.h>


#define PERM_COLUMNS_MAX  8


/* zeros but for the titles, which end with NULL, are an empty table */

typedef struct {
    const char *const  *titles;
    char              **lines;    /* each with its cells, a NUL behind each */
    size_t              n;
    size_t              room;
    size_t              widths[PERM_COLUMNS_MAX];
} perm_columns_t;


/* Adds a copy of the cells, one for each title */

void perm_columns_add(perm_columns_t *columns, const char *const *cells);

/*
 * Writes the titles and the lines to standard output, and frees them: sorted by
 * the first "sorted" columns, or as they came for 0.  Nothing when there is no
 * line.
 */
void perm_columns_print(perm_columns_t *columns, size_t sorted);


#endif /* _PERM_CLI_UTIL_COLUMNS_H_INCLUDED_ */
