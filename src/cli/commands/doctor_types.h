
/*
 * Keys that are named as the table's and are something else.
 */


#ifndef _PERM_CLI_COMMANDS_DOCTOR_TYPES_H_INCLUDED_
#define _PERM_CLI_COMMANDS_DOCTOR_TYPES_H_INCLUDED_


#include "cli/cli.h"
#include "cli/commands/doctor_report.h"


/*
 * Looks at the type of every key, and reports the first of those that are
 * wrong.  A user who may not look gets no report.
 */
void perm_doctor_types_check(perm_cli_t *cli, perm_doctor_report_t *report);


#endif /* _PERM_CLI_COMMANDS_DOCTOR_TYPES_H_INCLUDED_ */
