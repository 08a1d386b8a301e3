
/*
 * The policies of resources, as a file of lines of an nginx "map" has them:
 *
 *   # comment
 *   list_status         open;
 *   smoke/health        off;        # of one gateway
 *   default             required;
 *   include             more.map;   # beside this file
 *
 * As in nginx, names match whatever the case of their letters.
 */


#ifndef _PERM_CLI_TABLE_POLICIES_H_INCLUDED_
#define _PERM_CLI_TABLE_POLICIES_H_INCLUDED_


#include "core/name.h"


typedef struct perm_policies_s  perm_policies_t;


/*
 * Reads the file.  What cannot be read, a regular expression or a variable
 * among others, ends the program with PERM_EXIT_USAGE, and names the line: it
 * could say that nobody needs a grant, or that all do.
 */
perm_policies_t *perm_policies_read(const char *name);
void perm_policies_free(perm_policies_t *policies);


/* Returns 1 when the resource is "open" or "off": nobody needs a grant on it */

int perm_policies_open(const perm_policies_t *policies,
    const perm_tuple_t *tuple);


#endif /* _PERM_CLI_TABLE_POLICIES_H_INCLUDED_ */
