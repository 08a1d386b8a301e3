
/*
 * The status as JSON.
 */


#ifndef _PERM_STATUS_JSON_H_INCLUDED_
#define _PERM_STATUS_JSON_H_INCLUDED_


#include "status/lists.h"


void perm_status_json(perm_writer_t *w, perm_snapshot_t *s,
    perm_lists_query_t *lists);


#endif /* _PERM_STATUS_JSON_H_INCLUDED_ */
