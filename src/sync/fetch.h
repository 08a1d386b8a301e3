
/*
 * (gateway, resource, app) -> both grants, out of Redis and into the cache.
 * One of these in a worker; waiters for the same call share one lookup.
 */


#ifndef _PERM_SYNC_FETCH_H_INCLUDED_
#define _PERM_SYNC_FETCH_H_INCLUDED_


#include "sync/sync_conf.h"
#include "redis/client.h"


#define PERM_FETCH_LATE   100    /* ms */
#define PERM_FETCH_ERROR  128    /* bytes */

/* flags of a lookup */

#define PERM_FETCH_KNOWN  0x01   /* the cache holds a grant for it: the limit
                                    of unknown keys does not apply */
#define PERM_FETCH_PEEK   0x02   /* the cache does not get the answer */


typedef struct perm_fetch_s         perm_fetch_t;
typedef struct perm_fetch_waiter_s  perm_fetch_waiter_t;


typedef enum {
    PERM_FETCHED = 0,
    PERM_FETCH_NOT_LOADED,     /* Redis answered, but its table is not loaded */
    PERM_FETCH_IMPOSSIBLE      /* connection lost, time-out, error reply, over
                                  the limit */
} perm_fetch_result_t;


typedef struct {
    perm_fetch_result_t  result;
    perm_grants_t        grants;   /* not of PERM_FETCH_IMPOSSIBLE */
    char                 error[PERM_FETCH_ERROR];  /* why it is impossible:
                                                      bytes of Redis, a NUL */
} perm_fetch_reply_t;


/* never called on the stack of perm_fetch(); "reply" lasts for the call */

typedef void (*perm_fetch_pt)(void *data, perm_fetch_reply_t *reply);


perm_fetch_t *perm_fetch_create(perm_sync_conf_t *conf, ngx_cycle_t *cycle);
void perm_fetch_destroy(perm_fetch_t *fetch);


/*
 * Looks a tuple up.  With a NULL handler it only refreshes the cache.  Returns
 * NGX_AGAIN with *waiter set, NGX_OK without a handler, or NGX_DECLINED when a
 * lookup is impossible now; the handler is not called then.
 */
ngx_int_t perm_fetch(perm_fetch_t *fetch, perm_tuple_t *tuple, uint64_t hash,
    ngx_uint_t flags, perm_fetch_pt handler, void *data,
    perm_fetch_waiter_t **waiter);

/* an answer has been due for PERM_FETCH_LATE ms: it may never come */
ngx_uint_t perm_fetch_late(perm_fetch_t *fetch);

/* the handler will not be called; the lookup goes on and fills the cache */
void perm_fetch_cancel(perm_fetch_waiter_t *waiter);


/* asks whether the table is loaded, for health; comes to nothing while DOWN */
void perm_fetch_table(perm_fetch_t *fetch);


/* this worker's link, for the flush and the status */
perm_redis_client_t *perm_fetch_redis(perm_fetch_t *fetch);


#endif /* _PERM_SYNC_FETCH_H_INCLUDED_ */
