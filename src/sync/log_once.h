
/*
 * What is wrong with what somebody wrote into Redis: told once for each place,
 * whichever worker comes upon it, and however often.
 */


#ifndef _PERM_SYNC_LOG_ONCE_H_INCLUDED_
#define _PERM_SYNC_LOG_ONCE_H_INCLUDED_


#include "sync/sync_conf.h"


/* unreadable ones, if there are: they count as absent.  Counted, too */

void perm_log_once_grants(perm_sync_conf_t *conf, perm_stats_cell_t *stats,
    perm_tuple_t *tuple, perm_grants_t *grants, ngx_log_t *log);


/* not a hash where the grants should be */

void perm_log_once_wrong_type(perm_sync_conf_t *conf, perm_tuple_t *tuple,
    ngx_log_t *log);


#endif /* _PERM_SYNC_LOG_ONCE_H_INCLUDED_ */
