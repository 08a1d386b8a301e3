
/*
 * The fields of one key that an app sees of its own: copies, by resource.
 */


#ifndef _PERM_SYNC_SELF_FIELDS_H_INCLUDED_
#define _PERM_SYNC_SELF_FIELDS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "core/name.h"


/* "resource" is "-" for the whole gateway */

typedef struct {
    perm_str_t   resource;
    perm_str_t   value;       /* a grant, a request, or a score */
} perm_self_field_t;


typedef struct {
    ngx_array_t         array;      /* perm_self_field_t, as they came */
    perm_self_field_t  *fields;     /* by resource, each once */
    ngx_uint_t          nfields;
} perm_self_fields_t;


/* all is of the pool; NGX_ERROR: memory is out */

ngx_int_t perm_self_fields_init(perm_self_fields_t *fields, ngx_pool_t *pool);

/* adds a copy; NGX_ERROR: memory is out */

ngx_int_t perm_self_fields_add(perm_self_fields_t *fields,
    perm_str_t resource, perm_str_t value);

/* when all were added, once */

void perm_self_fields_sort(perm_self_fields_t *fields);

/* the value of that resource, when sorted; data NULL: there is none */

perm_str_t perm_self_fields_find(perm_self_fields_t *fields,
    perm_str_t resource);


#endif /* _PERM_SYNC_SELF_FIELDS_H_INCLUDED_ */
