
/*
 * Which notice of a grant's end is due, and whether it was given.
 */


#ifndef _PERM_CORE_NOTICE_H_INCLUDED_
#define _PERM_CORE_NOTICE_H_INCLUDED_


#include <stdint.h>

#include "core/name.h"


#define PERM_NOTICE_NONE  (-1)
#define PERM_NOTICE_SIZE  sizeof("253402300799:-9223372036854775808")


/*
 * Returns the smallest of the n days that is at least the whole days left until
 * "expires", or PERM_NOTICE_NONE when all are smaller or the grant has ended.
 * expires, now: unix seconds.
 */
int64_t perm_notice_due(int64_t expires, int64_t now, const int64_t *days,
    unsigned n);


/*
 * kept: "<expires>:<days>", the last notice that was given, or data NULL.
 * Returns 1 when the notice for that end and days, or a later one, was given.
 * What cannot be read counts as not given: told twice is better than never.
 */
int perm_notice_told(perm_str_t kept, int64_t expires, int64_t days);


/* Writes what perm_notice_told() reads, with a NUL; returns its length */

size_t perm_notice_write(char text[PERM_NOTICE_SIZE], int64_t expires,
    int64_t days);


#endif /* _PERM_CORE_NOTICE_H_INCLUDED_ */
