
/*
 * Changes of a single grant that are remembered: who, when and why.
 */


#ifndef _PERM_CLI_TABLE_HISTORY_H_INCLUDED_
#define _PERM_CLI_TABLE_HISTORY_H_INCLUDED_


#include "cli/table/table.h"


/* entries that are kept of a gateway and an app */

#define PERM_HISTORY_MAX  "100"


/* an entry of the stream; its time is in its ID */

typedef struct {
    const char  *action;     /* "grant", "extend", "revoke", ... */
    int64_t      before;     /* expiry before and after, unix seconds; below */
    int64_t      expires;    /* 0: there is no grant, or none to be read */
    const char  *by;         /* NULL: see perm_history_who() */
    const char  *comment;    /* NULL: none */
} perm_history_entry_t;


/*
 * Decides about the grant whose value is "old" (data NULL: absent).  Returns 0
 * when it is to stay, else 1 with the entry filled and *value set, to be freed
 * with free(), or NULL for a grant that is to go.
 */
typedef int (*perm_history_change_pt)(void *data, perm_str_t old,
    perm_history_entry_t *entry, char **value);


/*
 * Changes one grant: reads it, and in one step writes what "change" returns,
 * adds the entry to the history and forgets notices of the old end.  Begins
 * again when another writer came in between.  Returns 1, or 0 when the grant
 * was to stay.
 */
int perm_history_change(perm_table_t *table, const perm_tuple_t *tuple,
    perm_history_change_pt change, void *data);


/* "by", or when that is NULL the user who runs the program; never NULL */

const char *perm_history_who(const char *by);


/* Adds the words of an entry to a command, from "action" on */

void perm_history_words(perm_client_t *client, const perm_tuple_t *tuple,
    const perm_history_entry_t *entry);


#endif /* _PERM_CLI_TABLE_HISTORY_H_INCLUDED_ */
