
/*
 * What doctor looks at in one server.
 */


#ifndef _PERM_CLI_COMMANDS_DOCTOR_SERVER_H_INCLUDED_
#define _PERM_CLI_COMMANDS_DOCTOR_SERVER_H_INCLUDED_


#include "cli/cli.h"
#include "cli/commands/doctor_report.h"


void perm_doctor_server_check(perm_cli_t *cli, perm_doctor_report_t *report,
    const perm_node_t *node);


#endif /* _PERM_CLI_COMMANDS_DOCTOR_SERVER_H_INCLUDED_ */
