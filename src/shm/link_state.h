
/*
 * What the links of all workers last met: the last error, and a server that is
 * a replica.  In shared memory, for the status and for lookups.
 */


#ifndef _PERM_SHM_LINK_STATE_H_INCLUDED_
#define _PERM_SHM_LINK_STATE_H_INCLUDED_


#include "shm/health.h"
#include "shm/trylock.h"


#define PERM_LINK_ADDRESS_MAX  264   /* bytes, with a NUL */
#define PERM_LINK_CAUSE_MAX    512   /* bytes, with a NUL */
#define PERM_LINK_LOGGED       32    /* errors of an outage */


/* the last error of a link; the texts are printable ASCII */

typedef struct {
    time_t              since;      /* unix seconds: first met, 0: no error */
    time_t              last;       /* unix seconds: met again */
    ngx_uint_t          over;       /* 1: a link was up since */
    char                address[PERM_LINK_ADDRESS_MAX];
    char                cause[PERM_LINK_CAUSE_MAX];
} perm_link_error_t;


/* what the log says, until it is over or a reload */

typedef struct {
    ngx_uint_t          generation; /* of the newest worker that met one */
    uint32_t            hashes[PERM_LINK_LOGGED];
    ngx_uint_t          n;
} perm_link_logged_t;


/* the server of the links; printable ASCII */

typedef struct {
    ngx_uint_t          generation; /* of the worker that named it */
    char                address[PERM_LINK_ADDRESS_MAX];
} perm_link_server_t;


typedef struct {
    ngx_atomic_t        sequence;   /* of the error */
    perm_link_error_t   error;
    perm_link_logged_t  logged;
    perm_trylock_t      lock;       /* of both errors, and the server */

    ngx_atomic_t        server_sequence;
    perm_link_server_t  server;

    ngx_atomic_t        refused_sequence;
    perm_link_error_t   refused;    /* a lookup, by a server that answers */
    perm_link_logged_t  refusals;   /* as logged */
    time_t              refused_since;  /* unix seconds: the first of them */
    time_t              refused_quiet;  /* seconds without a refusal, until
                                       the log says that it is over */
    ngx_atomic_t        refused_logged; /* generation, 0: the log does not say
                                       so, or says that it is over */

    ngx_atomic_t        replica;    /* 1: a worker reaches a replica only */
    ngx_atomic_t        since;      /* unix seconds: of that, or of its end */
    ngx_atomic_t        master;     /* ms, monotonic: every worker had a master
                                       until then; of "replica" */
    u_char              replicas[PERM_HEALTH_WORKERS];
} perm_link_state_t;


/*
 * A link ended, or could not be made.  Both texts are cut where too long.
 * "generation" is of the worker's configuration.  Returns 0 where another
 * worker met it since a link was up, or since the last reload: it is in the
 * log.
 */

ngx_uint_t perm_link_state_failed(perm_link_state_t *state,
    ngx_uint_t generation, const char *address, const char *cause);


/*
 * A worker's link is up, with that server.  Another one than before is a line
 * in the log.  any: 0: of a generation only the first one counts, as a cluster
 * has several.
 */

void perm_link_state_server(perm_link_state_t *state, ngx_uint_t generation,
    ngx_uint_t any, const char *address, ngx_log_t *log);

/*
 * A worker's link is up.  "replica" is 1 where the server says that it is a
 * replica and no master can be reached.  A change is one line in the log.
 */

void perm_link_state_up(perm_link_state_t *state, ngx_uint_t worker,
    ngx_uint_t replica, const char *address, ngx_log_t *log);


/*
 * A lookup was refused.  Returns 1 to the first worker that says so since the
 * log said that it is over, or since a reload, and for each cause that begins
 * otherwise, up to PERM_LINK_LOGGED: it is to be logged.
 */

ngx_uint_t perm_link_state_refused(perm_link_state_t *state,
    ngx_uint_t generation, const char *address, const char *cause);

/*
 * A lookup was answered.  That ends it, with a line in the log, when there was
 * no refusal for PERM_LINK_REFUSED: one server of several may refuse, or one
 * key.  Where a refusal comes within twice PERM_LINK_REFUSED_MAX after that,
 * the log waits twice as long the next time, up to PERM_LINK_REFUSED_MAX, and
 * does not say the same again and again.
 */

#define PERM_LINK_REFUSED      2     /* seconds */
#define PERM_LINK_REFUSED_MAX  64    /* seconds */

void perm_link_state_answered(perm_link_state_t *state, ngx_log_t *log);


/*
 * Unix seconds since when a master is up: what that brings with it takes a
 * moment.
 */

time_t perm_link_state_since(perm_link_state_t *state, perm_health_t *health);

/*
 * Seconds since when a master is up that does not push changes.  0: it does,
 * or there is none, or it is too soon to say so.
 */

#define PERM_LINK_UNPUSHED  3    /* seconds */

time_t perm_link_state_unpushed(perm_link_state_t *state,
    perm_health_t *health, time_t now);


/* copies of a lookup's last refusal, and of the last error */

void perm_link_state_refusal(perm_link_state_t *state,
    perm_link_error_t *error);

/* a copy, for the status; error->since is 0 where there was no error */

void perm_link_state_error(perm_link_state_t *state, perm_link_error_t *error);

/* a copy; the address is "" before the first link */

void perm_link_state_used(perm_link_state_t *state,
    perm_link_server_t *server);


#endif /* _PERM_SHM_LINK_STATE_H_INCLUDED_ */
