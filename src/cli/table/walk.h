
/*
 * Visits of many keys and grants, in bounded memory.
 */


#ifndef _PERM_CLI_TABLE_WALK_H_INCLUDED_
#define _PERM_CLI_TABLE_WALK_H_INCLUDED_


#include <signal.h>

#include "cli/table/table.h"
#include "core/grant.h"


#define PERM_WALK_ACCESSES    1   /* the accesses instead of the grants */
#define PERM_WALK_LAST        2   /* of grants: fill in what is marked LAST */
#define PERM_WALK_UNREADABLE  4   /* those that cannot be read as well */
#define PERM_WALK_REQUESTS   16   /* the requests instead, or ... */
#define PERM_WALK_NOTICES    32   /* ... the notices */
#define PERM_WALK_REPEATS     8   /* some may come twice, which takes less
                                     memory than to remember all keys */
#define PERM_WALK_TOLD       64   /* of keys of another type the caller tells */


typedef struct {
    perm_str_t    key;       /* of the hash or the sorted set */
    perm_str_t    field;     /* or member */
    perm_str_t    value;     /* or score, as it is in Redis */
    perm_tuple_t  tuple;     /* resource.len 0: the whole gateway */
    perm_grant_t  grant;     /* of grants only */

    /* LAST: last accesses, as perm_renewal_last() has them */

    int64_t       last;           /* of a gateway's grant the newest */
    perm_grant_t  gateway;        /* the grant on the gateway of a resource */
    int64_t       gateway_last;
} perm_row_t;


/* what a walk could not make use of */

typedef struct {
    perm_count_t  unreadable;    /* grants */
    perm_count_t  wrong_types;   /* keys of grants and accesses */
} perm_walk_skipped_t;


/*
 * Called with some of the rows at a time, which are gone when it returns.  Rows
 * of one key follow each other.  It may send commands, and must wait for their
 * replies.
 */
typedef void (*perm_walk_rows_pt)(void *data, perm_row_t *rows, size_t n);


/*
 * Visits all grants, accesses, requests or notices, or only those of a gateway
 * or an app or both: NULL and a name of len 0 stand for all.  flags: the sum of
 * those above.
 *
 * A grant that exists during the whole walk is visited once.  One that is added
 * or removed meanwhile may be missing.  Without PERM_WALK_UNREADABLE, a row
 * that cannot be read is named on standard error and left out.
 */
perm_walk_skipped_t perm_walk(perm_table_t *table, unsigned flags,
    const perm_tuple_t *only, perm_walk_rows_pt rows, void *data);


/*
 * Says how many were skipped.  Returns PERM_EXIT_NO when there were any, else
 * the status.
 */
perm_exit_t perm_walk_status(perm_walk_skipped_t skipped, perm_exit_t status);


/*
 * Visits the keys with the names of a kind, of any type, on every master;
 * "keys" is called with some at a time.  flags: PERM_WALK_REPEATS or 0.  When
 * "only" has both names, it gets the one key, which may not exist.
 */
typedef void (*perm_walk_keys_pt)(void *data, perm_str_t *keys, size_t n);

void perm_walk_keys(perm_table_t *table, perm_key_kind_t kind, unsigned flags,
    const perm_tuple_t *only, perm_walk_keys_pt keys, void *data);


/*
 * From this call on the first SIGINT or SIGTERM, or SIGHUP unless it is
 * ignored, ends a walk after the rows at hand instead of the process.
 * perm_walk_interrupted becomes its number.
 */
void perm_walk_catch_interrupt(void);

extern volatile sig_atomic_t  perm_walk_interrupted;


#endif /* _PERM_CLI_TABLE_WALK_H_INCLUDED_ */
