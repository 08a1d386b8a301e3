
/*
 * A call's names by value, for records in shared memory.
 */


#ifndef _PERM_SHM_NAMES_H_INCLUDED_
#define _PERM_SHM_NAMES_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "core/name.h"


typedef struct {
    uint16_t    gateway;    /* bytes of each, one after the other */
    uint16_t    resource;
    uint16_t    app;
    char        bytes[PERM_TUPLE_MAX];
} perm_names_t;


/* each name at most PERM_*_MAX bytes */

void perm_names_put(perm_names_t *names, perm_tuple_t *tuple);

/* call points into names; never beyond it, whatever the record holds */

void perm_names_get(perm_names_t *names, perm_tuple_t *tuple);

ngx_uint_t perm_names_equal(perm_names_t *names, perm_tuple_t *tuple);

/* FNV-1a; tells records apart fast, the names are compared besides */

uint64_t perm_names_hash(perm_tuple_t *tuple);


#endif /* _PERM_SHM_NAMES_H_INCLUDED_ */
