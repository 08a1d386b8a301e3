
/*
 * The lookups of a worker that are on their way, and who waits for them.
 */


#ifndef _PERM_SYNC_PENDING_H_INCLUDED_
#define _PERM_SYNC_PENDING_H_INCLUDED_


#include "sync/fetch.h"


#define PERM_PENDING_BUCKETS  1024


typedef struct {
    ngx_queue_t           buckets[PERM_PENDING_BUCKETS];
    ngx_queue_t           sent;        /* the oldest first */
    ngx_uint_t            n;
} perm_pending_table_t;


typedef struct {
    ngx_queue_t           link;        /* of its bucket */
    ngx_queue_t           sent;        /* once it is */
    ngx_queue_t           batch;       /* that one meta answer serves */
    ngx_queue_t           waiters;     /* perm_fetch_waiter_t */

    perm_fetch_t         *fetch;
    perm_tuple_t          tuple;       /* texts below */
    uint64_t              hash;

    perm_generation_t     generation;  /* read before it was sent */
    int64_t               fetched;     /* ms, monotonic, likewise */
    ngx_msec_t            due;         /* ms, monotonic: whoever waits is told
                                          by then */
    perm_fetch_reply_t    reply;
    unsigned              known:1;     /* the limit does not apply */
    unsigned              store:1;     /* the cache gets the answer */
    unsigned              delayed:1;   /* by the limit, not sent yet */
    unsigned              answered:1;  /* the grants are here */
    unsigned              checked:1;   /* "meta" is, or is not needed */
    unsigned              again:1;     /* to be sent once more */
    unsigned              sends:3;     /* how often it was */

    ngx_event_t           timer;       /* until the limit lets it go, and
                                          once it is sent again, until due */
    char                  names[PERM_TUPLE_MAX];
} perm_pending_t;


struct perm_fetch_waiter_s {
    ngx_queue_t           link;
    perm_fetch_pt         handler;
    void                 *data;
};


void perm_pending_init(perm_pending_table_t *pendings);

/* memory of its own, or NULL; freed by perm_pending_free() */

perm_pending_t *perm_pending_create(perm_pending_table_t *pendings,
    perm_tuple_t *tuple, uint64_t hash);
void perm_pending_free(perm_pending_table_t *pendings, perm_pending_t *pending);


/* the newest one for this call, or NULL */

perm_pending_t *perm_pending_find(perm_pending_table_t *pendings,
    perm_tuple_t *tuple, uint64_t hash);


/* it was sent just now: sets "fetched" */

void perm_pending_sent(perm_pending_table_t *pendings, perm_pending_t *pending);

/* for how long the oldest of them has had no answer, ms */

ngx_msec_t perm_pending_waiting(perm_pending_table_t *pendings);


perm_fetch_waiter_t *perm_pending_wait(perm_pending_t *pending,
    perm_fetch_pt handler, void *data);

/* tells and frees every waiter; a handler may start and cancel others */

void perm_pending_tell(perm_pending_t *pending);


#endif /* _PERM_SYNC_PENDING_H_INCLUDED_ */
