
/*
 * (gateway, resource, app) -> both grants, out of Redis and into the cache.
 * One of these in a worker; waiters for the same tuple share one lookup.
 */


#ifndef _PERM_SYNC_FETCH_H_INCLUDED_
#define _PERM_SYNC_FETCH_H_INCLUDED_


#include "sync/sync_conf.h"
#include "sync/pending.h"
#include "redis/client.h"


#define PERM_FETCH_SLOW   100    /* ms without an answer */

/* flags of a lookup */

#define PERM_FETCH_KNOWN  0x01   /* the cache holds a grant for it: the limit
                                    of unknown keys does not apply */
#define PERM_FETCH_PEEK   0x02   /* the cache does not get the answer */


typedef struct perm_fetch_s  perm_fetch_t;


/* "conf" and the cycle's pool and log outlive it; NULL: memory is out */

perm_fetch_t *perm_fetch_create(perm_sync_conf_t *conf, ngx_cycle_t *cycle);
void perm_fetch_destroy(perm_fetch_t *fetch);


/*
 * Looks a tuple up.  Returns NGX_OK: the handler of the waiter will be called,
 * and not on this stack, unless perm_fetch_cancel() comes first.  Without a
 * waiter (NULL) the answer is only for the cache.  NGX_DECLINED: there is no
 * link to Redis.  NGX_BUSY: the lookup is over the limit, or there is no room
 * for it; so a caller may have brought it about, and nobody is let in for it.
 */

ngx_int_t perm_fetch(perm_fetch_t *fetch, perm_tuple_t *tuple, uint64_t hash,
    ngx_uint_t flags, perm_pending_waiter_t *waiter);

/* a waiter that does not wait may be given; the lookup goes on */

void perm_fetch_cancel(perm_pending_waiter_t *waiter);


/* 1: a lookup has had no answer for PERM_FETCH_SLOW ms, and may never have */

ngx_uint_t perm_fetch_slow(perm_fetch_t *fetch);


/* this worker's link, which the flush and the status use, too */

perm_redis_client_t *perm_fetch_redis(perm_fetch_t *fetch);

/* with which it asks whether the table is loaded */

perm_meta_t *perm_fetch_meta(perm_fetch_t *fetch);


#endif /* _PERM_SYNC_FETCH_H_INCLUDED_ */
