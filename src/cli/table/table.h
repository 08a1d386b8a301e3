
/*
 * The grant table: what there is in it, and changes that never overwrite what
 * they have not seen.
 */


#ifndef _PERM_CLI_TABLE_TABLE_H_INCLUDED_
#define _PERM_CLI_TABLE_TABLE_H_INCLUDED_


#include "cli/cli.h"


/*
 * Reads whether the table is loaded into cli->loaded.  A schema that is not
 * known here ends the program.
 */
void perm_table_open(perm_cli_t *cli);

/* Marks the table as loaded unless it is */

void perm_table_mark(perm_cli_t *cli);

/* Says so on standard error when it is not loaded */

void perm_table_warn_unloaded(const perm_cli_t *cli);

/*
 * The exit status of a visit of the whole table that found so many grants:
 * none in one that is not loaded is no answer.
 */
perm_exit_t perm_table_found(const perm_cli_t *cli, uint64_t grants);


typedef struct {
    perm_str_t   key;        /* of the hash */
    perm_str_t   field;
    perm_str_t   gateway;
    perm_str_t   app;
    perm_str_t   resource;   /* len 0: the whole gateway */
    perm_str_t   value;      /* as it is in Redis */
    int64_t      expires;    /* unix seconds, or PERM_GRANT_UNREADABLE */
    int64_t      last;       /* last access, or PERM_GRANT_ABSENT */
} perm_row_t;


/*
 * A visit of the whole table, or of what the names leave of it.  "rows" is
 * called with some of the grants at a time, which are gone when it returns;
 * it may send requests, and must wait for them.  A grant that is there all
 * the time is visited, one that comes or goes meanwhile perhaps.  While Redis
 * resizes a hash one may come twice.
 *
 * Fields that are no grants, and unreadable values unless "unreadable" is
 * set, are named on standard error and left out.
 */
typedef struct {
    perm_str_t   gateway;      /* len 0: all */
    perm_str_t   app;
    unsigned     access;       /* fill in "last" */
    unsigned     unreadable;
    void       (*rows)(perm_cli_t *cli, void *data, perm_row_t *rows,
                       size_t n);
    void        *data;
} perm_walk_t;


/* Returns how many values were unreadable */

uint64_t perm_walk(perm_cli_t *cli, const perm_walk_t *walk);


/*
 * SCANs every master for keys that are named as those of a kind, whatever
 * their type; "keys" is called with some at a time.  Both names given: the one
 * key, which may not be there.
 */
typedef void (*perm_keys_pt)(perm_cli_t *cli, void *data, perm_str_t *keys,
    size_t n);

void perm_scan_keys(perm_cli_t *cli, perm_key_kind_t kind,
    perm_str_t gateway, perm_str_t app, perm_keys_pt keys, void *data);


/*
 * Sends the change of one grant from "old" (data NULL: absent) to "value"
 * (data NULL: removed).  The reply is the integer 1 when it was made, and 0
 * when something else stands there by now.
 */
void perm_table_write(perm_cli_t *cli, perm_str_t key, perm_str_t field,
    perm_str_t old, perm_str_t value, perm_reply_pt handler, void *data);


/*
 * 1 when the reply says that the key is of another type than those of the
 * table; then "key" is named on standard error.  Any other error ends the
 * program.  For requests with PERM_ERRORS_TOO.
 */
int perm_table_wrong_type(const redisReply *reply, perm_str_t key);


/* begins zeroed: how many keys were of another type, and the first of them */

typedef struct {
    uint64_t     n;
    char         name[512];
} perm_wrong_type_t;


/* As perm_table_wrong_type(), but the keys are told of once, at the end */

int perm_wrong_type_take(perm_wrong_type_t *wrong_type, const redisReply *reply,
    perm_str_t key);
void perm_wrong_type_tell(const perm_wrong_type_t *wrong_type);


/* The score of a sorted set as unix seconds, or PERM_GRANT_ABSENT */

int64_t perm_table_score(const redisReply *reply);


/* The newest last access in a reply to ZREVRANGE ... 0 0 WITHSCORES */

int64_t perm_table_newest(const redisReply *reply);


/*
 * One grant as it is now.  *reply owns the value, and is to be freed with
 * freeReplyObject(); the value's data is NULL when there is none.
 */
perm_str_t perm_table_value(perm_cli_t *cli, perm_str_t key, perm_str_t field,
    redisReply **reply);


/* The last access of a grant as it is now; resource.len 0: whole gateway */

int64_t perm_table_last(perm_cli_t *cli, perm_str_t gateway,
    perm_str_t resource, perm_str_t app);


#endif /* _PERM_CLI_TABLE_TABLE_H_INCLUDED_ */
