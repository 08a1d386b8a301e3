
/*
 * A command: its name, help and options, and what it runs with.
 */


#ifndef _PERM_CLI_COMMANDS_COMMAND_H_INCLUDED_
#define _PERM_CLI_COMMANDS_COMMAND_H_INCLUDED_


#include "cli/table/table.h"
#include "cli/util/args.h"


typedef struct {
    perm_args_t            args;
    perm_table_t           table;
    perm_discovery_conf_t  servers;
} perm_cli_t;


typedef struct {
    const char          *name;
    const char          *operands;   /* "[FILE]", or "" when it takes none */
    const char          *summary;    /* a line of --help */
    const char          *text;       /* more of its own --help */
    const perm_option_t *options;
    unsigned             connects;   /* needs the table before it runs; 0: it
                                        looks at its options first */
    perm_exit_t        (*run)(perm_cli_t *cli);
} perm_command_t;


extern const perm_command_t  perm_init_command;
extern const perm_command_t  perm_grant_command;
extern const perm_command_t  perm_extend_command;
extern const perm_command_t  perm_revoke_command;
extern const perm_command_t  perm_apply_command;
extern const perm_command_t  perm_requests_command;
extern const perm_command_t  perm_approve_command;
extern const perm_command_t  perm_reject_command;
extern const perm_command_t  perm_check_command;
extern const perm_command_t  perm_list_command;
extern const perm_command_t  perm_history_command;
extern const perm_command_t  perm_import_command;
extern const perm_command_t  perm_export_command;
extern const perm_command_t  perm_access_command;
extern const perm_command_t  perm_renew_command;
extern const perm_command_t  perm_expiring_command;
extern const perm_command_t  perm_purge_command;
extern const perm_command_t  perm_doctor_command;


#endif /* _PERM_CLI_COMMANDS_COMMAND_H_INCLUDED_ */
