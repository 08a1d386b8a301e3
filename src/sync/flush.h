
/*
 * Recorded accesses to Redis, on a timer, by one worker at a time and on a link
 * of their own.  The same worker writes the state file.
 */


#ifndef _PERM_SYNC_FLUSH_H_INCLUDED_
#define _PERM_SYNC_FLUSH_H_INCLUDED_


#include "sync/sync_conf.h"
#include "sync/fetch.h"


typedef struct perm_flush_s  perm_flush_t;


/*
 * All arguments outlive it.  The client of "fetch" asks whether the table is
 * loaded, and takes the accesses of perm_flush_finish() only.  NULL: memory is
 * out.
 */

perm_flush_t *perm_flush_create(perm_sync_conf_t *conf, perm_fetch_t *fetch,
    ngx_cycle_t *cycle);

/* for exit_process: a last flush, for at most two seconds */

void perm_flush_finish(perm_flush_t *flush);


#endif /* _PERM_SYNC_FLUSH_H_INCLUDED_ */
