
/*
 * A grant as a line of JSON, as import takes it and export writes it:
 *
 *   {"gateway":"g","resource":null,"app":"a","expires":1800000000,"type":"t"}
 *
 * Every other member is one of the value in Redis, so that export and import
 * lose nothing.
 */


#ifndef _PERM_CLI_TABLE_GRANT_LINE_H_INCLUDED_
#define _PERM_CLI_TABLE_GRANT_LINE_H_INCLUDED_


#include <stdio.h>

#include "cli/table/walk.h"


#define PERM_LINE_MAX          (1024 * 1024)   /* bytes */
#define PERM_LINE_MEMBERS_MAX  64


typedef struct {
    perm_tuple_t  tuple;     /* resource.len 0: the whole gateway */
    perm_str_t    value;     /* the members of the value, as an object */
} perm_grant_line_t;


/*
 * Returns NULL with *line filled, or what is wrong with the text.  The names
 * and the value are gone with the next call.
 */
const char *perm_grant_line_parse(perm_str_t text, perm_grant_line_t *line);


/*
 * Writes the line of a readable row.  Returns 0; 1 when members of the value
 * had to be left out, as they are named "gateway", "resource" or "app"; or -1
 * when it would be longer than PERM_LINE_MAX, or have more members than import
 * takes.
 */
int perm_grant_line_print(FILE *file, const perm_row_t *row);


#endif /* _PERM_CLI_TABLE_GRANT_LINE_H_INCLUDED_ */
