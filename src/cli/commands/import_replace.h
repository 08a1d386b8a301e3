
/*
 * The end of import --replace.
 */


#ifndef _PERM_CLI_COMMANDS_IMPORT_REPLACE_H_INCLUDED_
#define _PERM_CLI_COMMANDS_IMPORT_REPLACE_H_INCLUDED_


#include "cli/cli.h"
#include "cli/util/fingerprints.h"


/* Removes every grant that is not in the set; returns how many */

uint64_t perm_import_replace(perm_cli_t *cli, perm_fingerprints_t *prints);


#endif /* _PERM_CLI_COMMANDS_IMPORT_REPLACE_H_INCLUDED_ */
