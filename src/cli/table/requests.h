
/*
 * Requests of an app for a grant, and the answer to one.
 */


#ifndef _PERM_CLI_TABLE_REQUESTS_H_INCLUDED_
#define _PERM_CLI_TABLE_REQUESTS_H_INCLUDED_


#include "cli/table/table.h"
#include "core/request.h"


/* what there is to do */

typedef struct {
    perm_request_status_t  status;    /* approved or rejected */
    int64_t                days;      /* to grant; -1: those asked for */
    const char            *by;
    const char            *comment;   /* or NULL */
} perm_requests_answer_t;


typedef enum {
    PERM_REQUESTS_HANDLED = 0,
    PERM_REQUESTS_ABSENT,        /* no such request */
    PERM_REQUESTS_UNREADABLE,
    PERM_REQUESTS_APPROVED,      /* by somebody else, and so is the next */
    PERM_REQUESTS_REJECTED,
    PERM_REQUESTS_REVOKED,       /* the grant went while it was extended */
    PERM_REQUESTS_TOO_LONG       /* the grant or the request would be */
} perm_requests_result_t;


typedef struct {
    char                  *value;     /* of the request now, or NULL: free() */
    perm_grant_t           old;       /* the grant that was there */
    int64_t                expires;   /* PERM_GRANT_ABSENT when rejected */
} perm_requests_handled_t;


/*
 * Handles the tuple's request if it is pending.  The request, the grant and the
 * history change in one step, or not at all.  Begins again when the grant was
 * changed in between, unless it was revoked.
 */
perm_requests_result_t perm_requests_handle(perm_table_t *table,
    const perm_tuple_t *tuple, const perm_requests_answer_t *answer,
    perm_requests_handled_t *handled);


/*
 * Writes the members of a request as they are stored, each behind a comma, on
 * one line.  Members with a name that the object has besides are left out.
 */
void perm_requests_print(FILE *file, perm_str_t value);


/* Names a request that cannot be read, and says what to do */

void perm_requests_warn_unreadable(perm_str_t key, perm_str_t field);


/*
 * Reports what became of a request, for people or as JSON.  value: of the
 * request, data NULL when there is none; handled: NULL when no grant was given.
 */
void perm_requests_report(int json, const perm_tuple_t *tuple,
    const char *result, perm_str_t value,
    const perm_requests_handled_t *handled);


/* whole days of --days, in seconds; below 0 stays.  Ends the program else. */

int64_t perm_requests_days(int64_t period);


/* the object for --notify; zeros: nothing to tell */

typedef struct {
    FILE                  *file;
    char                  *text;
    size_t                 len;
} perm_requests_notice_t;


/* expires: of the grant that was given, or below 0 */

void perm_requests_tell(perm_requests_notice_t *notice,
    const perm_tuple_t *tuple, perm_str_t value, int64_t expires);

/*
 * Runs the command when there is something to tell, unless it is NULL.  Returns
 * 1 when it failed.
 */
int perm_requests_notify(perm_requests_notice_t *notice, const char *command,
    int json, perm_str_t app);


#endif /* _PERM_CLI_TABLE_REQUESTS_H_INCLUDED_ */
