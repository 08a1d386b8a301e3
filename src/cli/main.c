
/*
 * app-permission: the command line of the grant table.
 */


#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/table/table.h"
#include "core/version.h"


#define TIMEOUT_DEFAULT  10   /* seconds */


static const perm_command_t *const  commands[] = {
    &perm_grant_command,
    &perm_revoke_command,
    &perm_check_command,
    &perm_list_command,
    &perm_import_command,
    &perm_export_command,
    &perm_access_command,
    &perm_renew_command,
    &perm_expiring_command,
    &perm_purge_command,
    &perm_doctor_command,
    NULL
};


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

    printf("\nOptions of every command:\n");
    perm_args_help(perm_global_options);

    printf("\nTimes are unix seconds or RFC 3339; spans take s, m, h and d.\n"
           "Exit status: 0 done; 1 the answer is no; 2 wrong usage; 3 Redis "
           "failed.\n\"app-permission COMMAND --help\" tells more.\n");
}


static void
command_help(const perm_command_t *command)
{
    const perm_option_t  *option;

    printf("Usage: app-permission %s", command->name);

    for (option = command->options; option != NULL && option->name != NULL;
         option++)
    {
        printf(option->required ? " %s%s%s" : " [%s%s%s]", option->name,
               option->value ? " " : "", option->value ? option->value : "");
    }

    printf("%s%s\n\n%s\n", command->operands[0] ? " " : "", command->operands,
           command->text);

    if (command->options != NULL && command->options->name != NULL) {
        printf("\n");
        perm_args_help(command->options);
    }

    printf("\n\"app-permission --help\" tells the options of every "
           "command.\n");
}


static const perm_command_t *
find_command(const char *name)
{
    const perm_command_t *const  *command;

    for (command = commands; *command != NULL; command++) {
        if (strcmp((*command)->name, name) == 0) {
            return *command;
        }
    }

    perm_fatal(PERM_EXIT_USAGE, "unknown command \"%s\"; see "
               "\"app-permission --help\"", perm_escape_text(name));
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
                           command ? command->options : NULL, argc, argv, &i);

        } else if (command == NULL) {
            command = find_command(argv[i]);

        } else if (command->file && args->file == NULL) {
            args->file = argv[i];

        } else {
            perm_fatal(PERM_EXIT_USAGE, "\"%s\" does not take \"%s\"",
                       command->name, perm_escape_text(argv[i]));
        }
    }

    return command;
}


/* the name is the option's, and becomes the variable's where that serves */

static const char *
option_or_env(const char *option, const char *env, const char **name)
{
    if (option != NULL) {
        return option;
    }

    *name = env;

    return getenv(env);
}


/* the first line of --password-file */

static void
read_password(perm_cli_t *cli, const char *name)
{
    FILE  *file;

    file = fopen(name, "re");

    if (file == NULL
        || (fgets(cli->password, sizeof(cli->password), file) == NULL
            && ferror(file)))
    {
        perm_fatal(PERM_EXIT_USAGE, "--password-file \"%s\": %m",
                   perm_escape_text(name));
    }

    fclose(file);

    cli->password[strcspn(cli->password, "\r\n")] = '\0';
    cli->nodes.connection.password = perm_str(cli->password);
}


static void
configure_links(perm_cli_t *cli)
{
    perm_args_t             *args;
    perm_connection_conf_t  *link;

    args = &cli->args;
    link = &cli->nodes.connection;

    link->tls.on = (int) cli->url.tls;
    link->tls.insecure = args->insecure;
    link->tls.cacert = args->cacert;
    link->tls.cert = args->cert;
    link->tls.key = args->key ? args->key : args->cert;
    link->tls.name = args->tls_name;
    link->user = cli->url.user;
    link->password = cli->url.password;
    link->db = cli->url.db;
    link->timeout = (int) (args->timeout * 1000);

    cli->nodes.url = &cli->url;
    cli->nodes.sentinel = *link;
    cli->nodes.sentinel.db = 0;
    cli->nodes.sentinel.sentinel = 1;

    if (args->user != NULL) {
        link->user = perm_str(args->user);
    }

    if (args->password_file != NULL) {
        read_password(cli, args->password_file);
    }
}


static void
configure(perm_cli_t *cli)
{
    const char   *text, *name, *wrong;
    perm_args_t  *args;

    args = &cli->args;
    cli->now = time(NULL);

    name = "--prefix";
    text = option_or_env(args->prefix, "APP_PERMISSION_PREFIX", &name);
    cli->prefix = perm_str(text ? text : PERM_PREFIX_DEFAULT);

    if (!perm_grant_key_prefix_valid(cli->prefix)) {
        perm_fatal(PERM_EXIT_USAGE, "%s \"%s\": not up to 128 bytes of "
                   "printable ASCII without blanks, quotes and {}*?[]\\", name,
                   perm_escape(cli->prefix));
    }

    name = "--redis";
    text = option_or_env(args->redis, "APP_PERMISSION_REDIS", &name);

    if (text == NULL || *text == '\0') {
        perm_fatal(PERM_EXIT_USAGE, "where is Redis? Give --redis URL or set "
                   "APP_PERMISSION_REDIS, as in redis://127.0.0.1:6379");
    }

    /* the URL may hold a password: it is not repeated */

    wrong = perm_redis_url_parse(perm_str(text), &cli->url);

    if (wrong != NULL) {
        perm_fatal(PERM_EXIT_USAGE, "%s: invalid Redis URL: %s", name, wrong);
    }

    if (args->timeout < 0) {
        args->timeout = TIMEOUT_DEFAULT;
    }

    if (args->timeout == 0 || args->timeout > 86400) {
        perm_fatal(PERM_EXIT_USAGE, "--timeout: not 1s to 1d");
    }

    configure_links(cli);
}


const char *
perm_cli_connect(perm_cli_t *cli)
{
    static char  error[PERM_ERROR_SIZE];

    cli->client = perm_client_open(&cli->nodes, error);

    return cli->client ? NULL : perm_escape_text(error);
}


static perm_exit_t
run(const perm_command_t *command, perm_cli_t *cli)
{
    const char   *error;
    perm_exit_t   status;

    perm_args_check(&cli->args, command->name, command->options);
    configure(cli);

    if (command->connects) {
        error = perm_cli_connect(cli);

        if (error != NULL) {
            perm_fatal(PERM_EXIT_REDIS, "%s", error);
        }

        perm_table_open(cli);
    }

    status = command->run(cli);

    perm_progress_end();

    if (cli->client != NULL) {
        perm_client_close(cli->client);
    }

    return status;
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
            perm_fatal(PERM_EXIT_NO, "cannot open /dev/null: %m");
        }
    }
}


int
main(int argc, char **argv)
{
    perm_cli_t             cli;
    perm_exit_t            status;
    const perm_command_t  *command;

    take_descriptors();

    memset(&cli, 0, sizeof(perm_cli_t));
    perm_args_init(&cli.args);

    /* a reader that leaves, or a server that closes, is an error to report */

    signal(SIGPIPE, SIG_IGN);

    command = read_args(&cli.args, argc, argv);
    status = PERM_EXIT_DONE;

    if (cli.args.version) {
        printf("app-permission %s\n", PERM_VERSION);

    } else if (cli.args.help) {
        if (command != NULL) {
            command_help(command);
        } else {
            help();
        }

    } else if (command == NULL) {
        perm_fatal(PERM_EXIT_USAGE, "no command; see \"app-permission "
                   "--help\"");

    } else {
        status = run(command, &cli);
    }

    if (fflush(stdout) != 0 || ferror(stdout)) {
        perm_fatal(PERM_EXIT_NO, "cannot write the output: %m");
    }

    return perm_interrupted ? 128 + perm_interrupted : (int) status;
}
