
/*
 * The status as JSON.
 */


#ifndef _PERM_STATUS_JSON_H_INCLUDED_
#define _PERM_STATUS_JSON_H_INCLUDED_


#include "http/writer.h"
#include "status/snapshot.h"


#define PERM_STATUS_LIMIT      50    /* entries of a list by default */
#define PERM_STATUS_LIMIT_MAX  256


/* what the lists are to show */

typedef struct {
    perm_str_t     gateway;         /* len 0: all */
    perm_str_t     resource;        /* len 0: all */
    ngx_uint_t     limit;           /* entries of each list */
} perm_status_lists_t;


void perm_status_json(perm_writer_t *w, perm_snapshot_t *s,
    perm_status_lists_t *lists);

/* {"now":...,"would_deny":[...]} */

void perm_status_json_would_deny(perm_writer_t *w, perm_zone_t *zone,
    perm_status_lists_t *lists);


#endif /* _PERM_STATUS_JSON_H_INCLUDED_ */
