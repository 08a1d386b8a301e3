
/*
 * import, in two files: import.c reads and writes the lines, import_replace.c
 * removes the other grants.
 */


#ifndef _PERM_CLI_COMMANDS_IMPORT_PRIV_H_INCLUDED_
#define _PERM_CLI_COMMANDS_IMPORT_PRIV_H_INCLUDED_


#include "cli/commands/command.h"
#include "cli/table/bad_lines.h"
#include "cli/table/batch.h"
#include "cli/table/grant_file.h"
#include "cli/table/grant_set.h"


typedef struct {
    perm_cli_t            *cli;
    perm_grant_file_t     *file;
    perm_grant_item_t      item;
    perm_bad_lines_t       bad;
    perm_count_t           settled;     /* the line until which all is done */
    perm_count_t           number;      /* of the grant in the file, from 1 */
    perm_count_t           total;       /* of these, when it was read first */
    perm_count_t           good;        /* lines */
    perm_count_t           compared;    /* grants of the table */
    perm_count_t           absent;      /* of them: not in the file */
    perm_count_t           before;      /* grants before the import */
    perm_count_t           removed;
    perm_count_t           removals;    /* that may be */
    int                    cut;         /* the file is not whole */
    perm_batch_counts_t    counts;
    perm_batch_conf_t      conf;
    perm_batch_t          *batch;
    perm_grant_set_t      *grants;      /* of the file */
    perm_grant_set_repeats_t  repeats;
    perm_count_t           first;       /* the lines of those ... */
    perm_count_t           second;      /* ... with different ends */
    char                   error[256];  /* why not all is done, or "" */
} perm_import_t;


/* Says why not all is done; for JSON the first reason is kept */

void perm_import_refuse(perm_import_t *import, const char *fmt, ...)
    PERM_PRINTF(2);


/*
 * --replace, when all lines are written: removes the grants that are not in the
 * file, or refuses to.
 */
void perm_import_replace(perm_import_t *import);


#endif /* _PERM_CLI_COMMANDS_IMPORT_PRIV_H_INCLUDED_ */
