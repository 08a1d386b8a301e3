
/*
 * How many lookups of unknown keys all workers together send to Redis.
 */


#ifndef _PERM_SHM_RATE_LIMIT_H_INCLUDED_
#define _PERM_SHM_RATE_LIMIT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


typedef struct {
    ngx_atomic_t    due;       /* usec, monotonic: when the next lookup is due
                                  if all come evenly */
} perm_rate_limit_t;


typedef struct {
    ngx_uint_t      rate;      /* lookups a second, 0: no limit */
    ngx_uint_t      burst;     /* lookups */
} perm_rate_limit_conf_t;


/*
 * Takes a place (generic cell rate algorithm).  Returns how many ms to wait
 * before the lookup may be sent, or NGX_ERROR, with no place taken, when that
 * would be more than "max" ms.
 */

ngx_int_t perm_rate_limit_take(perm_rate_limit_t *limit,
    perm_rate_limit_conf_t *conf, ngx_msec_t now, ngx_msec_t max);


#endif /* _PERM_SHM_RATE_LIMIT_H_INCLUDED_ */
