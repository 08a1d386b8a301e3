
/*
 * An app's application for a grant, as it is in Redis: a field of the hash
 * "requests:{gateway:app}" with a JSON object.
 */


#ifndef _PERM_CORE_REQUEST_H_INCLUDED_
#define _PERM_CORE_REQUEST_H_INCLUDED_


#include <stdint.h>

#include "core/json.h"
#include "core/name.h"


#define PERM_REQUEST_DAYS         180      /* asked for where nothing is said */
#define PERM_REQUEST_DAYS_MAX     36500    /* a hundred years */
#define PERM_REQUEST_REASON_MAX   4096     /* bytes, also of a comment */
#define PERM_REQUEST_BY_MAX       160      /* bytes */
#define PERM_REQUEST_BODY_MAX     16384    /* bytes of a POST */
#define PERM_REQUEST_NAMES_MAX    100      /* resources of a POST */
#define PERM_REQUEST_APP_MAX      1000     /* requests of an app in a gateway
                                              that the app itself may make */


/* also the indexes of the words in a value and on the command line */

typedef enum {
    PERM_REQUEST_PENDING = 0,
    PERM_REQUEST_APPROVED,
    PERM_REQUEST_REJECTED,
    PERM_REQUEST_UNREADABLE      /* no object, or another status */
} perm_request_status_t;


/* what the tools need of a request; the rest is printed as it is stored */

typedef struct {
    perm_request_status_t  status;
    int64_t                days;       /* >= 0; 0: permanent */
    int64_t                at;         /* unix seconds, 0: not said */
    int64_t                handled_at; /* unix seconds, 0: not handled */
} perm_request_t;


/*
 * Reads a value of the hash; "days" out of range count as 180.  It is
 * unreadable, with errno ENOMEM, when memory is out.
 */

perm_request_t perm_request_read(perm_str_t value);

/* "pending", "approved", "rejected", "unreadable" */

const char *perm_request_status_name(perm_request_status_t status);


/*
 * A pending request but for its time: the JSON text from "{" to "\"at\":",
 * which perm_request_script ends.  days: 0 to PERM_REQUEST_DAYS_MAX.
 * "reason" is the inside of a JSON string, or has length 0.  The text has a
 * NUL at its end and is to be freed with free().  NULL: memory is out.
 */
char *perm_request_text(int64_t days, perm_str_t reason, perm_str_t by);


/* what is set in a request when it is handled */

typedef struct {
    perm_request_status_t  status;        /* approved or rejected */
    int64_t                granted_days;  /* below 0: none */
    int64_t                at;            /* unix seconds */
    const char            *by;
    const char            *comment;       /* NULL: none */
} perm_request_handling_t;


/*
 * The request "old" as it is once it is handled, with every other member as it
 * was.  The text has a NUL at its end and is to be freed with free().  NULL:
 * memory is out.
 */
char *perm_request_handle(perm_str_t old,
    const perm_request_handling_t *handling);


/*
 * A Redis script.  KEYS: requests and, last, history of a gateway and an app.
 * ARGV: what perm_request_text() gave; how many requests there may be, 0: any
 * number; then the fields that are asked for, "-" for the whole gateway.
 * Returns an array: the time, unix seconds of Redis, with "}" the end of what
 * is stored; then for each field "", when it is stored, or one of the words
 * below, why it was left.  It needs TIME, HGET, HLEN, HSET and XADD.
 */
extern const char  perm_request_script[];

#define PERM_REQUEST_LEFT_PENDING    "pending"
#define PERM_REQUEST_LEFT_PERMANENT  "permanent"
#define PERM_REQUEST_LEFT_FULL       "full"

/*
 * Why nothing was asked for, one clause.  left: perm_request_left() of each
 * field's word, or-ed.  The bit of a word that is none of these is 0.
 */
unsigned perm_request_left(perm_str_t word);
const char *perm_request_left_text(unsigned left);


/* what POST has in its body; the names are of "json" */

typedef struct {
    cJSON        *json;
    int64_t       days;
    perm_str_t    reason;        /* the inside of a JSON string; data NULL:
                                    there is none */
    unsigned      nnames;        /* 0: the whole gateway */
    perm_str_t    names[PERM_REQUEST_NAMES_MAX];
} perm_request_body_t;


/*
 * Reads a body: {"resources":[...],"days":180,"reason":"..."}, or with
 * "whole_gateway":true in place of "resources".  Other members are ignored.
 * A name that comes twice counts once.  Returns NULL, or what is wrong, one
 * clause, and errno is ENOMEM when memory is out.  *too_many: 1 when there are
 * more than PERM_REQUEST_NAMES_MAX names.  Either way perm_request_body_free()
 * comes after it.
 */
const char *perm_request_body(perm_str_t text, perm_request_body_t *body,
    int *too_many);

/* of a body that was read or refused */

void perm_request_body_free(perm_request_body_t *body);


#endif /* _PERM_CORE_REQUEST_H_INCLUDED_ */
