
/*
 * Memory.  The program ends when there is none.
 */


#ifndef _PERM_CLI_UTIL_ALLOC_H_INCLUDED_
#define _PERM_CLI_UTIL_ALLOC_H_INCLUDED_


#include <stddef.h>
#include <stdio.h>


/* malloc() that does not return NULL */

void *perm_alloc(size_t size);

/* Ends the program: memory is out */

void perm_alloc_failed(void);

/* Returns p, or ends the program when p is NULL as memory is out */

void *perm_alloc_check(void *p);

/* Closes a stream of open_memstream(), whose text is not NULL then */

void perm_alloc_close(FILE *file, char *const *text);

/*
 * Returns the array with room for at least n elements of "each" bytes, and
 * doubles *size, its room so far, as often as it has to move.
 */
void *perm_alloc_room(void *array, size_t *size, size_t n, size_t each);


#endif /* _PERM_CLI_UTIL_ALLOC_H_INCLUDED_ */
