
/*
 * Visits of many keys and grants, in bounded memory.
 */


#ifndef _PERM_CLI_TABLE_WALK_H_INCLUDED_
#define _PERM_CLI_TABLE_WALK_H_INCLUDED_


#include <signal.h>

#include "cli/table/table.h"


typedef struct {
    perm_str_t    key;       /* of the hash or the sorted set */
    perm_str_t    field;     /* or member */
    perm_str_t    value;     /* or score, as it is in Redis */
    perm_tuple_t  tuple;     /* resource.len 0: the whole gateway */
    int64_t       expires;   /* unix seconds, or PERM_GRANT_UNREADABLE */
    int64_t       last;      /* last access, or PERM_GRANT_ABSENT */
} perm_row_t;


/*
 * A visit of all grants or all accesses, or of those of a gateway or an app.
 * "rows" is called with some of them at a time, which are gone when it
 * returns; those of one key that it gets together follow each other.  It may
 * send commands, and must wait for their replies.
 *
 * A grant that is there all the time is visited; one that comes or goes
 * meanwhile perhaps.  One may come twice while Redis resizes its key.
 *
 * Fields that are no names are named on standard error and left out, as are
 * grants and accesses that cannot be read unless "unreadable" is set.
 */
typedef struct {
    perm_key_kind_t  kind;         /* grants, or accesses: these have no end */
    perm_str_t       gateway;      /* len 0: all */
    perm_str_t       app;
    unsigned         access;       /* of grants: fill in "last" */
    unsigned         unreadable;
    void           (*rows)(void *data, perm_row_t *rows, size_t n);
    void            *data;
} perm_walk_t;


/* Returns how many grants were unreadable */

uint64_t perm_walk(perm_table_t *table, const perm_walk_t *walk);


/*
 * Visits the keys that are named as those of a kind, whatever their type, on
 * every master; "keys" is called with some at a time.  With both names given:
 * the one key, which may not be there.
 */
typedef void (*perm_walk_keys_pt)(void *data, perm_str_t *keys, size_t n);

void perm_walk_keys(perm_table_t *table, perm_key_kind_t kind,
    perm_str_t gateway, perm_str_t app, perm_walk_keys_pt keys, void *data);


/*
 * From this call on the first SIGINT or SIGTERM, or SIGHUP unless it is
 * ignored, ends a walk after the rows at hand instead of the process.
 * perm_walk_interrupted becomes its number.
 */
void perm_walk_catch_interrupt(void);

extern volatile sig_atomic_t  perm_walk_interrupted;


#endif /* _PERM_CLI_TABLE_WALK_H_INCLUDED_ */
