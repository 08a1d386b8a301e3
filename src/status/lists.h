
/*
 * The lists of the status, as JSON and as CSV, and how complete they are.
 */


#ifndef _PERM_STATUS_LISTS_H_INCLUDED_
#define _PERM_STATUS_LISTS_H_INCLUDED_


#include "http/writer.h"
#include "status/snapshot.h"


#define PERM_LISTS_LIMIT      50    /* entries of a list by default */
#define PERM_LISTS_LIMIT_MAX  256

/* lists that can be asked for by themselves */

#define PERM_LISTS_REFUSED     0x01
#define PERM_LISTS_WOULD_DENY  0x02


/* what the lists are to show */

typedef struct {
    ngx_uint_t     only;            /* PERM_LISTS_*; 0: all */
    perm_str_t     gateway;         /* len 0: all */
    perm_str_t     resource;        /* len 0: all */
    ngx_uint_t     limit;           /* entries of each list */
    ngx_uint_t     offset;          /* entries before these */
} perm_lists_query_t;


/*
 * The members of all lists, each with a comma before it; the last one, "lists",
 * says of each how much of it is shown.
 */

void perm_lists_json(perm_writer_t *w, perm_snapshot_t *s,
    perm_lists_query_t *query);

/* {"now":...,"would_deny":[...],"lists":{...}}: those of query->only */

void perm_lists_json_only(perm_writer_t *w, perm_zone_t *zone,
    perm_lists_query_t *query);

/*
 * CSV (RFC 4180) of query->only, or of both of these.  A list that is not
 * complete ends with a line that says so.
 */

void perm_lists_csv(perm_writer_t *w, perm_zone_t *zone,
    perm_lists_query_t *query);


#endif /* _PERM_STATUS_LISTS_H_INCLUDED_ */
