
/*
 * The alerts: what is wrong now, what it does to calls, and what to do.
 */


#ifndef _PERM_STATUS_ALERTS_H_INCLUDED_
#define _PERM_STATUS_ALERTS_H_INCLUDED_


#include "status/snapshot.h"


/* "note", "warning", "error", by perm_severity_t */

extern const char *const  perm_alerts_severities[];

/* sets nalerts and alerts, worst first; flush: ms between two flushes */

void perm_alerts_find(perm_snapshot_t *s, ngx_msec_t flush);


#endif /* _PERM_STATUS_ALERTS_H_INCLUDED_ */
