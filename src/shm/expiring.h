
/*
 * Grants that allowed a request and end soon.
 */


#ifndef _PERM_SHM_EXPIRING_H_INCLUDED_
#define _PERM_SHM_EXPIRING_H_INCLUDED_


#include "core/decision.h"
#include "shm/records.h"


#define PERM_EXPIRING_MAX      512   /* records */
#define PERM_EXPIRING_WINDOWS  4     /* 1, 3, 7 and 15 days */
#define PERM_EXPIRING_DAYS     15


typedef struct {
    perm_record_t   record;    /* resource "-": a grant on the gateway */
    int64_t         expires;   /* unix seconds */
} perm_expiring_entry_t;


extern const ngx_uint_t  perm_expiring_days[PERM_EXPIRING_WINDOWS];


/* 1 for a live grant that ends within PERM_EXPIRING_DAYS */

ngx_uint_t perm_expiring_soon(int64_t expires, time_t now);

/*
 * Notes the grant that decided a request: for each answer of Redis, and for a
 * cached one if the grant ends soon.  "expires" is that of the decision.  A
 * grant that ends soon is listed, and one that was renewed or is gone leaves
 * the list.  If it is full, the grant that ends last is left out.  It never
 * waits: while another worker holds the lock, nothing is noted.
 */

void perm_expiring_note(perm_records_t *records, perm_tuple_t *tuple,
    perm_reason_t reason, int64_t expires, time_t now);

/*
 * How many end within each of perm_expiring_days[] from now.  Returns how
 * many were left out for want of room, since start.
 */

ngx_uint_t perm_expiring_count(perm_records_t *records, time_t now,
    ngx_uint_t counts[PERM_EXPIRING_WINDOWS]);

/*
 * Copies out those that have not ended, the next one first, into
 * entries[PERM_EXPIRING_MAX]; returns how many.
 */

ngx_uint_t perm_expiring_list(perm_records_t *records, time_t now,
    perm_expiring_entry_t *entries);


#endif /* _PERM_SHM_EXPIRING_H_INCLUDED_ */
