
/*
 * Entries that are not trusted any more are looked up again in the background.
 * The worker that changes are pushed to does it for all.
 */


#ifndef _PERM_SYNC_REVALIDATE_H_INCLUDED_
#define _PERM_SYNC_REVALIDATE_H_INCLUDED_


#include "sync/fetch.h"


#define PERM_REVALIDATE_SOON   10     /* ms */
#define PERM_REVALIDATE_DELAY  100    /* ms: changes come in bursts, and
                                         requests of the apps refetch most */


typedef struct perm_revalidate_s  perm_revalidate_t;


/* all arguments outlive it; NULL: memory is out */

perm_revalidate_t *perm_revalidate_create(perm_sync_conf_t *conf,
    perm_fetch_t *fetch, ngx_cycle_t *cycle);

/* a walk ends where it is */

void perm_revalidate_stop(perm_revalidate_t *revalidate);


/*
 * A walk begins "delay" ms from now at the latest.  Where one is on its way,
 * another one follows it.
 */

void perm_revalidate_start(perm_revalidate_t *revalidate, ngx_msec_t delay);


/* changes may be missed from now on (1), or not any more (0) */

void perm_revalidate_gap(perm_revalidate_t *revalidate, ngx_uint_t gap);


#endif /* _PERM_SYNC_REVALIDATE_H_INCLUDED_ */
