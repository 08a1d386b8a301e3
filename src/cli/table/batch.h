
/*
 * Writes many grants at a time.  A value is overwritten only when it is still
 * the one that was read.
 */


#ifndef _PERM_CLI_TABLE_BATCH_H_INCLUDED_
#define _PERM_CLI_TABLE_BATCH_H_INCLUDED_


#include "cli/table/grant_line.h"


typedef struct perm_batch_s  perm_batch_t;


typedef struct {
    perm_count_t  added;
    perm_count_t  changed;
    perm_count_t  shortened;   /* of those: they end earlier than before */
    perm_count_t  revived;     /* of those: they had ended, and live again */
    perm_count_t  unchanged;
} perm_batch_counts_t;


/* what becomes of a grant's end */

typedef enum {
    PERM_BATCH_END_OTHER = 0,   /* nothing of the following */
    PERM_BATCH_SHORTENED,
    PERM_BATCH_REVIVED
} perm_batch_end_t;


typedef struct {
    int    dry_run;     /* nothing is written */
    void  *data;        /* for the handlers */

    /* a line is not written; wrong stays */
    void (*refused)(void *data, perm_count_t number, const char *wrong);

    /* a grant gets another value; old.data NULL: it is new.  NULL: untold */
    void (*changed)(void *data, const perm_tuple_t *grant, perm_str_t old,
        perm_str_t value);
} perm_batch_conf_t;


/* What the new value makes of the old one's end; "now" in unix seconds */

perm_batch_end_t perm_batch_end(perm_str_t old, perm_str_t value, int64_t now);

/* An empty batch, for the caller to free.  *conf stays. */

perm_batch_t *perm_batch_new(const perm_batch_conf_t *conf);


/*
 * Adds a copy of the line; "number" is its number in the file.  Returns 0 when
 * the batch is full: the line is not in it then.
 */
int perm_batch_add(perm_table_t *table, perm_batch_t *batch,
    const perm_grant_line_t *line, perm_count_t number);


/*
 * Writes the lines in their order, and empties the batch.  Members of a value
 * that its line does not have are kept.  A value that would not change is not
 * written, so that no gateway drops it from its cache.  Of several lines for
 * one grant one value is written, and only the last line counts as a change.
 */
void perm_batch_write(perm_table_t *table, perm_batch_t *batch,
    perm_batch_counts_t *counts);


#endif /* _PERM_CLI_TABLE_BATCH_H_INCLUDED_ */
