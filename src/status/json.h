
/*
 * The status as JSON.
 */


#ifndef _PERM_STATUS_JSON_H_INCLUDED_
#define _PERM_STATUS_JSON_H_INCLUDED_


#include "status/lists.h"
#include "status/snapshot.h"


void perm_status_json(perm_writer_t *w, perm_snapshot_t *s,
    perm_lists_query_t *query);

/* {"now":...,"would_deny":[...]} */

void perm_status_json_would_deny(perm_writer_t *w, perm_zone_t *zone,
    perm_lists_query_t *query);


#endif /* _PERM_STATUS_JSON_H_INCLUDED_ */
