
/*
 * Zones that a reload has replaced by one of another size.  Workers of before
 * record in them until they end, and may not be able to ask Redis then.
 */


#ifndef _PERM_SHM_FORMER_H_INCLUDED_
#define _PERM_SHM_FORMER_H_INCLUDED_


#include "shm/zone.h"


/*
 * In the master, when a reload cannot fail any more.  "former" is the one that
 * "zone" replaces, or NULL; nginx frees it, but its memory stays for workers
 * that are started from now on.  Memory that no worker records in any more is
 * given back, where nothing is to be taken over.
 */

void perm_former_keep(ngx_shm_zone_t *former, perm_zone_t *zone);


/*
 * Takes a few accesses over that were recorded after a zone was replaced: what
 * was pending before, the new zone has.  To be called again and again.  0: this
 * was the end of a walk over all of them.
 */

ngx_uint_t perm_former_take(perm_zone_t *zone);

/* a whole walk, at the end of a process */

void perm_former_take_all(perm_zone_t *zone);


#endif /* _PERM_SHM_FORMER_H_INCLUDED_ */
