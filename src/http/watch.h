
/*
 * Pushed invalidations into the cache: one worker at a time keeps the
 * tracking connections for all.
 */


#ifndef _PERM_WATCH_H_INCLUDED_
#define _PERM_WATCH_H_INCLUDED_


#include "http/conf.h"


perm_watch_t *perm_watch_create(perm_main_conf_t *pmcf, ngx_cycle_t *cycle);
void perm_watch_destroy(perm_watch_t *watch);


#endif /* _PERM_WATCH_H_INCLUDED_ */
