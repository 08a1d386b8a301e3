
/*
 * The grant table: single grants, and changes that never overwrite a value
 * they have not read.
 */


#ifndef _PERM_CLI_TABLE_TABLE_H_INCLUDED_
#define _PERM_CLI_TABLE_TABLE_H_INCLUDED_


#include <stdint.h>

#include "cli/util/output.h"
#include "cli/wire/client.h"
#include "core/grant.h"
#include "core/grant_key.h"


typedef struct {
    perm_client_t        *client;
    perm_str_t            prefix;
    int64_t               now;      /* unix seconds, of Redis once opened */
    int                   loaded;   /* "meta" has the schema known here */
    int                   named;    /* "meta" has an id of this table */
} perm_table_t;


/*
 * Opens the table at the servers, or ends the program.  Wrong usage is reported
 * before: it is wrong whether Redis answers or not.
 */
void perm_table_connect(perm_table_t *table,
    const perm_discovery_conf_t *servers);

/*
 * Reads "meta" into table->loaded and table->named, and Redis's time into
 * table->now.  A schema that is not known here ends the program.
 */
void perm_table_open(perm_table_t *table);

/*
 * Marks the table as loaded unless it is, and gives it an id unless it has one:
 * 64 random bits in hexadecimal, by which gateways tell it from another one
 * that is at the same place later.
 */

void perm_table_mark(perm_table_t *table);

/* Warns when the table is not loaded */

void perm_table_warn_unloaded(const perm_table_t *table);

/*
 * For commands that write single grants.  Returns 1 when the table is loaded.
 * Otherwise one grant must not mark it, as that would lock every other app out:
 * says both ways out, and returns 0 for an exit with PERM_EXIT_NO.
 */
int perm_table_writable(const perm_table_t *table);

/*
 * For commands that give a grant another end, and keep its "renew": false:
 * warns, unless the grant that was there is renewed, or is permanent now.
 */
void perm_table_warn_no_renew(const perm_tuple_t *tuple,
    const perm_grant_t *old, int64_t expires);

/*
 * The exit status after a walk of the whole table.  PERM_EXIT_NO when it has no
 * grants and is not loaded: --prefix or the database may be wrong.
 */
perm_exit_t perm_table_found(const perm_table_t *table, perm_count_t grants);


/*
 * The key of the tuple's gateway and app, written to "text" of PERM_KEY_MAX
 * bytes, and the field of its resource.
 */
perm_str_t perm_table_key(const perm_table_t *table, char *text,
    perm_key_kind_t kind, const perm_tuple_t *tuple);
perm_str_t perm_table_field(const perm_tuple_t *tuple);


/* A handler that adds an integer reply above 0 to *data, a perm_count_t */

int perm_table_count(void *data, redisReply *reply);


/*
 * For replies to commands with PERM_ERRORS_TOO.  Returns 1 when the reply is
 * the error that a key is of another type than those of the table, and warns
 * unless the key is NULL.  Any other error ends the program.
 */
int perm_table_wrong_type(const redisReply *reply, const perm_str_t *key);

/* A handler that passes over that error without a word */

int perm_table_ignore_type(void *data, redisReply *reply);


/* The bytes of a string reply; data NULL for any other reply, or for NULL */

perm_str_t perm_table_bytes(const redisReply *reply);

/* That element of an array, or NULL; reply may be NULL */

const redisReply *perm_table_element(const redisReply *reply, size_t i);

/*
 * A score as unix seconds up to INT64_MAX, or PERM_GRANT_ABSENT; score may be
 * NULL.  It may be in the future: see perm_renewal_last().
 */

int64_t perm_table_score(const redisReply *score);


/*
 * Reads the last access, as perm_renewal_last() has it; resource.len 0: the
 * newest of the gateway.
 */

int64_t perm_table_last(perm_table_t *table, const perm_tuple_t *tuple);


/*
 * Lua of each script that changes a grant: v is the value of the field ARGV[1]
 * of KEYS[1] as it is read here: one that is too long is perm_reader_long.
 */
#define PERM_TABLE_LUA_READ                                                   \
    "local v=redis.call('HGET',KEYS[1],ARGV[1]) "                             \
    "if v and #v>65536 then v='\\0over 64 KiB\\0' end "


/*
 * Sends the change of one grant from "old" (data NULL: absent) to "value"
 * (data NULL: removed).  Adds 1 to *written unless the grant is another one by
 * now.
 */
void perm_table_write(perm_table_t *table, perm_str_t key, perm_str_t field,
    perm_str_t old, perm_str_t value, perm_count_t *written);


/*
 * Sends that what was told of the grant's end is forgotten, before the end
 * changes: in between a program that is killed leaves a notice given twice,
 * which is better than never.  Notices that are of another type do no harm.
 */
void perm_table_forget_notice(perm_table_t *table, const perm_tuple_t *tuple);


/*
 * Returns the new value for the old one (data NULL: absent), to be freed with
 * free(), or NULL when the old value is to stay.
 */
typedef char *(*perm_table_change_pt)(void *data, perm_str_t old);

/*
 * Changes one grant: reads it and writes what "change" returns, and begins
 * again when another writer came in between.
 */
void perm_table_change(perm_table_t *table, perm_str_t key, perm_str_t field,
    perm_table_change_pt change, void *data);


#endif /* _PERM_CLI_TABLE_TABLE_H_INCLUDED_ */
