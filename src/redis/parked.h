
/*
 * Commands that wait for a connection, each until its deadline.
 */


#ifndef _PERM_REDIS_PARKED_H_INCLUDED_
#define _PERM_REDIS_PARKED_H_INCLUDED_


#include "redis/command.h"


typedef struct {
    ngx_queue_t    commands;
    ngx_event_t    timer;
} perm_redis_parked_t;


void perm_redis_parked_init(perm_redis_parked_t *parked, ngx_log_t *log);

/* frees the commands; no handler is called */
void perm_redis_parked_done(perm_redis_parked_t *parked);

void perm_redis_parked_add(perm_redis_parked_t *parked,
    perm_redis_command_t *command);

/* the first one, which is in no queue then, or NULL */
perm_redis_command_t *perm_redis_parked_take(perm_redis_parked_t *parked);

/* from the event loop only: handlers are called */
void perm_redis_parked_fail(perm_redis_parked_t *parked);


#endif /* _PERM_REDIS_PARKED_H_INCLUDED_ */
