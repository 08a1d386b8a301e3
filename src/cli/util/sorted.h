
/*
 * Rows in order, in bounded memory: what does not fit is in temporary files,
 * which have no name and end with the program.
 */


#ifndef _PERM_CLI_UTIL_SORTED_H_INCLUDED_
#define _PERM_CLI_UTIL_SORTED_H_INCLUDED_


#include <stdint.h>

#include "core/name.h"


typedef struct {
    int64_t     number;
    perm_str_t  name;      /* of rows with one number, in the order of bytes */
    perm_str_t  text;      /* a name and a text are shorter than 2 MiB */
} perm_sorted_row_t;


typedef struct perm_sorted_s  perm_sorted_t;

typedef void (*perm_sorted_row_pt)(void *data, const perm_sorted_row_t *row);


perm_sorted_t *perm_sorted_create(void);

/* Adds a copy of the row */

void perm_sorted_add(perm_sorted_t *sorted, const perm_sorted_row_t *row);

/*
 * Visits the rows in their order, one of those with the same number and name,
 * and frees them and "sorted".
 */
void perm_sorted_end(perm_sorted_t *sorted, perm_sorted_row_pt handler,
    void *data);


#endif /* _PERM_CLI_UTIL_SORTED_H_INCLUDED_ */
