
#include "shm/health.h"


/* a worker that swaps a state writes its line, so that there is one for all */


void
perm_health_redis(perm_health_t *health, ngx_uint_t worker, ngx_uint_t up,
    ngx_log_t *log)
{
    time_t      before;
    ngx_uint_t  all_up, known;

    if (worker >= PERM_HEALTH_WORKERS) {
        return;
    }

    /* orders: its own state before those of the others */
    __atomic_store_n(&health->down[worker], !up, __ATOMIC_SEQ_CST);

    /* of two workers that come here the later one has seen both stores */

    for ( ;; ) {
        all_up = !perm_health_any(health->down);
        before = (time_t) health->redis_since;

        /* orders: its own state before that of all */
        known = __atomic_load_n(&health->redis_up, __ATOMIC_SEQ_CST);

        if (known == all_up) {

            /* down from the start is a change, too */

            /* orders: only this word */
            if (all_up
                || !ngx_atomic_cmp_set(&health->redis_since, 0, ngx_time()))
            {
                return;
            }

        } else {

            /* orders: the state of all before those of the workers */
            if (!ngx_atomic_cmp_set(&health->redis_up, !all_up, all_up)) {
                continue;
            }

            health->redis_since = ngx_time();
        }

        if (all_up) {
            perm_health_log_good("Redis is up", NGX_LOG_NOTICE, before,
                                 !perm_health_turned(&health->redis_before, 1),
                                 log);

        } else {
            ngx_log_error(NGX_LOG_ERR, log, 0,
                          "app_permission: Redis is down: known grants go on "
                          "deciding for \"app_permission_cache_stale\", "
                          "accesses are kept until it is back");
        }
    }
}


/* workers of a former configuration that had more of them do not count */

ngx_uint_t
perm_health_any(u_char *workers)
{
    ngx_uint_t        i, n;
    ngx_core_conf_t  *ccf;

    ccf = (ngx_core_conf_t *) ngx_get_conf(ngx_cycle->conf_ctx,
                                           ngx_core_module);

    n = ngx_min((ngx_uint_t) ngx_max(ccf->worker_processes, 1),
                PERM_HEALTH_WORKERS);

    for (i = 0; i < n; i++) {

        /* orders: the states of the workers before that of all */
        if (__atomic_load_n(&workers[i], __ATOMIC_SEQ_CST)) {
            return 1;
        }
    }

    return 0;
}


void
perm_health_tracking(perm_health_t *health, ngx_uint_t active, ngx_log_t *log)
{
    time_t  before;

    active = (active != 0);

    /* orders: only this word */
    if (!ngx_atomic_cmp_set(&health->tracking, !active, active)) {
        return;
    }

    before = (time_t) health->tracking_since;
    health->tracking_since = ngx_time();

    if (active && perm_health_turned(&health->unpushed_logged, 0)) {
        perm_health_log_good("Redis pushes changes of grants", NGX_LOG_ERR,
                             before, 1, log);

    } else if (active && before == 0) {
        ngx_log_error(NGX_LOG_NOTICE, log, 0,
                      "app_permission: Redis pushes changes of grants");
    }
}


ngx_uint_t
perm_health_turned(ngx_atomic_t *flag, ngx_uint_t on)
{
    ngx_atomic_uint_t  was;

    was = *flag;

    if (on ? was >= on : was == 0) {
        return 0;
    }

    /* orders: only this word */
    return ngx_atomic_cmp_set(flag, was, on);
}


void
perm_health_log_good(const char *what, ngx_uint_t level, time_t before,
    ngx_uint_t again, ngx_log_t *log)
{
    if (before == 0) {
        ngx_log_error(level, log, 0, "app_permission: %s", what);
        return;
    }

    ngx_log_error(NGX_LOG_ERR, log, 0,
                  "app_permission: %s%s after %T s", what,
                  again ? " again" : "", ngx_max(ngx_time() - before, 0));
}


void
perm_health_lag(perm_health_t *health, ngx_msec_t msec)
{
    ngx_atomic_uint_t  worst;

    health->lag = msec;

    do {
        worst = health->lag_worst;

        /* orders: only this word */

    } while (msec > worst
             && !ngx_atomic_cmp_set(&health->lag_worst, worst, msec));
}


void
perm_health_unwritten(perm_health_t *health)
{
    /* orders: only this word */
    (void) ngx_atomic_cmp_set(&health->unwritten, 0,
                              (ngx_atomic_uint_t) ngx_time());
}


void
perm_health_written(perm_health_t *health, ngx_log_t *log)
{
    time_t  before;

    before = (time_t) health->unwritten;
    health->unwritten = 0;

    if (perm_health_turned(&health->unwritten_logged, 0)) {
        perm_health_log_good("last accesses are written", NGX_LOG_ERR, before,
                             1, log);
    }
}


ngx_uint_t
perm_health_first(perm_health_t *health, uint64_t hash)
{
    uint64_t    logged;
    ngx_uint_t  i, slot;

    if (hash == 0) {
        hash = 1;
    }

    /* on from its own place to a free one; where all are taken, its own */

    slot = hash % PERM_HEALTH_LOGGED;

    for (i = 0; i < PERM_HEALTH_LOGGED; i++) {
        logged = __atomic_load_n(
                            &health->logged[(slot + i) % PERM_HEALTH_LOGGED],
                            __ATOMIC_RELAXED);

        if (logged == hash) {
            return 0;
        }

        if (logged == 0) {
            slot = (slot + i) % PERM_HEALTH_LOGGED;
            break;
        }
    }

    /* orders: only this word */
    logged = __atomic_exchange_n(&health->logged[slot], hash,
                                 __ATOMIC_ACQ_REL);

    return logged != hash;
}
