
/*
 * The lists of the status as JSON values, filtered as asked for.
 */


#ifndef _PERM_STATUS_LISTS_H_INCLUDED_
#define _PERM_STATUS_LISTS_H_INCLUDED_


#include "status/form.h"


void perm_list_expiring(perm_writer_t *w, perm_snapshot_t *s,
    perm_expiring_t *expiring, perm_status_query_t *query);
void perm_list_top(perm_writer_t *w, perm_heavy_hitters_t *top,
    perm_status_query_t *query);
void perm_list_resources(perm_writer_t *w, perm_resources_t *resources,
    perm_status_query_t *query);


#endif /* _PERM_STATUS_LISTS_H_INCLUDED_ */
