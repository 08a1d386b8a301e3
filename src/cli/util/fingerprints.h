
/*
 * The set of grants a file holds, in bounded memory however many: sorted
 * fingerprints of 128 bits, in a temporary file when they are too many.
 */


#ifndef _PERM_CLI_UTIL_FINGERPRINTS_H_INCLUDED_
#define _PERM_CLI_UTIL_FINGERPRINTS_H_INCLUDED_


#include "core/name.h"


typedef struct perm_fingerprints_s  perm_fingerprints_t;


/* resource.len 0 stands for the whole gateway in these */

perm_fingerprints_t *perm_fingerprints_new(void);
void perm_fingerprints_add(perm_fingerprints_t *prints,
    const perm_tuple_t *grant);

/* Ends the adding; needed once, before the first question */

void perm_fingerprints_seal(perm_fingerprints_t *prints);

int perm_fingerprints_has(perm_fingerprints_t *prints,
    const perm_tuple_t *grant);

void perm_fingerprints_free(perm_fingerprints_t *prints);


#endif /* _PERM_CLI_UTIL_FINGERPRINTS_H_INCLUDED_ */
