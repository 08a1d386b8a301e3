
/*
 * A grant as a line of JSON, as import takes it and export writes it:
 *
 *   {"gateway":"g","resource":"r","app":"a","expires":1800000000,"type":"t"}
 *
 * Without "resource" it is for the whole gateway.  Every other member is one of
 * the value in Redis, so that export and import lose nothing.  Import also
 * takes the names that the dashboard of the BlueKing gateway has:
 *
 *   {"gateway_name":"g","resource_name":"*","bk_app_code":"a",
 *    "expires":"2027-03-06T20:40:46.123456+00:00"}
 */


#ifndef _PERM_CLI_TABLE_GRANT_LINE_H_INCLUDED_
#define _PERM_CLI_TABLE_GRANT_LINE_H_INCLUDED_


#include <stdio.h>

#include "cli/table/walk.h"


#define PERM_LINE_MAX          (1024 * 1024)   /* bytes */
#define PERM_LINE_MEMBERS_MAX  64
#define PERM_LINE_TOO_LONG     "the value is longer than 64 KiB: no gateway "  \
                               "would read it"


typedef struct {
    perm_tuple_t  tuple;     /* resource.len 0: the whole gateway */
    perm_str_t    value;     /* the members of the value, as an object */
    int64_t       expires;
} perm_grant_line_t;


/* why a line is refused; the texts last, the value does not */

typedef struct {
    const char   *member;    /* which is wrong, or NULL */
    const char   *wrong;
    perm_str_t    value;     /* of the member, as it stands in the text */
    size_t        at;        /* where in the text, in bytes */
    int           once;      /* one of the kind says it all */
} perm_grant_line_error_t;


/*
 * Returns 0 with *line filled, or -1 with *error filled.  The names and the
 * value are gone with the next call.
 */
int perm_grant_line_parse(perm_str_t text, perm_grant_line_t *line,
    perm_grant_line_error_t *error);


/*
 * Writes the line of a readable row.  Returns 0; 1 when members of the value
 * had to be left out, as import takes none of these names there; or -1 when it
 * would be longer than PERM_LINE_MAX, or have more members than import takes.
 */
int perm_grant_line_print(FILE *file, const perm_row_t *row);


#endif /* _PERM_CLI_TABLE_GRANT_LINE_H_INCLUDED_ */
