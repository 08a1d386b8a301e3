
/*
 * Lookups of a worker that Redis has not answered yet, and their waiters.
 */


#ifndef _PERM_SYNC_PENDING_H_INCLUDED_
#define _PERM_SYNC_PENDING_H_INCLUDED_


#include <ngx_event.h>

#include "shm/tuple.h"
#include "sync/lookup.h"


#define PERM_PENDING_BUCKETS  1024


typedef struct perm_pending_s  perm_pending_t;


/* "reply" lasts for the call */

typedef void (*perm_pending_pt)(void *data, perm_grants_reply_t *reply);


/* in the memory of its owner */

typedef struct {
    perm_pending_pt       handler;
    void                 *data;
    perm_pending_t       *pending;     /* NULL: it does not wait */
    ngx_queue_t           queue;
} perm_pending_waiter_t;


typedef struct {
    ngx_queue_t           buckets[PERM_PENDING_BUCKETS];
    ngx_queue_t           sent;        /* the oldest first */
    ngx_queue_t           queued;      /* those that wait for these */
    ngx_uint_t            unknown;     /* sent, and not answered */
} perm_pending_table_t;


struct perm_pending_s {
    ngx_queue_t           link;        /* of its bucket, while it is shared */
    ngx_queue_t           sent;        /* of the table, once it is sent, or
                                          while it is queued */
    ngx_queue_t           waiters;     /* perm_pending_waiter_t */

    void                 *owner;
    perm_tuple_t          tuple;       /* of "names" */
    uint64_t              hash;

    perm_lookup_t         lookup;
    ngx_msec_t            due;         /* monotonic: the waiters' time ends;
                                          before it is sent: that of its turn */
    perm_grants_reply_t   reply;
    unsigned              known:1;     /* the limit does not apply */
    unsigned              store:1;     /* the cache gets the answer */
    unsigned              limited:1;   /* waits for the limit, not sent yet */
    unsigned              counted:1;   /* sent once, and "due" is set; among
                                          those on their way, unless known */
    unsigned              again:1;     /* to be sent once more */
    unsigned              resent:1;    /* its link was lost once */

    ngx_event_t           timer;       /* while it is limited, and from when it
                                          is sent again until it is due */
    perm_tuple_names_t    names;
};


void perm_pending_init(perm_pending_table_t *table);


/*
 * A lookup in memory of its own, until perm_pending_free(), which a waiter must
 * not outlive.  NULL: memory is out.
 */

perm_pending_t *perm_pending_create(perm_pending_table_t *table,
    perm_tuple_t *tuple, uint64_t hash);
void perm_pending_free(perm_pending_table_t *table, perm_pending_t *pending);


/* the newest one that is shared, or NULL */

perm_pending_t *perm_pending_find(perm_pending_table_t *table,
    perm_tuple_t *tuple, uint64_t hash);

/* perm_pending_find() does not find it any more */

void perm_pending_unshare(perm_pending_t *pending);


/* it waits until others are answered */

void perm_pending_queue(perm_pending_table_t *table, perm_pending_t *pending);

/* it was sent just now */

void perm_pending_sent(perm_pending_table_t *table, perm_pending_t *pending);

/* for how long the oldest one has had no answer, ms; 0: there is none */

ngx_msec_t perm_pending_waiting(perm_pending_table_t *table);


/* its handler will be called, unless it is cancelled */

void perm_pending_wait(perm_pending_t *pending, perm_pending_waiter_t *waiter);
void perm_pending_cancel(perm_pending_waiter_t *waiter);

/*
 * Calls the handler of each waiter, which does not wait any more by then: it
 * may start lookups, and cancel other waiters.
 */

void perm_pending_wake(perm_pending_t *pending, perm_grants_reply_t *reply);


#endif /* _PERM_SYNC_PENDING_H_INCLUDED_ */
