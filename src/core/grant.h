
/*
 * A grant value and its JSON codec.
 */


#ifndef _PERM_CORE_GRANT_H_INCLUDED_
#define _PERM_CORE_GRANT_H_INCLUDED_


#include <stdint.h>

#include "core/name.h"


struct cJSON;


/* in place of an expiry (unix seconds, UTC, >= 0) */

#define PERM_GRANT_ABSENT       (-1)
#define PERM_GRANT_UNREADABLE   (-2)
#define PERM_GRANT_NO_MEMORY    (-3)    /* it was not read: no decision */

/* 2100-01-01T00:00:00Z: this expiry or a later one never ends */

#define PERM_GRANT_PERMANENT    INT64_C(4102444800)

/* the end of the year 9999: milliseconds by mistake are beyond it */

#define PERM_GRANT_EXPIRES_MAX  INT64_C(253402300799)

/* bytes: a longer value is unreadable */

#define PERM_GRANT_VALUE_MAX    65536


/* 1 when a grant with this expiry allows at "now": expires > now, strictly */

static inline int
perm_grant_live(int64_t expires, int64_t now)
{
    return expires >= 0 && expires > now;
}


/* what the rules need of a grant */

typedef struct {
    int64_t      expires;    /* unix seconds, PERM_GRANT_ABSENT, _UNREADABLE,
                                or _NO_MEMORY */
    int64_t      granted;    /* unix seconds, or PERM_GRANT_ABSENT */
    int          renew;      /* 0: the value says "renew": false */
} perm_grant_t;


/* what people want to know of it besides */

#define PERM_GRANT_TEXT_SIZE  132

typedef struct {
    perm_grant_t grant;

    /* "": there is none, it is no string, or it is too long */

    char         type[PERM_GRANT_TEXT_SIZE];
    char         by[PERM_GRANT_TEXT_SIZE];
} perm_grant_details_t;


/* what a rewrite sets: below 0, NULL and 0 leave a member as it was */

typedef struct {
    int64_t      expires;    /* needed */
    int64_t      granted;
    const char  *type;
    const char  *by;         /* "": nobody knows any more */
    int          no_renew;   /* 1: "renew": false */
} perm_grant_change_t;


/*
 * Reads a grant's value as it is in Redis: a JSON number, the expiry, or an
 * object with a number "expires".  The expiry is 0 to PERM_GRANT_EXPIRES_MAX,
 * a fraction rounded up so that "expires > now" stays true for the same whole
 * seconds.  Else, and for a value of more than PERM_GRANT_VALUE_MAX bytes, it
 * is PERM_GRANT_UNREADABLE.  Where value.data is NULL the grant is absent.
 * PERM_GRANT_NO_MEMORY: memory is out.
 */
perm_grant_t perm_grant_read(perm_str_t value);
void perm_grant_details(perm_str_t value, perm_grant_details_t *details);


/* the expiry alone */

int64_t perm_grant_expires(perm_str_t value);


/* the same for a number that has been parsed; NULL or no number: UNREADABLE */

int64_t perm_grant_seconds(const struct cJSON *number);


/*
 * Returns a new value, NUL-terminated and to be freed by the caller, or NULL
 * when memory is out.  It is "old" with the change, and with every other member
 * as it was.  An "old" that is not a readable object is replaced.  The new
 * value may be longer than PERM_GRANT_VALUE_MAX: nobody may write it then.
 */
char *perm_grant_rewrite(perm_str_t old, const perm_grant_change_t *change);


#endif /* _PERM_CORE_GRANT_H_INCLUDED_ */
