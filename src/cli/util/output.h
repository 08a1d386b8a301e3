
/*
 * Results on standard output, everything else on standard error, and the exit
 * status.
 */


#ifndef _PERM_CLI_UTIL_OUTPUT_H_INCLUDED_
#define _PERM_CLI_UTIL_OUTPUT_H_INCLUDED_


#include <stdint.h>
#include <stdio.h>

#include "core/name.h"


typedef enum {
    PERM_EXIT_DONE = 0,
    PERM_EXIT_NO = 1,      /* denied, nothing found, some lines refused */
    PERM_EXIT_USAGE = 2,
    PERM_EXIT_REDIS = 3
} perm_exit_t;


typedef unsigned long long  perm_count_t;   /* for %llu */


#define PERM_PRINTF(n)  __attribute__((format(printf, n, n + 1)))


/*
 * Each writes one line to standard error.  perm_output_fatal() also calls the
 * handler that perm_output_at_fatal() has set last, and exits.
 */
void perm_output_warn(const char *fmt, ...) PERM_PRINTF(1);
void perm_output_fatal(perm_exit_t status, const char *fmt, ...) PERM_PRINTF(2)
    __attribute__((noreturn));
void perm_output_at_fatal(void (*handler)(void *data), void *data);


/*
 * A counter on a terminal, redrawn a few times a second; nothing elsewhere.
 * total: 0 when it is not known.
 */
void perm_output_progress(const char *what, perm_count_t done,
    perm_count_t total);
void perm_output_progress_end(void);

/* Before results on standard output: ends it if they go to a terminal, too */

void perm_output_results(void);


/*
 * Bytes from outside, made safe for a terminal: what is not printable ASCII
 * becomes "\xNN".  The result is good until the fourth call after it, and cut
 * where it is long.
 */
const char *perm_output_safe(perm_str_t bytes);
const char *perm_output_safe_text(const char *text);


/*
 * "1 grant", "2 grants": the noun in the singular, whose plural ends with "s";
 * and with any other words.  The result is good until the eighth call after it.
 */
const char *perm_output_count(perm_count_t n, const char *noun);
const char *perm_output_plural(perm_count_t n, const char *one,
    const char *many);


/*
 * RFC 3339 for people, "-" when negative, "permanent" from 2100 on.  The
 * result is good until the fourth call after it.
 */
const char *perm_output_time(int64_t seconds);


/*
 * Writes the template as it stands, with a double quote for each single quote,
 * and a value for each of
 *   %s  const char *: a string
 *   %b  perm_str_t: a string
 *   %n  int64_t: a number, or null when it is below 0
 *   %t  const perm_tuple_t *: the members "gateway", "resource" (null for the
 *       whole gateway) and, unless it is empty, "app"
 *   %g  the same without "resource" for the whole gateway, as import takes it
 *   %d  const perm_grant_details_t *: of the members "type", "granted", "by"
 *       and "renew" (false) those that there are, each after a comma
 * Strings are escaped; bytes that are not UTF-8 become U+FFFD.
 */
void perm_output_json(FILE *file, const char *template, ...);

/*
 * Ends the program when standard output could not be written: without a word
 * and as SIGPIPE would, when it is a pipe that nobody reads any more.
 */

void perm_output_check(void);


#endif /* _PERM_CLI_UTIL_OUTPUT_H_INCLUDED_ */
