
/*
 * What the Redis user may do, found out by doing it where it does no harm.
 */


#ifndef _PERM_CLI_COMMANDS_DOCTOR_RIGHTS_H_INCLUDED_
#define _PERM_CLI_COMMANDS_DOCTOR_RIGHTS_H_INCLUDED_


#include "cli/cli.h"
#include "cli/commands/doctor_report.h"


/* the index of a word of --for, and whom it stands for */

#define PERM_ROLE_ALL      0
#define PERM_ROLE_GATEWAY  1

#define PERM_FOR_GATEWAY  1
#define PERM_FOR_RENEWAL  2
#define PERM_FOR_AUDITOR  4


/* Tries every command that one of "whom", a sum of the above, needs */

void perm_doctor_rights_check(perm_cli_t *cli, perm_doctor_report_t *report,
    unsigned whom);


/* 1 when an error reply says that the user lacks a right */

int perm_doctor_rights_lacking(const redisReply *reply);


#endif /* _PERM_CLI_COMMANDS_DOCTOR_RIGHTS_H_INCLUDED_ */
