
/*
 * Grants written many at a time, none over what was not read.
 */


#ifndef _PERM_CLI_TABLE_BATCH_H_INCLUDED_
#define _PERM_CLI_TABLE_BATCH_H_INCLUDED_


#include "cli/table/grant_line.h"


typedef struct perm_batch_s  perm_batch_t;


typedef struct {
    perm_count_t  added;
    perm_count_t  changed;
    perm_count_t  unchanged;
    perm_count_t  refused;      /* their key is of another type */
} perm_batch_counts_t;


perm_batch_t *perm_batch_new(void);
void perm_batch_free(perm_batch_t *batch);


/*
 * Copies the line, which is the one of that number in its file; returns 0
 * when the batch is full, and the line not in it.
 */
int perm_batch_add(perm_table_t *table, perm_batch_t *batch,
    const perm_grant_line_t *line, perm_count_t number);


/*
 * Writes what was added, in its order, and empties the batch.  Members of a
 * value that its line does not have are kept; what would not change is not
 * written, so that no gateway hears of it.  Nor is what a later line of the
 * batch changes anyway: of several for one grant only the last one counts as
 * a change, if it is one.
 */
void perm_batch_write(perm_table_t *table, perm_batch_t *batch,
    perm_batch_counts_t *counts);


#endif /* _PERM_CLI_TABLE_BATCH_H_INCLUDED_ */
