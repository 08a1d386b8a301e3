
/*
 * A response's body that grows in the request's pool, and the escapes of JSON
 * and HTML.
 */


#ifndef _PERM_HTTP_WRITER_H_INCLUDED_
#define _PERM_HTTP_WRITER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "core/name.h"


#define PERM_WRITER_LINE  1024              /* bytes of one put */
#define PERM_WRITER_MAX   (8 * 1024 * 1024) /* bytes of all of it */


typedef struct {
    ngx_pool_t     *pool;
    ngx_chain_t    *first;
    ngx_chain_t   **last;
    ngx_buf_t      *buf;      /* of the last link */
    off_t           size;     /* bytes of all links */
    unsigned        failed:1; /* memory is out, or the bound is reached: from
                                 then on nothing is written */
} perm_writer_t;


void perm_writer_init(perm_writer_t *w, ngx_pool_t *pool);

/* ngx_sprintf() of at most PERM_WRITER_LINE bytes */

void ngx_cdecl perm_writer_put(perm_writer_t *w, const char *fmt, ...);

#define perm_writer_bool(value)  ((value) ? "true" : "false")

/* text as it is */

void perm_writer_text(perm_writer_t *w, const char *text, size_t len);


/*
 * A JSON string with its quotes: valid JSON whatever the bytes, also within
 * a script element of a page.  NULL data: null.
 */
void perm_writer_json(perm_writer_t *w, perm_str_t text);

/* text of an HTML element or of an attribute in quotes */

void perm_writer_html(perm_writer_t *w, perm_str_t text);


/* marks the last buffer of the chain, w->buf; NULL when the writer failed */

ngx_chain_t *perm_writer_finish(perm_writer_t *w);


#endif /* _PERM_HTTP_WRITER_H_INCLUDED_ */
