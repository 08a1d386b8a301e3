
/*
 * app-permission: the command line of the grant table.
 */


#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/commands/command.h"
#include "cli/table/walk.h"
#include "cli/util/alloc.h"
#include "cli/util/env.h"
#include "cli/util/similar.h"
#include "core/json.h"
#include "core/version.h"


#define PASSWORD_MAX  1024   /* bytes */


static void take_descriptors(void);
static const perm_command_t *find_command(const char *name);
static const perm_command_t *read_args(perm_args_t *args, int argc,
    char **argv);
static void help(void);
static void command_help(const perm_command_t *command);
static perm_exit_t run(const perm_command_t *command, perm_cli_t *cli);
static void configure(perm_cli_t *cli);
static void configure_connections(perm_cli_t *cli);
static void check_file(const perm_args_t *args, const char *const *name);
static void configure_user(perm_cli_t *cli);
static perm_str_t read_password(const char *source, const char *name);


static const perm_command_t *const  commands[] = {
    &perm_init_command,
    &perm_grant_command,
    &perm_extend_command,
    &perm_revoke_command,
    &perm_apply_command,
    &perm_requests_command,
    &perm_approve_command,
    &perm_reject_command,
    &perm_check_command,
    &perm_list_command,
    &perm_history_command,
    &perm_import_command,
    &perm_export_command,
    &perm_access_command,
    &perm_renew_command,
    &perm_expiring_command,
    &perm_purge_command,
    &perm_doctor_command,
    NULL
};

static perm_redis_url_t  url;


int
main(int argc, char **argv)
{
    perm_cli_t             cli;
    perm_exit_t            status;
    const perm_command_t  *command;

    take_descriptors();
    perm_json_no_memory = perm_alloc_failed;

    memset(&cli, 0, sizeof(perm_cli_t));
    perm_args_init(&cli.args);

    /* a write to a closed pipe or connection fails, and is reported */

    signal(SIGPIPE, SIG_IGN);

    command = read_args(&cli.args, argc, argv);
    status = PERM_EXIT_DONE;

    if (cli.args.version) {
        printf("app-permission %s\n", PERM_VERSION);

    } else if (cli.args.help && command != NULL) {
        command_help(command);

    } else if (cli.args.help) {
        help();

    } else if (command == NULL) {
        perm_output_fatal(PERM_EXIT_USAGE, "no command; see \"app-permission "
                          "--help\"");

    } else {
        status = run(command, &cli);
    }

    perm_output_check();

    return perm_walk_interrupted ? 128 + perm_walk_interrupted : (int) status;
}


/*
 * Standard input, output and error that are closed would become the next
 * sockets and files.  What takes their place fails when it is used.
 */

static void
take_descriptors(void)
{
    int  fd;

    for (fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {

        if (fcntl(fd, F_GETFD) == -1 && errno == EBADF
            && open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY)
               != fd)
        {
            perm_output_fatal(PERM_EXIT_NO, "cannot open /dev/null: %m");
        }
    }
}


static const perm_command_t *
read_args(perm_args_t *args, int argc, char **argv)
{
    int                    i;
    const perm_command_t  *command;

    command = NULL;

    for (i = 1; i < argc; i++) {

        if (argv[i][0] == '-' && argv[i][1] != '\0') {
            perm_args_take(args, command ? command->name : NULL,
                           command ? command->options : perm_global_options,
                           argv, &i);

        } else if (command == NULL && strcmp(argv[i], "help") == 0) {
            args->help = 1;

        } else if (command == NULL) {
            command = find_command(argv[i]);

        } else if (command->operands[0] && args->file == NULL && *argv[i]) {
            args->file = argv[i];

        } else {
            perm_output_fatal(PERM_EXIT_USAGE, "\"%s\" does not take \"%s\"; "
                              "see \"app-permission %s --help\"",
                              command->name, perm_output_safe_text(argv[i]),
                              command->name);
        }
    }

    return command;
}


static const perm_command_t *
find_command(const char *name)
{
    perm_similar_t                similar;
    const perm_command_t *const  *known;

    perm_similar_init(&similar, name);

    for (known = commands; *known != NULL; known++) {
        if (strcmp((*known)->name, name) == 0) {
            return *known;
        }

        perm_similar_offer(&similar, (*known)->name);
    }

    perm_output_fatal(PERM_EXIT_USAGE, "unknown command \"%s\"%s See "
                      "\"app-permission --help\"",
                      perm_output_safe_text(name),
                      similar.text[0] ? similar.text : ".");
}


static void
help(void)
{
    const perm_command_t *const  *command;

    printf("Usage: app-permission [--redis URL] [--prefix P] [--json] COMMAND "
           "[OPTIONS]\n\nGrants of apps on gateways and resources, in "
           "Redis.\n\nCommands:\n");

    for (command = commands; *command != NULL; command++) {
        printf("  %-10s %s\n", (*command)->name, (*command)->summary);
    }

    printf("  %-10s %s\n", "help", "this, or the help of a command");

    printf("\nOptions of every command:\n");
    perm_args_help(perm_global_options);

    printf("\nTimes are unix seconds, a date or RFC 3339, in UTC, or a span: "
           "--expires is that\nlong from now, --since and --unused-since that "
           "long ago. Spans take s, m, h and d,\nand plain days where an "
           "option is called --days.\n"
           "Exit status: 0 done; 1 the answer is no; 2 wrong usage; 3 Redis "
           "failed.\n\"app-permission COMMAND --help\" shows more.\n");
}


static void
command_help(const perm_command_t *command)
{
    const perm_option_t  *option;

    printf("Usage: app-permission %s", command->name);

    for (option = command->options; option->name != NULL; option++) {
        printf(option->required ? " %s%s%s" : " [%s%s%s]%s", option->name,
               option->value ? " " : "", option->value ? option->value : "",
               option->kind == PERM_ARG_RESOURCES ? "..." : "");
    }

    printf("%s%s\n\n%s\n", command->operands[0] ? " " : "", command->operands,
           command->text);

    if (command->options->name != NULL) {
        printf("\n");
        perm_args_help(command->options);
    }

    printf("\n\"app-permission --help\" shows the options of every "
           "command.\n");
}


static perm_exit_t
run(const perm_command_t *command, perm_cli_t *cli)
{
    perm_exit_t  status;

    perm_args_check(&cli->args, command->name, command->options);
    perm_args_environment(&cli->args);
    configure(cli);
    perm_env_drop_secrets();

    if (command->connects) {
        perm_table_connect(&cli->table, &cli->servers);
    }

    status = command->run(cli);

    perm_output_progress_end();

    if (cli->table.client != NULL) {
        perm_client_close(cli->table.client);
    }

    free(cli->args.resources.list);

    return status;
}


static void
configure(perm_cli_t *cli)
{
    const char    *wrong;
    perm_args_t   *args;
    perm_table_t  *table;

    args = &cli->args;
    table = &cli->table;
    table->now = time(NULL);

    table->prefix = perm_str(args->prefix ? args->prefix
                                          : PERM_PREFIX_DEFAULT);

    if (!perm_grant_key_prefix_valid(table->prefix)) {
        perm_output_fatal(PERM_EXIT_USAGE, "%s \"%s\": not up to 128 bytes of "
                          "printable ASCII without blanks, quotes and "
                          "{}*?[]\\", perm_args_source(args, &args->prefix),
                          perm_output_safe(table->prefix));
    }

    if (args->redis == NULL || *args->redis == '\0') {
        perm_output_fatal(PERM_EXIT_USAGE, "where is Redis? Give --redis URL "
                          "or set APP_PERMISSION_REDIS, as in "
                          "redis://127.0.0.1:6379");
    }

    /* the URL may hold a password: it is not repeated */

    wrong = perm_redis_url_parse(perm_str(args->redis), &url);

    if (wrong != NULL) {
        perm_output_fatal(PERM_EXIT_USAGE, "%s: invalid Redis URL: %s",
                          perm_args_source(args, &args->redis), wrong);
    }

    if (args->timeout == 0 || args->timeout > 86400) {
        perm_output_fatal(PERM_EXIT_USAGE, "--timeout: not 1s to 1d");
    }

    configure_connections(cli);
}


static void
configure_connections(perm_cli_t *cli)
{
    perm_args_t             *args;
    perm_connection_conf_t  *conf;

    args = &cli->args;
    conf = &cli->servers.connection;

    conf->tls.on = (int) url.tls;
    conf->tls.insecure = args->insecure;
    conf->tls.cacert = args->cacert;
    conf->tls.cert = args->cert;
    conf->tls.key = args->key ? args->key : args->cert;
    conf->tls.name = args->tls_name;
    conf->user = url.user;
    conf->password = url.password;
    conf->db = url.db;
    conf->timeout = (int) (args->timeout * 1000);

    cli->servers.url = &url;
    cli->servers.sentinel = *conf;
    cli->servers.sentinel.db = 0;
    cli->servers.sentinel.sentinel = 1;

    configure_user(cli);

    if (url.tls) {
        check_file(args, &args->cacert);
        check_file(args, &args->cert);
        check_file(args, &args->key);
    }
}


/* what is in it is looked at with the first connection */

static void
check_file(const perm_args_t *args, const char *const *name)
{
    if (*name != NULL && access(*name, R_OK) != 0) {
        perm_output_fatal(PERM_EXIT_USAGE, "%s \"%s\": %m",
                          perm_args_source(args, name),
                          perm_output_safe_text(*name));
    }
}


static void
configure_user(perm_cli_t *cli)
{
    int                      own;
    perm_args_t             *args;
    perm_connection_conf_t  *conf;

    args = &cli->args;
    conf = &cli->servers.connection;

    /* a URL of the command line with a user of its own is meant as it stands */

    own = !perm_args_inherited(args, &args->redis)
          && (url.user.len || url.password.len);

    if (args->user != NULL
        && !(own && perm_args_inherited(args, &args->user)))
    {
        conf->user = perm_str(args->user);
    }

    if (args->password_file != NULL
        && !(own && perm_args_inherited(args, &args->password_file)))
    {
        conf->password = read_password(perm_args_source(args,
                                                        &args->password_file),
                                       args->password_file);
    }
}


/* the first line of the file */

static perm_str_t
read_password(const char *source, const char *name)
{
    FILE    *file;
    size_t   len;

    /* behind the password CR, LF and NUL */

    static char  password[PASSWORD_MAX + 3];

    file = fopen(name, "re");

    if (file == NULL
        || (fgets(password, sizeof(password), file) == NULL && ferror(file)))
    {
        perm_output_fatal(PERM_EXIT_USAGE, "%s \"%s\": %m", source,
                          perm_output_safe_text(name));
    }

    fclose(file);
    len = strcspn(password, "\r\n");
    password[len] = '\0';

    if (len > PASSWORD_MAX) {
        perm_output_fatal(PERM_EXIT_USAGE, "%s \"%s\": the first line is "
                          "longer than a password of %d bytes", source,
                          perm_output_safe_text(name), PASSWORD_MAX);
    }

    return perm_str(password);
}
