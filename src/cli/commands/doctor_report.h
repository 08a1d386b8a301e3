
/*
 * The lines of doctor.
 */


#ifndef _PERM_CLI_COMMANDS_DOCTOR_REPORT_H_INCLUDED_
#define _PERM_CLI_COMMANDS_DOCTOR_REPORT_H_INCLUDED_


#include "cli/util/output.h"


typedef enum {
    PERM_OK = 0,
    PERM_WARNING,
    PERM_ERROR
} perm_level_t;


typedef struct {
    int           json;
    const char   *server;     /* "127.0.0.1:6379", or NULL */
    unsigned      warnings;
    unsigned      errors;
} perm_doctor_report_t;


/* One line: the level, what was looked at, what was found and what to do */

void perm_doctor_report(perm_doctor_report_t *report, perm_level_t level,
    const char *check, const char *fmt, ...) PERM_PRINTF(4);


#endif /* _PERM_CLI_COMMANDS_DOCTOR_REPORT_H_INCLUDED_ */
