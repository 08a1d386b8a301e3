
/*
 * Between the files of doctor: doctor.c has the command and looks at the table,
 * doctor_server.c looks at one server.
 */


#ifndef _PERM_CLI_COMMANDS_DOCTOR_PRIV_H_INCLUDED_
#define _PERM_CLI_COMMANDS_DOCTOR_PRIV_H_INCLUDED_


#include "cli/commands/command.h"


typedef enum { OK = 0, WARNING, ERROR } perm_doctor_level_t;


typedef struct {
    perm_cli_t          *cli;
    unsigned             counts[ERROR + 1];   /* of each level */
    perm_connection_t   *server;       /* that is looked at, or NULL */
    char                *info;         /* its INFO, or NULL */
    perm_key_kind_t      kind;         /* of the keys that are looked at */
    perm_count_t         keys;
    perm_count_t         wrong_types;
    int                  refused;      /* a key could not be looked at */
} perm_doctor_t;


/* One line: what was looked at, what was found and what to do */

void perm_doctor_report(perm_doctor_t *doctor, perm_doctor_level_t level,
    const char *check, const char *fmt, ...) PERM_PRINTF(4);


/* 1 when the reply is the error that the user lacks a right */

int perm_doctor_lacks_right(const redisReply *reply);


/*
 * Looks at a server, on a connection of its own.  tracking: also at the
 * tracking of a gateway.
 */
void perm_doctor_server(perm_doctor_t *doctor, const perm_node_t *node,
    int tracking);


#endif /* _PERM_CLI_COMMANDS_DOCTOR_PRIV_H_INCLUDED_ */
