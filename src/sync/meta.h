
/*
 * Whether the table is loaded, which one HGET of "meta" asks for all lookups of
 * a turn of the event loop.
 */


#ifndef _PERM_SYNC_META_H_INCLUDED_
#define _PERM_SYNC_META_H_INCLUDED_


#include <ngx_event.h>

#include "redis/client.h"
#include "sync/grants_reply.h"


typedef struct perm_meta_s  perm_meta_t;


/*
 * "rc": NGX_OK, the table is loaded; NGX_ABORT, it is not; NGX_AGAIN, it was
 * emptied or loaded since the question began; else "reply" is no answer, as
 * perm_grants_reply_loaded() says.
 */

typedef void (*perm_meta_pt)(void *data, redisReply *reply, ngx_int_t rc);


/* in the memory of its owner */

typedef struct {
    ngx_queue_t    queue;      /* of the turn */
    perm_meta_pt   handler;
    void          *data;
} perm_meta_waiter_t;


/* all of these outlive it; NULL: memory is out */

perm_meta_t *perm_meta_create(perm_sync_conf_t *conf, ngx_cycle_t *cycle,
    perm_redis_client_t *redis);
void perm_meta_destroy(perm_meta_t *meta);


/*
 * The question leaves at the end of this turn, behind the lookups that are sent
 * in it: where the table was emptied before a lookup, the answer says so.
 * Begin before the lookup is sent, so that one write takes both.  A waiter that
 * is not NULL is called once, unless perm_meta_cancel() comes first, which may
 * be given one that does not wait but is initialized.  NGX_ERROR: memory is
 * out.
 */

ngx_int_t perm_meta_ask(perm_meta_t *meta, perm_meta_waiter_t *waiter);
void perm_meta_cancel(perm_meta_waiter_t *waiter);


#endif /* _PERM_SYNC_META_H_INCLUDED_ */
