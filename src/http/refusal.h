
/*
 * What is said of a call that is refused, or would be: its line in the error
 * log and its place among the heaviest.
 */


#ifndef _PERM_REFUSAL_H_INCLUDED_
#define _PERM_REFUSAL_H_INCLUDED_


#include "http/check.h"


void perm_refusal_note(ngx_http_request_t *r, perm_loc_conf_t *plcf,
    perm_check_t *check);


#endif /* _PERM_REFUSAL_H_INCLUDED_ */
