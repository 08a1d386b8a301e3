
/*
 * What Redis has of one app in one gateway: grants, last accesses and requests;
 * and new requests.  For the app that asks for itself.
 */


#ifndef _PERM_SYNC_SELF_H_INCLUDED_
#define _PERM_SYNC_SELF_H_INCLUDED_


#include <ngx_config.h>   /* first: it selects what libc declares */

#include "core/request.h"
#include "sync/fetch.h"
#include "sync/self_fields.h"


#define PERM_SELF_BYTES_MAX  (6 * 1024 * 1024)    /* of all that is read: the
                                                     response has room for it */
#define PERM_SELF_MAX        256                  /* of a worker at a time */


typedef enum {
    PERM_SELF_GRANTS = 0,
    PERM_SELF_REQUESTS,
    PERM_SELF_ACCESSES,
    PERM_SELF_KINDS
} perm_self_kind_t;


typedef struct perm_self_s  perm_self_t;

/*
 * NGX_OK: perm_self_fields() has the answer.  NGX_ERROR: Redis cannot be asked,
 * and the log says why where that is news.  Called once, never on the stack of
 * a function that was called.
 */
typedef void (*perm_self_pt)(void *data, ngx_int_t rc);


/*
 * Begins to read.  All is of the pool, which must outlive it, as must the names
 * and "log".  Returns NULL when Redis is down, too many lookups go on
 * (app_permission_lookup_limit) or PERM_SELF_MAX of these, or memory is out.
 */
perm_self_t *perm_self_read(perm_fetch_t *fetch, perm_sync_conf_t *conf,
    perm_tuple_t *tuple, ngx_pool_t *pool, ngx_log_t *log,
    perm_self_pt handler, void *data);

/*
 * Likewise, asks for what the body names, in one step.  "text": of
 * perm_request_text().  PERM_SELF_REQUESTS are those that are stored now.
 */
perm_self_t *perm_self_ask(perm_fetch_t *fetch, perm_sync_conf_t *conf,
    perm_tuple_t *tuple, ngx_pool_t *pool, ngx_log_t *log,
    perm_request_body_t *body, char *text, perm_self_pt handler, void *data);

/* of perm_self_ask(): what perm_request_left_text() takes */

unsigned perm_self_left(perm_self_t *self);

/* the handler is not called any more */

void perm_self_cancel(perm_self_t *self);


/*
 * Of perm_self_read(): how many ms the key of the grants has left, or
 * PERM_GRANTS_ENDLESS
 */

int64_t perm_self_ttl(perm_self_t *self);

/* sorted, when the handler is called */

perm_self_fields_t *perm_self_fields(perm_self_t *self, perm_self_kind_t kind);


#endif /* _PERM_SYNC_SELF_H_INCLUDED_ */
