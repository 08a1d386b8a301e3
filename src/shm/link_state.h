
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


/* the last error of a link; the texts are printable ASCII */

typedef struct {
    time_t              since;      /* unix seconds: first met, 0: no error */
    time_t              last;       /* unix seconds: met again */
    ngx_uint_t          over;       /* 1: a link was up since */
    char                address[PERM_LINK_ADDRESS_MAX];
    char                cause[PERM_LINK_CAUSE_MAX];
} perm_link_error_t;


typedef struct {
    ngx_atomic_t        sequence;   /* of the error */
    perm_link_error_t   error;
    perm_trylock_t      lock;       /* of both errors */

    ngx_atomic_t        refused_sequence;
    perm_link_error_t   refused;    /* a lookup, by a server that answers */

    ngx_atomic_t        replica;    /* 1: a worker reaches a replica only */
    ngx_atomic_t        since;      /* unix seconds: of that, or of its end */
    ngx_atomic_t        master;     /* ms, monotonic: every worker had a master
                                       until then; of "replica" */
    u_char              replicas[PERM_HEALTH_WORKERS];
} perm_link_state_t;


/* a link ended, or could not be made.  Both texts are cut where too long */

void perm_link_state_failed(perm_link_state_t *state, const char *address,
    const char *cause);


/*
 * A worker's link is up.  "replica" is 1 where the server says that it is a
 * replica and no master can be reached.  A change is one line in the log.
 */

void perm_link_state_up(perm_link_state_t *state, ngx_uint_t worker,
    ngx_uint_t replica, const char *address, ngx_log_t *log);


/* a lookup was refused, or one was answered since: then that is over */

void perm_link_state_refused(perm_link_state_t *state, const char *address,
    const char *cause);
void perm_link_state_answered(perm_link_state_t *state);


/* copies of a lookup's last refusal, and of the last error */

void perm_link_state_refusal(perm_link_state_t *state,
    perm_link_error_t *error);

/* a copy, for the status; error->since is 0 where there was no error */

void perm_link_state_error(perm_link_state_t *state, perm_link_error_t *error);


#endif /* _PERM_SHM_LINK_STATE_H_INCLUDED_ */
