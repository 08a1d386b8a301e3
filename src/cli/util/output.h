
/*
 * What the command line says: results on standard output, everything else on
 * standard error, and the exit status.
 */


#ifndef _PERM_CLI_OUTPUT_H_INCLUDED_
#define _PERM_CLI_OUTPUT_H_INCLUDED_


#include <signal.h>
#include <stdint.h>
#include <stdio.h>

#include "core/name.h"


typedef enum {
    PERM_EXIT_DONE = 0,
    PERM_EXIT_NO = 1,      /* denied, nothing found, some lines refused */
    PERM_EXIT_USAGE = 2,
    PERM_EXIT_REDIS = 3
} perm_exit_t;


#define PERM_PRINTF(n)  __attribute__((format(printf, n, n + 1)))


/*
 * Each writes one line to standard error.  perm_fatal() also calls what
 * perm_at_fatal() left, and exits.
 */
void perm_warn(const char *fmt, ...) PERM_PRINTF(1);
void perm_fatal(perm_exit_t status, const char *fmt, ...) PERM_PRINTF(2)
    __attribute__((noreturn));
void perm_at_fatal(void (*handler)(void *data), void *data);


/* malloc() and realloc() that do not return NULL */

void *perm_alloc(size_t size);
void *perm_realloc(void *p, size_t size);


/*
 * Bytes from outside, made safe for a terminal: what is not printable ASCII
 * becomes "\xNN".  The result is good until the fourth call after it, and cut
 * where it is long.
 */
const char *perm_escape(perm_str_t bytes);
const char *perm_escape_text(const char *text);


/*
 * A JSON object on one line, member by member.  Strings are escaped, and
 * bytes that are not UTF-8 become U+FFFD.
 */
void perm_object_begin(FILE *file);
void perm_object_string(FILE *file, const char *name, perm_str_t value);
void perm_object_text(FILE *file, const char *name, const char *value);
void perm_object_raw(FILE *file, const char *name, const char *value);
void perm_object_number(FILE *file, const char *name, int64_t value);
void perm_object_end(FILE *file, const char *after);
void perm_json_put(FILE *file, perm_str_t value);


/* RFC 3339 for people: "-" when negative, "permanent" from 2100 on */

const char *perm_time_text(int64_t seconds);


/*
 * A counter on a terminal, redrawn a few times a second; nothing elsewhere.
 * total: 0 when it is not known.
 */
void perm_progress(const char *what, uint64_t done, uint64_t total);
void perm_progress_end(void);


/*
 * perm_catch_interrupt() makes the first SIGINT or SIGTERM, or SIGHUP unless
 * it is ignored, set perm_interrupted to its number instead of ending the
 * process.
 */
extern volatile sig_atomic_t  perm_interrupted;

void perm_catch_interrupt(void);


#endif /* _PERM_CLI_OUTPUT_H_INCLUDED_ */
