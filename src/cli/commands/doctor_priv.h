
/*
 * Between the files of doctor.
 */


#ifndef _PERM_CLI_COMMANDS_DOCTOR_PRIV_H_INCLUDED_
#define _PERM_CLI_COMMANDS_DOCTOR_PRIV_H_INCLUDED_


#include "cli/commands/command.h"


typedef enum {
    PERM_OK = 0,
    PERM_WARNING,
    PERM_ERROR
} perm_doctor_level_t;


typedef struct {
    perm_cli_t   *cli;
    const char   *server;     /* "127.0.0.1:6379", or NULL */
    unsigned      counts[PERM_ERROR + 1];   /* of each level */
} perm_doctor_t;


/* One line: what was looked at, what was found and what to do */

void perm_doctor_report(perm_doctor_t *doctor, perm_doctor_level_t level,
    const char *check, const char *fmt, ...) PERM_PRINTF(4);


/* 1 when an error reply says that the user lacks a right */

int perm_doctor_lacks_right(const redisReply *reply);


/* Looks at one server.  tracking: also at what a gateway needs to track */

void perm_doctor_server(perm_doctor_t *doctor, const perm_node_t *node,
    int tracking);


#endif /* _PERM_CLI_COMMANDS_DOCTOR_PRIV_H_INCLUDED_ */
