
/*
 * Pending accesses to Redis: one walk over the recorder's table at a time, in
 * small steps, with a bounded number of commands on their way.
 */


#ifndef _PERM_SENDER_H_INCLUDED_
#define _PERM_SENDER_H_INCLUDED_


#include "http/recorder.h"
#include "redis/topology.h"


typedef struct perm_sender_s  perm_sender_t;


/* NULL when memory is out; "prefix" is of the keys and outlives the sender */

perm_sender_t *perm_sender_create(perm_recorder_t *recorder,
    perm_redis_t *redis, ngx_str_t *prefix, ngx_log_t *log);

/* what is on its way stays pending */
void perm_sender_destroy(perm_sender_t *sender);


/* begins a walk over the whole table */

void perm_sender_start(perm_sender_t *sender);


/*
 * Sends the next few.  NGX_AGAIN: call again in a moment; NGX_OK: the walk is
 * over and everything was answered that could be sent: in a cluster a master
 * may be down; NGX_DECLINED: the link is down, or a link was lost, and another
 * walk is due when it is up; NGX_ERROR: given up, because Redis refuses one
 * after the other.  What was not acknowledged stays pending.  Refusals are
 * logged once per change of state.
 */
ngx_int_t perm_sender_step(perm_sender_t *sender);


/* commands without an answer yet */

ngx_uint_t perm_sender_outstanding(perm_sender_t *sender);


#endif /* _PERM_SENDER_H_INCLUDED_ */
