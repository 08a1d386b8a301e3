
/*
 * What is wrong with what somebody wrote into Redis: told once for each place,
 * whichever worker comes upon it, and however often.
 */


#ifndef _PERM_COMPLAINT_H_INCLUDED_
#define _PERM_COMPLAINT_H_INCLUDED_


#include "http/conf.h"


/* unreadable ones, if there are: they count as absent.  Counted, too */

void perm_complaint_grants(perm_main_conf_t *pmcf, perm_call_t *call,
    perm_grants_t *grants, ngx_log_t *log);


/* not a hash where the grants should be */

void perm_complaint_wrong_type(perm_main_conf_t *pmcf, perm_call_t *call,
    ngx_log_t *log);


#endif /* _PERM_COMPLAINT_H_INCLUDED_ */
