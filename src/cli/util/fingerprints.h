
/*
 * The set of grants that a file holds: 16 bytes of SHA-256 for each, sorted.
 */


#ifndef _PERM_CLI_UTIL_FINGERPRINTS_H_INCLUDED_
#define _PERM_CLI_UTIL_FINGERPRINTS_H_INCLUDED_


#include "core/name.h"


#define PERM_FINGERPRINT_SIZE  16


typedef struct {
    unsigned char  bytes[PERM_FINGERPRINT_SIZE];
} perm_fingerprint_t;


/* begins zeroed */

typedef struct {
    perm_fingerprint_t  *list;
    size_t               n;
    size_t               size;   /* fingerprints that "list" has room for */
} perm_fingerprints_t;


/*
 * Names are valid; resource.len 0 is the whole gateway.  The set is sorted once
 * all grants are added, and before it is asked for the first one.  When memory
 * is out the program ends.
 */
void perm_fingerprints_add(perm_fingerprints_t *set, const perm_tuple_t *grant);
void perm_fingerprints_sort(perm_fingerprints_t *set);

/* 1 when the grant is in the set */

int perm_fingerprints_has(const perm_fingerprints_t *set,
    const perm_tuple_t *grant);


#endif /* _PERM_CLI_UTIL_FINGERPRINTS_H_INCLUDED_ */
