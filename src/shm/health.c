
#include "shm/health.h"


/*
 * Whoever swaps a state in writes the line, so that a change is logged once
 * in all workers.
 */


/* notes the time of a change; returns how long the state before it lasted,
   in seconds, or -1 when there was none */

static time_t
perm_health_turn(ngx_atomic_t *since)
{
    time_t  before;

    before = (time_t) *since;
    *since = ngx_time();

    return before ? ngx_max(ngx_time() - before, 0) : -1;
}


/* workers of a former configuration that had more of them do not count */

static ngx_uint_t
perm_health_all_up(perm_health_t *health)
{
    ngx_uint_t        i, n;
    ngx_core_conf_t  *ccf;

    ccf = (ngx_core_conf_t *) ngx_get_conf(ngx_cycle->conf_ctx,
                                           ngx_core_module);

    n = ngx_min((ngx_uint_t) ngx_max(ccf->worker_processes, 1),
                PERM_HEALTH_WORKERS);

    for (i = 0; i < n; i++) {
        if (__atomic_load_n(&health->down[i], __ATOMIC_SEQ_CST)) {
            return 0;
        }
    }

    return 1;
}


static void
perm_health_redis_log(ngx_uint_t up, time_t lasted, ngx_log_t *log)
{
    if (!up) {
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "app_permission: Redis is down: known grants go on "
                      "deciding for \"app_permission_cache_stale\", accesses "
                      "are kept until it is back");

    } else if (lasted < 0) {
        ngx_log_error(NGX_LOG_NOTICE, log, 0, "app_permission: Redis is up");

    } else {
        ngx_log_error(NGX_LOG_NOTICE, log, 0,
                      "app_permission: Redis is up again after %T s", lasted);
    }
}


void
perm_health_redis(perm_health_t *health, ngx_uint_t worker, ngx_uint_t up,
    ngx_log_t *log)
{
    ngx_uint_t  now_up;

    if (worker >= PERM_HEALTH_WORKERS) {
        return;
    }

    __atomic_store_n(&health->down[worker], !up, __ATOMIC_SEQ_CST);

    /* a worker that says something meanwhile comes here after its store, so
       the last one leaves the truth behind */

    for ( ;; ) {
        now_up = perm_health_all_up(health);

        if (health->redis_up == now_up) {
            break;
        }

        if (ngx_atomic_cmp_set(&health->redis_up, !now_up, now_up)) {
            perm_health_redis_log(now_up,
                                  perm_health_turn(&health->redis_since), log);
        }
    }

    /* down from the start is a change too */

    if (!now_up && ngx_atomic_cmp_set(&health->redis_since, 0, ngx_time())) {
        perm_health_redis_log(0, -1, log);
    }
}


void
perm_health_tracking(perm_health_t *health, ngx_uint_t active, ngx_log_t *log)
{
    time_t  lasted;

    active = active ? 1 : 0;

    if (health->tracking == active
        || !ngx_atomic_cmp_set(&health->tracking, !active, active))
    {
        return;
    }

    lasted = perm_health_turn(&health->tracking_since);

    if (!active) {
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "app_permission: Redis does not push changes of grants "
                      "any more: until it does, they take effect within "
                      "\"app_permission_cache_valid\"");

    } else if (lasted < 0) {
        ngx_log_error(NGX_LOG_NOTICE, log, 0,
                      "app_permission: Redis pushes changes of grants");

    } else {
        ngx_log_error(NGX_LOG_NOTICE, log, 0,
                      "app_permission: Redis pushes changes of grants again "
                      "after %T s", lasted);
    }
}


void
perm_health_lag(perm_health_t *health, ngx_msec_t msec)
{
    ngx_atomic_uint_t  worst;

    health->lag = msec;

    do {
        worst = health->lag_worst;

    } while (msec > worst
             && !ngx_atomic_cmp_set(&health->lag_worst, worst, msec));
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

    logged = __atomic_exchange_n(&health->logged[slot], hash,
                                 __ATOMIC_ACQ_REL);

    return logged != hash;
}
