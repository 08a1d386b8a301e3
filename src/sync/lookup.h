
/*
 * One question to Redis: HMGET and PTTL of the key of a tuple, and whether the
 * table is loaded.
 */


#ifndef _PERM_SYNC_LOOKUP_H_INCLUDED_
#define _PERM_SYNC_LOOKUP_H_INCLUDED_


#include "shm/cache.h"
#include "sync/meta.h"


typedef struct perm_lookup_sender_s  perm_lookup_sender_t;


/*
 * "rc": NGX_OK, "grants" is filled; NGX_ABORT, likewise, but the table is not
 * loaded; NGX_AGAIN, the table was emptied or loaded meanwhile; NGX_DECLINED,
 * an error reply; NGX_ERROR, no reply (NULL), or one of a wrong type.
 */

typedef void (*perm_lookup_pt)(void *data, redisReply *reply, ngx_int_t rc);


/* in the memory of its owner, zeroed before the first use */

typedef struct {
    perm_lookup_pt         handler;
    void                  *data;
    perm_tuple_t          *tuple;

    perm_generation_t      generation;  /* read before it was sent */
    ngx_msec_t             sent;        /* monotonic, likewise */
    perm_grants_t          grants;
    ngx_uint_t             replica;     /* a replica answered */
    unsigned               long_gateway:1;    /* unreadable: over 64 KiB */
    unsigned               long_resource:1;

    /* the rest is for lookup.c */

    perm_lookup_sender_t  *sender;
    perm_redis_command_t  *hmget;       /* on its way, or NULL */
    perm_redis_command_t  *pttl;
    perm_meta_waiter_t     meta;
    ngx_int_t              table;       /* rc of "meta", NGX_BUSY: none yet */
} perm_lookup_t;


/* one in a worker; these outlive it; NULL: memory is out */

perm_lookup_sender_t *perm_lookup_create(perm_sync_conf_t *conf,
    ngx_cycle_t *cycle, perm_redis_client_t *redis);
void perm_lookup_destroy(perm_lookup_sender_t *sender);

/* with which it asks whether the table is loaded */

perm_meta_t *perm_lookup_meta(perm_lookup_sender_t *sender);


/*
 * NGX_OK: the handler will be called, and not on this stack, unless
 * perm_lookup_cancel() comes first, which may be called at any time.
 * NGX_ERROR: there is no link to the server, too much is on its way, or memory
 * is out.
 */

ngx_int_t perm_lookup_send(perm_lookup_sender_t *sender,
    perm_lookup_t *lookup);
void perm_lookup_cancel(perm_lookup_t *lookup);


#endif /* _PERM_SYNC_LOOKUP_H_INCLUDED_ */
