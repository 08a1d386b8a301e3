
/*
 * The clocks of the servers that accesses are written to: no access may be
 * written in Redis's future.
 */


#ifndef _PERM_SYNC_SERVER_CLOCK_H_INCLUDED_
#define _PERM_SYNC_SERVER_CLOCK_H_INCLUDED_


#include "redis/client.h"
#include "shm/health.h"


typedef struct perm_server_clock_s  perm_server_clock_t;


/* unix seconds; how far apart is how long the reply to TIME took */

typedef struct {
    time_t          earliest;
    time_t          latest;
} perm_server_clock_now_t;


/* all outlive it; NULL: memory is out */

perm_server_clock_t *perm_server_clock_create(perm_health_t *health,
    ngx_cycle_t *cycle);

/*
 * The time of the server that "key" lives on.  NGX_OK: it is within *now.
 * NGX_AGAIN: it was asked, call again in a moment.  NGX_DECLINED: it does not
 * tell.  NGX_ERROR: it cannot be asked now.  NGX_ABORT: its link was lost.
 */
ngx_int_t perm_server_clock_read(perm_server_clock_t *clock,
    perm_redis_client_t *redis, ngx_str_t *key, perm_server_clock_now_t *now);

/* questions without a reply */

ngx_uint_t perm_server_clock_outstanding(perm_server_clock_t *clock);

/* the client ends: no reply comes any more */

void perm_server_clock_cancel(perm_server_clock_t *clock);


#endif /* _PERM_SYNC_SERVER_CLOCK_H_INCLUDED_ */
