
/*
 * The lookups of a worker that are on their way, and who waits for them.
 */


#ifndef _PERM_LOOKUP_H_INCLUDED_
#define _PERM_LOOKUP_H_INCLUDED_


#include "http/fetch.h"


#define PERM_LOOKUP_BUCKETS  1024


typedef struct {
    ngx_queue_t           buckets[PERM_LOOKUP_BUCKETS];
    ngx_queue_t           sent;        /* the oldest first */
    ngx_uint_t            n;
} perm_lookups_t;


typedef struct {
    ngx_queue_t           link;        /* of its bucket */
    ngx_queue_t           sent;        /* once it is */
    ngx_queue_t           batch;       /* that one meta answer serves */
    ngx_queue_t           waiters;     /* perm_fetch_waiter_t */

    perm_fetch_t         *fetch;
    perm_call_t           call;        /* texts below */
    uint64_t              hash;

    perm_generation_t     generation;  /* read before it was sent */
    int64_t               fetched;     /* ms, monotonic, likewise */
    ngx_msec_t            due;         /* ms, monotonic: whoever waits is told
                                          by then */
    perm_grants_t         grants;
    perm_fetch_result_t   result;
    unsigned              known:1;     /* the limit does not apply */
    unsigned              delayed:1;   /* by the limit, not sent yet */
    unsigned              answered:1;  /* the grants are here */
    unsigned              checked:1;   /* "meta" is, or is not needed */
    unsigned              again:1;     /* to be sent once more */
    unsigned              sends:3;     /* how often it was */

    ngx_event_t           timer;       /* until the limit lets it go, and
                                          once it is sent again, until due */
    char                  names[PERM_CALL_MAX];
} perm_lookup_t;


struct perm_fetch_waiter_s {
    ngx_queue_t           link;
    perm_fetch_pt         handler;
    void                 *data;
};


void perm_lookups_init(perm_lookups_t *lookups);

/* memory of its own, or NULL; freed by perm_lookup_free() */

perm_lookup_t *perm_lookup_create(perm_lookups_t *lookups,
    perm_call_t *call, uint64_t hash);
void perm_lookup_free(perm_lookups_t *lookups, perm_lookup_t *lookup);


/* the newest one for this call, or NULL */

perm_lookup_t *perm_lookup_find(perm_lookups_t *lookups, perm_call_t *call,
    uint64_t hash);


/* it was sent just now: sets "fetched" */

void perm_lookup_sent(perm_lookups_t *lookups, perm_lookup_t *lookup);

/* for how long the oldest of them has had no answer, ms */

ngx_msec_t perm_lookups_waiting(perm_lookups_t *lookups);


perm_fetch_waiter_t *perm_lookup_wait(perm_lookup_t *lookup,
    perm_fetch_pt handler, void *data);

/* tells and frees every waiter; a handler may start and cancel others */

void perm_lookup_tell(perm_lookup_t *lookup);


#endif /* _PERM_LOOKUP_H_INCLUDED_ */
