
/*
 * What doctor looks at in one server.
 */


#ifndef _PERM_SERVER_H_INCLUDED_
#define _PERM_SERVER_H_INCLUDED_


#include "cli/cli.h"
#include "cli/report.h"


void perm_server_check(perm_cli_t *cli, perm_report_t *report,
    const perm_node_t *node);


#endif /* _PERM_SERVER_H_INCLUDED_ */
