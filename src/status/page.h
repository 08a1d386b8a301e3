
/*
 * The status as a page for people: page.html with page.css and page.js.
 */


#ifndef _PERM_STATUS_PAGE_H_INCLUDED_
#define _PERM_STATUS_PAGE_H_INCLUDED_


#include "status/json.h"


/*
 * Writes the page, and adds the headers that let it do nothing but run its
 * own script and ask for its own status.  NGX_OK or NGX_ERROR.
 */
ngx_int_t perm_status_page(ngx_http_request_t *r, perm_writer_t *w,
    perm_snapshot_t *s, perm_lists_query_t *lists);


#endif /* _PERM_STATUS_PAGE_H_INCLUDED_ */
