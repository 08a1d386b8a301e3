
/*
 * How many different keys have been seen, in a bounded room: HyperLogLog
 * (Flajolet, Fusy, Gandouet, Meunier, 2007), with linear counting while they
 * are few.  Any process may add at any time: there is no lock.
 */


#ifndef _PERM_SHM_DISTINCT_H_INCLUDED_
#define _PERM_SHM_DISTINCT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define PERM_DISTINCT_BITS       11
#define PERM_DISTINCT_REGISTERS  (1 << PERM_DISTINCT_BITS)


typedef struct {
    u_char    registers[PERM_DISTINCT_REGISTERS];   /* atomic */
} perm_distinct_t;


/* "hash" is of a key, with a seed that no caller knows */

void perm_distinct_add(perm_distinct_t *distinct, uint64_t hash);

/* the standard error is 2.3 %, and below 1,000 keys less */

ngx_uint_t perm_distinct_count(perm_distinct_t *distinct);


#endif /* _PERM_SHM_DISTINCT_H_INCLUDED_ */
