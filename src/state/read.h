
/*
 * Reading the state file when nginx starts.
 */


#ifndef _PERM_STATE_READ_H_INCLUDED_
#define _PERM_STATE_READ_H_INCLUDED_


#include "shm/zone.h"


/*
 * Loads the newest whole file into the empty tables of a zone.  Grants are not
 * trusted: they are used as stale only.  A damaged or foreign file is renamed
 * to "file.bad" with one line in the log that says what is wrong; its whole
 * twin serves.  Never fails the start.
 */

void perm_state_read(ngx_str_t *name, perm_zone_t *zone, ngx_log_t *log);


#endif /* _PERM_STATE_READ_H_INCLUDED_ */
