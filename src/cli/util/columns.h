
/*
 * A table for people: lines of cells, in columns as wide as they need.
 */


#ifndef _PERM_CLI_UTIL_COLUMNS_H_INCLUDED_
#define _PERM_CLI_UTIL_COLUMNS_H_INCLUDED_


#include <stddef.h>


#define PERM_COLUMNS_MAX  12


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
 * A line by itself, for those that are kept elsewhere: a copy of the cells, to
 * be freed by the caller, for whose width the columns have room.  Writes the
 * titles, and such a line.
 */
char *perm_columns_pack(perm_columns_t *columns, const char *const *cells,
    size_t *len);
void perm_columns_titles(perm_columns_t *columns);
void perm_columns_line(const perm_columns_t *columns, const char *line);

/*
 * Writes the titles and the lines to standard output, and frees them: sorted by
 * the first "sorted" columns, or as they came for 0.  Nothing when there is no
 * line.
 */
void perm_columns_print(perm_columns_t *columns, size_t sorted);


#endif /* _PERM_CLI_UTIL_COLUMNS_H_INCLUDED_ */
