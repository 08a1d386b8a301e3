
/*
 * Lines that import refuses: the first ones are told each, the rest is counted
 * by kind.
 */


#ifndef _PERM_CLI_TABLE_BAD_LINES_H_INCLUDED_
#define _PERM_CLI_TABLE_BAD_LINES_H_INCLUDED_


#include "cli/table/grant_line.h"


#define PERM_BAD_LINES_SHOWN  20
#define PERM_BAD_LINES_KINDS  32


typedef struct {
    const char      *member;   /* or NULL */
    const char      *wrong;
    perm_count_t     n;        /* not told */
} perm_bad_lines_kind_t;


typedef struct {
    const char             *file;
    perm_count_t            n;
    unsigned                nkinds;
    perm_bad_lines_kind_t   kinds[PERM_BAD_LINES_KINDS];   /* the last one is
                                                              for all others */
} perm_bad_lines_t;


/*
 * Counts the line, and tells of it or keeps its kind: the texts of "error" stay
 * with this.  column: from 1, of the line, or 0 when it is not known.
 */
void perm_bad_lines_add(perm_bad_lines_t *bad, perm_count_t line,
    size_t column, const perm_grant_line_error_t *error);

/* Says how many more there were */

void perm_bad_lines_report(const perm_bad_lines_t *bad);


#endif /* _PERM_CLI_TABLE_BAD_LINES_H_INCLUDED_ */
