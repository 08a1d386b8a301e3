
/*
 * The lists of the status as JSON values, filtered by the query.
 */


#ifndef _PERM_STATUS_LISTS_H_INCLUDED_
#define _PERM_STATUS_LISTS_H_INCLUDED_


#include "http/writer.h"
#include "status/snapshot.h"


#define PERM_LISTS_LIMIT      50    /* entries of a list by default */
#define PERM_LISTS_LIMIT_MAX  256


typedef struct {
    perm_str_t     gateway;         /* len 0: all */
    perm_str_t     resource;        /* len 0: all */
    ngx_uint_t     limit;           /* entries of each list */
} perm_lists_query_t;


void perm_lists_expiring(perm_writer_t *w, perm_snapshot_t *s,
    perm_lists_query_t *query);
void perm_lists_heavy_hitters(perm_writer_t *w, perm_records_t *heavy_hitters,
    perm_lists_query_t *query);
void perm_lists_resources(perm_writer_t *w, perm_records_t *resources,
    perm_lists_query_t *query);


#endif /* _PERM_STATUS_LISTS_H_INCLUDED_ */
