
/*
 * Copies the contents of a zone to one of another size.
 */


#ifndef _PERM_SHM_ZONE_MIGRATE_H_INCLUDED_
#define _PERM_SHM_ZONE_MIGRATE_H_INCLUDED_


#include "shm/zone.h"


/*
 * The zone of the running configuration where that is not the same memory, or
 * NULL.  In the master, while the next configuration is read.
 */

perm_zone_t *perm_zone_migrate_former(ngx_shm_zone_t *shm_zone);


/* copies known grants, untrusted, and pending accesses, and logs how many */

void perm_zone_migrate(perm_zone_t *zone, perm_zone_t *former,
    ngx_log_t *log);


#endif /* _PERM_SHM_ZONE_MIGRATE_H_INCLUDED_ */
