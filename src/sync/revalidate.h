
/*
 * Grants that are not trusted any more are asked for again in the background,
 * so that an outage that follows finds what is true, also of apps that did not
 * call meanwhile.  This is a duty of the worker that changes are pushed to.
 * Its share of the worker's time and its lookups a second are bounded.
 */


#ifndef _PERM_SYNC_REVALIDATE_H_INCLUDED_
#define _PERM_SYNC_REVALIDATE_H_INCLUDED_


#include "sync/fetch.h"


typedef struct perm_revalidate_s  perm_revalidate_t;


/* all arguments outlive it; NULL: memory is out */

perm_revalidate_t *perm_revalidate_create(perm_sync_conf_t *conf,
    perm_fetch_t *fetch, ngx_cycle_t *cycle);


/*
 * Something changed: soon the whole cache is walked, and again, ever less
 * often, until every lookup of a walk was answered.  Nothing happens where no
 * location uses stale answers.
 */

void perm_revalidate_start(perm_revalidate_t *revalidate);

void perm_revalidate_stop(perm_revalidate_t *revalidate);


/*
 * gap, 1: changes may be missed.  Until that is over, only entries of keys
 * that were pushed as changed are asked for; then all others are, at once.
 */

void perm_revalidate_gap(perm_revalidate_t *revalidate, ngx_uint_t gap);


#endif /* _PERM_SYNC_REVALIDATE_H_INCLUDED_ */
