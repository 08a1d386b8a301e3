
/*
 * The set of grants a file holds, in bounded memory however many: sorted
 * fingerprints of 128 bits, in a temporary file when they are too many.
 */


#ifndef _PERM_PRINTS_H_INCLUDED_
#define _PERM_PRINTS_H_INCLUDED_


#include "core/name.h"


typedef struct perm_prints_s  perm_prints_t;


/* resource.len 0 stands for the whole gateway in these */

perm_prints_t *perm_prints_new(void);
void perm_prints_add(perm_prints_t *prints, const perm_call_t *grant);

/* Ends the adding; needed once, before the first question */

void perm_prints_seal(perm_prints_t *prints);

int perm_prints_has(perm_prints_t *prints, const perm_call_t *grant);

void perm_prints_free(perm_prints_t *prints);


#endif /* _PERM_PRINTS_H_INCLUDED_ */
