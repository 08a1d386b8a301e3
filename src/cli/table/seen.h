
/*
 * A set of keys and fields: SCAN may return one again, and it counts once.
 *
 * It holds 16 bytes of SHA-256 for each, so that nobody can choose names that
 * hide another grant, and takes 21 to 43 bytes of memory for each.
 */


#ifndef _PERM_CLI_TABLE_SEEN_H_INCLUDED_
#define _PERM_CLI_TABLE_SEEN_H_INCLUDED_


#include <stddef.h>

#include "core/name.h"


#define PERM_SEEN_SIZE  16   /* bytes that stand for a key and a field */


/* zeros are an empty set */

typedef struct {
    unsigned char  (*prints)[PERM_SEEN_SIZE];   /* zeros: free */
    size_t           n;
    size_t           size;                      /* 0, or a power of two */
} perm_seen_t;


/* Returns 1 when that field of that key is new to the set, and adds it */

int perm_seen_add(perm_seen_t *seen, perm_str_t key, perm_str_t field);

void perm_seen_free(perm_seen_t *seen);


#endif /* _PERM_CLI_TABLE_SEEN_H_INCLUDED_ */
