
/*
 * The end of import --replace.
 */


#ifndef _PERM_REPLACE_H_INCLUDED_
#define _PERM_REPLACE_H_INCLUDED_


#include "cli/cli.h"
#include "cli/prints.h"


/* Removes every grant that is not in the set; returns how many */

uint64_t perm_replace(perm_cli_t *cli, perm_prints_t *prints);


#endif /* _PERM_REPLACE_H_INCLUDED_ */
