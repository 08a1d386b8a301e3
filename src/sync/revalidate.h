
/*
 * What was reported as changed, and grants that may have been without that,
 * are asked for anew, in the background: an outage that follows finds what is
 * true, also where nobody called meanwhile.  In the worker that hears of
 * changes; bounded in what it takes of its time and in the lookups a second.
 */


#ifndef _PERM_SYNC_REVALIDATE_H_INCLUDED_
#define _PERM_SYNC_REVALIDATE_H_INCLUDED_


#include "sync/fetch.h"


typedef struct perm_revalidate_s  perm_revalidate_t;


/* lives as long as the cycle; NULL when memory is out */

perm_revalidate_t *perm_revalidate_create(perm_sync_conf_t *conf,
    perm_fetch_t *fetch, ngx_cycle_t *cycle);


/*
 * Something changed: soon the whole table is looked through, and again, ever
 * less often, until all of that has been answered.  Not where nothing uses
 * stale answers.
 */

void perm_revalidate_start(perm_revalidate_t *revalidate);


/*
 * 1: what is fetched is not trusted for long, since changes are missed, or
 * others are asked than tell of them.  Grants that may have changed can wait
 * for the end of that; what was reported is asked for all the same.
 */

void perm_revalidate_gap(perm_revalidate_t *revalidate, ngx_uint_t gap);

void perm_revalidate_stop(perm_revalidate_t *revalidate);


#endif /* _PERM_SYNC_REVALIDATE_H_INCLUDED_ */
