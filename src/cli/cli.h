
/*
 * What every command gets: the options and the open store.
 */


#ifndef _PERM_CLI_CLI_H_INCLUDED_
#define _PERM_CLI_CLI_H_INCLUDED_


#include <stdint.h>

#include "cli/util/args.h"
#include "cli/util/output.h"
#include "cli/wire/client.h"
#include "core/grant_key.h"


typedef struct {
    perm_args_t            args;
    perm_redis_url_t       url;
    perm_discovery_conf_t  nodes;
    perm_client_t         *client;
    perm_str_t             prefix;
    char                   password[1024];   /* of --password-file */
    int                    loaded; /* the table has the schema known here */
    int64_t                now;    /* unix seconds, at the start */
} perm_cli_t;


typedef struct {
    const char          *name;
    const char          *operands;   /* after the options, or "" */
    const char          *summary;    /* a line of --help */
    const char          *text;       /* more of its own --help */
    const perm_option_t *options;
    unsigned             connects;   /* needs the store before it runs */
    unsigned             file;       /* takes FILE */
    perm_exit_t        (*run)(perm_cli_t *cli);
} perm_command_t;


/* one file each, or one for several */

extern const perm_command_t  perm_grant_command;
extern const perm_command_t  perm_revoke_command;
extern const perm_command_t  perm_check_command;
extern const perm_command_t  perm_list_command;
extern const perm_command_t  perm_import_command;
extern const perm_command_t  perm_export_command;
extern const perm_command_t  perm_access_command;
extern const perm_command_t  perm_renew_command;
extern const perm_command_t  perm_expiring_command;
extern const perm_command_t  perm_purge_command;
extern const perm_command_t  perm_doctor_command;


/*
 * Opens cli->store as the options say; NULL, or what is wrong, which is good
 * until the next call.
 */
const char *perm_cli_connect(perm_cli_t *cli);


#endif /* _PERM_CLI_CLI_H_INCLUDED_ */
