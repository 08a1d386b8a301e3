
/*
 * Keys that are named as the table's and are something else.
 */


#ifndef _PERM_TYPES_H_INCLUDED_
#define _PERM_TYPES_H_INCLUDED_


#include "cli/cli.h"
#include "cli/report.h"


/*
 * Looks at the type of every key, and reports the first of those that are
 * wrong.  A user who may not look gets no report.
 */
void perm_types_check(perm_cli_t *cli, perm_report_t *report);


#endif /* _PERM_TYPES_H_INCLUDED_ */
