
/*
 * Pushed changes into the cache, and changed entries asked for again.  One
 * worker at a time keeps the tracking connections for all.
 */


#ifndef _PERM_SYNC_INVALIDATOR_H_INCLUDED_
#define _PERM_SYNC_INVALIDATOR_H_INCLUDED_


#include "sync/fetch.h"


typedef struct perm_invalidator_s  perm_invalidator_t;


/* all arguments outlive it; NULL: memory is out */

perm_invalidator_t *perm_invalidator_create(perm_sync_conf_t *conf,
    perm_fetch_t *fetch, ngx_cycle_t *cycle);
void perm_invalidator_destroy(perm_invalidator_t *invalidator);


#endif /* _PERM_SYNC_INVALIDATOR_H_INCLUDED_ */
