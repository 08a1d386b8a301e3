
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

/* 2100-01-01T00:00:00Z: this expiry or a later one never ends */

#define PERM_GRANT_PERMANENT    INT64_C(4102444800)

/* the end of the year 9999: milliseconds by mistake are beyond it */

#define PERM_GRANT_EXPIRES_MAX  INT64_C(253402300799)


/* 1 when a grant with this expiry allows at "now": expires > now, strictly */

static inline int
perm_grant_live(int64_t expires, int64_t now)
{
    return expires >= 0 && expires > now;
}


/*
 * Reads the expiry out of a grant value as it is in Redis: a JSON number, or
 * an object with a number "expires".  Returns unix seconds from 0 to
 * PERM_GRANT_EXPIRES_MAX, a fraction rounded up so that "expires > now" stays
 * true for the same whole seconds, or PERM_GRANT_UNREADABLE.
 */
int64_t perm_grant_expires(perm_str_t value);


/* the same for a number that has been parsed; NULL or no number: UNREADABLE */

int64_t perm_grant_seconds(const struct cJSON *number);


/*
 * Writes into "type", of "size" bytes and NUL-terminated, the "type" member
 * of a grant value, and into *granted its "granted" in unix seconds.  What is
 * absent, not of its kind or too long becomes "" and PERM_GRANT_ABSENT.
 */
void perm_grant_details(perm_str_t value, char *type, size_t size,
    int64_t *granted);


/*
 * Returns a new value, NUL-terminated and to be freed by the caller, or NULL
 * when memory is out.  It is "old" with "expires" set, "type" and "granted"
 * set where not NULL and not negative, and every other member as it was.  An
 * "old" that is not a readable object is replaced.
 */
char *perm_grant_rewrite(perm_str_t old, int64_t expires, const char *type,
    int64_t granted);


#endif /* _PERM_CORE_GRANT_H_INCLUDED_ */
