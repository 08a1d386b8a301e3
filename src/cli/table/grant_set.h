
/*
 * The grants of a file, each as 16 bytes: which ones are in it, and which lines
 * are for the same one.
 */


#ifndef _PERM_CLI_TABLE_GRANT_SET_H_INCLUDED_
#define _PERM_CLI_TABLE_GRANT_SET_H_INCLUDED_


#include "cli/util/output.h"
#include "core/name.h"


typedef struct perm_grant_set_s  perm_grant_set_t;


typedef struct {
    perm_count_t   lines;        /* that repeat the grant of an earlier one */
    perm_count_t   other_ends;   /* of them, with another end */
    uint32_t       first;        /* the first two lines with different ends; */
    uint32_t       second;       /* lines beyond 2^32 - 1 count as that one */
} perm_grant_set_repeats_t;


/* An empty set; perm_grant_set_free() frees it */

perm_grant_set_t *perm_grant_set_new(void);
void perm_grant_set_free(perm_grant_set_t *set);


void perm_grant_set_add(perm_grant_set_t *set, const perm_tuple_t *grant,
    int64_t expires, perm_count_t line);

/* Sorts it, for perm_grant_set_has(), when everything is in it */

void perm_grant_set_sort(perm_grant_set_t *set,
    perm_grant_set_repeats_t *repeats);

int perm_grant_set_has(perm_grant_set_t *set, const perm_tuple_t *grant);


#endif /* _PERM_CLI_TABLE_GRANT_SET_H_INCLUDED_ */
