
#include "shm/link_state.h"


#define PERM_LINK_SAME  32   /* bytes: an error's rest may name a key */


#define perm_link_state_hash(text)                                            \
    ngx_murmur_hash2((u_char *) (text), ngx_strlen(text))


static ngx_uint_t perm_link_state_anew(perm_link_logged_t *logged,
    ngx_uint_t over, ngx_uint_t generation, uint32_t hash);
static void perm_link_state_copy(char *to, size_t size, const char *from);
static void perm_link_state_swapped(perm_link_state_t *state,
    ngx_uint_t replica, const char *address, ngx_log_t *log);
static time_t perm_link_state_quiet(perm_link_state_t *state,
    ngx_uint_t generation);
static void perm_link_state_read(perm_link_error_t *error,
    perm_link_error_t *from, ngx_atomic_t *sequence);


ngx_uint_t
perm_link_state_failed(perm_link_state_t *state, ngx_uint_t generation,
    const char *address, const char *cause)
{
    ngx_uint_t         same, anew;
    perm_link_error_t  error;

    if (!perm_trylock_enter(&state->lock)) {

        /* another worker writes the error that it met in this moment */

        return 1;
    }

    error = state->error;

    perm_link_state_copy(error.address, PERM_LINK_ADDRESS_MAX, address);
    perm_link_state_copy(error.cause, PERM_LINK_CAUSE_MAX, cause);

    same = error.since && !error.over
           && ngx_strcmp(error.address, state->error.address) == 0
           && ngx_strcmp(error.cause, state->error.cause) == 0;

    if (error.over && !state->replica) {
        state->master = ngx_current_msec;
    }

    error.last = ngx_time();
    error.over = 0;

    if (!same) {
        error.since = error.last;
    }

    anew = perm_link_state_anew(&state->logged, state->error.over, generation,
                                perm_link_state_hash(error.address)
                                ^ perm_link_state_hash(error.cause));

    perm_trylock_write(&state->sequence);
    state->error = error;
    perm_trylock_written(&state->sequence);

    perm_trylock_leave(&state->lock);

    return anew;
}


/* under the lock; workers meet errors of one outage in different order */

static ngx_uint_t
perm_link_state_anew(perm_link_logged_t *logged, ngx_uint_t over,
    ngx_uint_t generation, uint32_t hash)
{
    ngx_uint_t  i;

    if (over || generation > logged->generation) {
        logged->generation = ngx_max(logged->generation, generation);
        logged->n = 0;
    }

    for (i = 0; i < logged->n; i++) {
        if (logged->hashes[i] == hash) {
            return 0;
        }
    }

    if (logged->n == PERM_LINK_LOGGED) {
        return 0;
    }

    logged->hashes[logged->n++] = hash;

    return 1;
}


static void
perm_link_state_copy(char *to, size_t size, const char *from)
{
    (void) ngx_cpystrn((u_char *) to, (u_char *) from, size);
}


void
perm_link_state_server(perm_link_state_t *state, ngx_uint_t generation,
    ngx_uint_t any, const char *address, ngx_log_t *log)
{
    ngx_uint_t           same;
    perm_link_server_t  *server;

    server = &state->server;

    if (!perm_trylock_enter(&state->lock)) {
        return;
    }

    same = (ngx_strncmp(server->address, address, PERM_LINK_ADDRESS_MAX - 1)
            == 0);

    if (same || any || generation > server->generation) {

        perm_trylock_write(&state->server_sequence);
        server->generation = generation;
        perm_link_state_copy(server->address, PERM_LINK_ADDRESS_MAX, address);
        perm_trylock_written(&state->server_sequence);

    } else {
        same = 1;
    }

    perm_trylock_leave(&state->lock);

    if (!same) {
        ngx_log_error(NGX_LOG_NOTICE, log, 0,
                      "app_permission: Redis %s is used from now on", address);
    }
}


void
perm_link_state_up(perm_link_state_t *state, ngx_uint_t worker,
    ngx_uint_t replica, const char *address, ngx_log_t *log)
{
    ngx_uint_t  any, over;

    over = state->error.over;

    /* a word: no reader sees a torn one */

    state->error.over = 1;

    if (worker >= PERM_HEALTH_WORKERS) {
        return;
    }

    /* orders: its own state before those of the others */
    __atomic_store_n(&state->replicas[worker], (u_char) replica,
                     __ATOMIC_SEQ_CST);

    /* of two workers that come here the later one has seen both stores */

    for ( ;; ) {
        any = perm_health_any(state->replicas);

        /* orders: its own state before that of all */
        if (__atomic_load_n(&state->replica, __ATOMIC_SEQ_CST) == any) {
            return;
        }

        if (any && (over || state->master == 0)) {

            /* no error told of the master's end before */

            state->master = ngx_current_msec;
        }

        /* orders: the state of all before those of the workers */
        if (ngx_atomic_cmp_set(&state->replica, !any, any)) {
            perm_link_state_swapped(state, any, address, log);
        }
    }
}


static void
perm_link_state_swapped(perm_link_state_t *state, ngx_uint_t replica,
    const char *address, ngx_log_t *log)
{
    time_t  before;

    before = (time_t) state->since;
    state->since = ngx_time();

    if (replica) {
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "app_permission: Redis %s says that it is a replica, "
                      "and no master is reached: its answers decide as stale "
                      "ones, for \"app_permission_cache_stale\" at most, and "
                      "last accesses are kept.  Name the master in "
                      "\"app_permission_redis\"; a host name is followed with "
                      "\"resolver\" in the http block, Sentinels with "
                      "\"redis+sentinel://\"", address);

    } else {
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "app_permission: Redis %s is a master: no replica is "
                      "asked any more, after %T s", address,
                      ngx_max(ngx_time() - before, 0));
    }
}


ngx_uint_t
perm_link_state_refused(perm_link_state_t *state, ngx_uint_t generation,
    const char *address, const char *cause)
{
    ngx_uint_t         begun, anew;
    perm_link_error_t  error;

    if (!perm_trylock_enter(&state->lock)) {
        return 0;
    }

    error = state->refused;
    begun = (state->refused_logged == 0
             || generation > state->refusals.generation);

    perm_link_state_copy(error.address, PERM_LINK_ADDRESS_MAX, address);
    perm_link_state_copy(error.cause, PERM_LINK_CAUSE_MAX, cause);

    if (begun) {
        state->refused_quiet = perm_link_state_quiet(state, generation);
        state->refused_since = ngx_time();
    }

    if (error.since == 0 || error.over) {
        error.since = ngx_time();
    }

    error.last = ngx_time();
    error.over = 0;

    anew = perm_link_state_anew(&state->refusals, begun, generation,
                                ngx_murmur_hash2((u_char *) error.cause,
                                          ngx_min(ngx_strlen(error.cause),
                                                  PERM_LINK_SAME)));

    perm_trylock_write(&state->refused_sequence);
    state->refused = error;
    perm_trylock_written(&state->refused_sequence);

    (void) perm_health_turned(&state->refused_logged, generation);

    perm_trylock_leave(&state->lock);

    return anew;
}


/* under the lock: the log had said that it is over, and it is there again */

static time_t
perm_link_state_quiet(perm_link_state_t *state, ngx_uint_t generation)
{
    if (state->refused.since == 0
        || generation > state->refusals.generation
        || ngx_time() - state->refused.last >= 2 * PERM_LINK_REFUSED_MAX)
    {
        return PERM_LINK_REFUSED;
    }

    return ngx_min(2 * state->refused_quiet, PERM_LINK_REFUSED_MAX);
}


void
perm_link_state_answered(perm_link_state_t *state, ngx_log_t *log)
{
    time_t              quiet;
    perm_link_error_t  *error;

    error = &state->refused;

    if (error->since == 0 || (error->over && state->refused_logged == 0)) {
        return;
    }

    quiet = ngx_time() - error->last;

    if (quiet >= PERM_LINK_REFUSED) {
        error->over = 1;
    }

    if (quiet >= state->refused_quiet
        && perm_health_turned(&state->refused_logged, 0))
    {
        perm_health_log_good("lookups are answered", NGX_LOG_ERR,
                             state->refused_since, 1, log);
    }
}


time_t
perm_link_state_since(perm_link_state_t *state, perm_health_t *health)
{
    return (time_t) ngx_max(health->redis_since, state->since);
}


time_t
perm_link_state_unpushed(perm_link_state_t *state, perm_health_t *health,
    time_t now)
{
    time_t  since;

    if (health->tracking || !health->redis_up || state->replica) {
        return 0;
    }

    since = perm_link_state_since(state, health);
    since = ngx_max(since, (time_t) health->tracking_since);

    return (now - since >= PERM_LINK_UNPUSHED) ? now - since : 0;
}


void
perm_link_state_refusal(perm_link_state_t *state, perm_link_error_t *error)
{
    perm_link_state_read(error, &state->refused, &state->refused_sequence);
}


void
perm_link_state_error(perm_link_state_t *state, perm_link_error_t *error)
{
    perm_link_state_read(error, &state->error, &state->sequence);
}


void
perm_link_state_used(perm_link_state_t *state, perm_link_server_t *server)
{
    if (perm_trylock_read(server, &state->server, sizeof(perm_link_server_t),
                          &state->server_sequence)
        != NGX_OK)
    {
        server->address[0] = '\0';
    }

    server->address[PERM_LINK_ADDRESS_MAX - 1] = '\0';
}


static void
perm_link_state_read(perm_link_error_t *error, perm_link_error_t *from,
    ngx_atomic_t *sequence)
{
    if (perm_trylock_read(error, from, sizeof(perm_link_error_t), sequence)
        != NGX_OK)
    {
        ngx_memzero(error, sizeof(perm_link_error_t));
    }

    error->address[PERM_LINK_ADDRESS_MAX - 1] = '\0';
    error->cause[PERM_LINK_CAUSE_MAX - 1] = '\0';
}
