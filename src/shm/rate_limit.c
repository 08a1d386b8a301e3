
#include "shm/rate_limit.h"


/* how far the cached times of two workers may be apart */

#define PERM_RATE_LIMIT_APART  INT64_C(5000000)   /* usec */


ngx_int_t
perm_rate_limit_take(perm_rate_limit_t *limit, perm_rate_limit_conf_t *conf,
    ngx_msec_t now, ngx_msec_t max)
{
    uint64_t            interval, burst, wait, longest;
    ngx_atomic_int_t    ahead;
    ngx_atomic_uint_t   due, usec;

    if (conf->rate == 0) {
        return 0;
    }

    /* usec between two; rounded up so that the rate is never exceeded */

    interval = (1000000 + conf->rate - 1) / conf->rate;
    burst = interval * conf->burst;
    longest = (uint64_t) max * 1000;

    usec = (ngx_atomic_uint_t) now * 1000;

    for ( ;; ) {
        due = limit->due;
        ahead = (ngx_atomic_int_t) (due - usec);

        /*
         * A time that is further ahead than any place comes from a clock that
         * was set back, from another configuration, or from a counter of 32
         * bits that wrapped.
         */

        if (ahead < 0
            || (uint64_t) ahead > burst + interval + longest
                                  + PERM_RATE_LIMIT_APART)
        {
            ahead = 0;
        }

        wait = ((uint64_t) ahead > burst) ? (uint64_t) ahead - burst : 0;

        if (wait > longest) {
            return NGX_ERROR;
        }

        /* orders: only this word */
        if (ngx_atomic_cmp_set(&limit->due, due,
                               usec + ahead + (ngx_atomic_uint_t) interval))
        {
            return (wait + 999) / 1000;
        }
    }
}
