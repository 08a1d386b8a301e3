
/*
 * The forms of the status: a snapshot and what was asked -> text.
 */


#ifndef _PERM_STATUS_FORM_H_INCLUDED_
#define _PERM_STATUS_FORM_H_INCLUDED_


#include "status/snapshot.h"
#include "http/writer.h"


#define PERM_STATUS_LIST      50    /* entries of a list, unless asked for */
#define PERM_STATUS_LIST_MAX  256

#define PERM_NONCE_LEN        32    /* hexadecimal digits */


/* filters have len 0 where nothing was asked for */

typedef struct {
    perm_str_t     gateway;
    perm_str_t     resource;
    ngx_uint_t     limit;
} perm_status_query_t;


void perm_status_json(perm_writer_t *w, perm_snapshot_t *s,
    perm_zone_t *zone, perm_status_query_t *query);

/* {"would_deny":[...]}, the list alone, up to its bound */

void perm_status_would_deny(perm_writer_t *w, perm_zone_t *zone,
    perm_status_query_t *query);

/*
 * The text exposition format, version 0.0.4:
 * https://prometheus.io/docs/instrumenting/exposition_formats/
 */
void perm_status_prometheus(perm_writer_t *w, perm_snapshot_t *s);

/* a whole document; "nonce" is what its policy allows styles and scripts by */

void perm_status_page(perm_writer_t *w, perm_snapshot_t *s,
    perm_zone_t *zone, perm_status_query_t *query, u_char *nonce);


#endif /* _PERM_STATUS_FORM_H_INCLUDED_ */
