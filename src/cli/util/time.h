
/*
 * Points in time and spans as people write them.
 */


#ifndef _PERM_CLI_TIME_H_INCLUDED_
#define _PERM_CLI_TIME_H_INCLUDED_


#include <stdint.h>


#define PERM_TIME_TEXT_SIZE  sizeof("9999-12-31T23:59:59Z")


/* in place of seconds */

#define PERM_TIME_INVALID    (-1)   /* the text is no time, or no span */
#define PERM_TIME_TOO_LARGE  (-2)   /* beyond PERM_GRANT_EXPIRES_MAX */


/* what is wrong with a time, for messages */

#define PERM_TIME_WRONG                                                       \
    "neither unix seconds, nor a date as 2027-03-01, nor RFC 3339 as in "     \
    "2027-03-01T00:00:00Z"
#define PERM_TIME_WRONG_NEGATIVE   "a time before 1970"
#define PERM_TIME_WRONG_TOO_LARGE                                             \
    "too large: at most 253402300799, which is the end of the year 9999, in " \
    "seconds"


/*
 * Reads unix seconds, a date as "2027-03-01" (its first second in UTC), or
 * RFC 3339 as in "2027-03-01T08:00:00+08:00"; a fraction of a second is
 * dropped, a leap second is the one before it.  Returns 0 to
 * PERM_GRANT_EXPIRES_MAX, or one of the above.
 */
int64_t perm_time_parse(const char *text);


/* Writes unix seconds as RFC 3339 in UTC, cut to 0 and the year 9999 */

void perm_time_format(int64_t seconds, char text[PERM_TIME_TEXT_SIZE]);


/*
 * Reads a span as "180d", "36h" or "1d12h": numbers, each with its unit s, m,
 * h or d.  A number alone has the unit "plain", in seconds; where that is 0,
 * only "0" needs none.  Returns 0 to PERM_GRANT_EXPIRES_MAX seconds, or one of
 * the above.
 */
int64_t perm_time_span_parse(const char *text, int64_t plain);


#endif /* _PERM_CLI_TIME_H_INCLUDED_ */
