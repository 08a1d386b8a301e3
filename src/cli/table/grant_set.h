
/*
 * The grants of a file, each as 24 bytes: which ones are in it, and which are
 * there again.  They are numbered from 1 in the order of the file.
 */


#ifndef _PERM_CLI_TABLE_GRANT_SET_H_INCLUDED_
#define _PERM_CLI_TABLE_GRANT_SET_H_INCLUDED_


#include "cli/util/output.h"
#include "core/name.h"


typedef struct perm_grant_set_s  perm_grant_set_t;


typedef struct {
    perm_count_t   lines;        /* that repeat the grant of an earlier one */
    perm_count_t   other_ends;   /* of them, with another end */
    uint32_t       first;        /* the first two with different ends; */
    uint32_t       second;       /* numbers beyond 2^32 - 1 count as that */
} perm_grant_set_repeats_t;


/* An empty set; perm_grant_set_free() frees it */

perm_grant_set_t *perm_grant_set_new(void);
void perm_grant_set_free(perm_grant_set_t *set);


void perm_grant_set_add(perm_grant_set_t *set, const perm_tuple_t *grant,
    int64_t expires, perm_count_t number);

/* Sorts it, for the following functions, when everything is in it */

void perm_grant_set_sort(perm_grant_set_t *set,
    perm_grant_set_repeats_t *repeats);

int perm_grant_set_has(perm_grant_set_t *set, const perm_tuple_t *grant);

/* Returns 1 when the grant comes again later, and then its last end */

int perm_grant_set_later(perm_grant_set_t *set, const perm_tuple_t *grant,
    perm_count_t number, int64_t *expires);


#endif /* _PERM_CLI_TABLE_GRANT_SET_H_INCLUDED_ */
