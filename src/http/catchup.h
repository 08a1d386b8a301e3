
/*
 * What was reported as changed, and grants that may have been without that,
 * are asked for anew, in the background: an outage that follows finds what is
 * true, also where nobody called meanwhile.  In the worker that hears of
 * changes; bounded in what it takes of its time and in the lookups a second.
 */


#ifndef _PERM_CATCHUP_H_INCLUDED_
#define _PERM_CATCHUP_H_INCLUDED_


#include "http/conf.h"


typedef struct perm_catchup_s  perm_catchup_t;


/* lives as long as the cycle; NULL when memory is out */

perm_catchup_t *perm_catchup_create(perm_main_conf_t *pmcf,
    ngx_cycle_t *cycle);


/*
 * Something changed: soon the whole table is looked through, and again, ever
 * less often, until all of that has been answered.  Not where nothing uses
 * stale answers.
 */

void perm_catchup_start(perm_catchup_t *catchup);


/*
 * 1: what is fetched is not trusted for long, since changes are missed, or
 * others are asked than tell of them.  Grants that may have changed can wait
 * for the end of that; what was reported is asked for all the same.
 */

void perm_catchup_gap(perm_catchup_t *catchup, ngx_uint_t gap);

void perm_catchup_stop(perm_catchup_t *catchup);


#endif /* _PERM_CATCHUP_H_INCLUDED_ */
