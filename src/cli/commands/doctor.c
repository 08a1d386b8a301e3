
/*
 * doctor: whether this Redis is fit for the grant table.
 */


#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands/doctor_priv.h"


static perm_exit_t run_doctor(perm_cli_t *cli);
static void look(perm_doctor_t *doctor);
static int colours(void);


static const perm_option_t  doctor_options[] = {
    { "--for", "commands|gateway|self|self-apply|renewal|auditor|all",
      "whose rights are looked at",
      PERM_OPTION(WORD, role) },
    { "--verbose", NULL, "a line for everything that is well, too",
      PERM_OPTION(FLAG, verbose) },
    PERM_OPTION_END
};


const perm_command_t  perm_doctor_command = {
    "doctor", "",
    "is this Redis fit for the table",
    "Looks at every server: reachable, version, role, eviction, memory,\n"
    "saving to disk, the difference of the clocks, tracking; then at the\n"
    "table, at the rights of the user, by using them on keys that are\n"
    "nobody's, and at all keys: their types, values that cannot be read,\n"
    "accesses in the future, grants whose key ends by itself. Each line says\n"
    "ok, warning or error, and what to do. Exit status 1: there are errors.\n"
    "Without --for it looks for the rights of all commands, which are those\n"
    "of the renewal job. A gateway needs others: run it as the gateway's user\n"
    "with --for gateway, self where it has app_permission_self, or self-apply\n"
    "for \"app_permission_self apply\". An auditor may only read.",
    doctor_options, 0, run_doctor
};


static perm_exit_t
run_doctor(perm_cli_t *cli)
{
    perm_doctor_t  doctor;

    /* in the order of the words of --for */

    static const unsigned  users[] = {
        PERM_DOCTOR_RENEWAL | PERM_DOCTOR_COMMANDS, PERM_DOCTOR_GATEWAY,
        PERM_DOCTOR_GATEWAY | PERM_DOCTOR_SELF,
        PERM_DOCTOR_GATEWAY | PERM_DOCTOR_SELF | PERM_DOCTOR_APPLY,
        PERM_DOCTOR_RENEWAL, PERM_DOCTOR_AUDITOR, PERM_DOCTOR_ALL
    };

    memset(&doctor, 0, sizeof(perm_doctor_t));
    doctor.cli = cli;
    doctor.users = users[cli->args.role];

    cli->table.client = perm_client_open(&cli->servers);

    if (cli->table.client == NULL) {
        perm_doctor_report(&doctor, PERM_DOCTOR_ERROR, "reachable", "%s",
                           perm_output_safe_text(perm_connection_error()));
        return PERM_EXIT_REDIS;
    }

    look(&doctor);

    if (doctor.well.len) {
        printf("%s%-8s%s %s\n", colours() ? "\033[32m" : "", "ok",
               colours() ? "\033[0m" : "", doctor.well.text);
    }

    perm_output_warn("%s, %s",
                     perm_output_count(doctor.counts[PERM_DOCTOR_ERROR],
                                       "error"),
                     perm_output_count(doctor.counts[PERM_DOCTOR_WARNING],
                                       "warning"));

    return doctor.counts[PERM_DOCTOR_ERROR] ? PERM_EXIT_NO : PERM_EXIT_DONE;
}


static void
look(perm_doctor_t *doctor)
{
    perm_node_t    *node;
    perm_client_t  *client;

    client = doctor->cli->table.client;

    for (node = perm_client_next(client, NULL); node != NULL;
         node = perm_client_next(client, node))
    {
        perm_doctor_server(doctor, node);
    }

    /* the rest would fail for that one reason */

    if (doctor->replica) {
        return;
    }

    perm_doctor_meta(doctor);
    perm_doctor_rights(doctor);

    if ((doctor->users & PERM_DOCTOR_TABLE) && !doctor->cannot_scan) {
        perm_doctor_table(doctor);
    }
}


void
perm_doctor_report(perm_doctor_t *doctor, perm_doctor_level_t level,
    const char *check, const char *fmt, ...)
{
    char         text[1536];
    va_list      args;
    const char  *server;

    static const char *const  levels[] = { "ok", "warning", "error" };
    static const char *const  colour[] = {
        "\033[32m", "\033[33m", "\033[1;31m"
    };

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);

    doctor->counts[level]++;
    server = doctor->server ? perm_connection_name(doctor->server) : "";

    if (doctor->cli->args.json) {
        perm_output_json(stdout, "{'status':%s,'check':%s", levels[level],
                         check);
        perm_output_json(stdout, *server ? ",'server':%s" : "", server);
        perm_output_json(stdout, ",'message':%s}\n", text);
        return;
    }

    if (level == PERM_DOCTOR_OK && !doctor->cli->args.verbose) {
        perm_doctor_word(&doctor->well, "%s", check);
        return;
    }

    printf("%s%-8s%s %-12s %s%s%s%s\n", colours() ? colour[level] : "",
           levels[level], colours() ? "\033[0m" : "", check, text,
           *server ? " (" : "", server, *server ? ")" : "");
}


/* https://no-color.org/ */

static int
colours(void)
{
    const char  *no, *terminal;

    no = getenv("NO_COLOR");
    terminal = getenv("TERM");

    return isatty(STDOUT_FILENO) && (no == NULL || *no == '\0')
           && terminal != NULL && strcmp(terminal, "dumb") != 0;
}


void
perm_doctor_word(perm_doctor_words_t *words, const char *fmt, ...)
{
    char         word[256];
    size_t       len;
    va_list      args;
    const char  *p;

    va_start(args, fmt);
    vsnprintf(word, sizeof(word), fmt, args);
    va_end(args);

    len = strlen(word);

    for (p = words->text; *p != '\0'; p += strspn(p, " ")) {
        if (strcspn(p, " ") == len && strncmp(p, word, len) == 0) {
            return;
        }

        p += strcspn(p, " ");
    }

    if (words->len + len + 2 <= sizeof(words->text)) {
        words->len += (size_t) sprintf(words->text + words->len, "%s%s",
                                       words->len ? " " : "", word);
    }
}


const char *
perm_doctor_missing(perm_doctor_t *doctor, const redisReply *reply,
    const char *command, const char *outer, const char *pattern)
{
    int  script;

    /* in a script: the words of Redis 7.0, and from 7.2 on */

    script = reply->type == REDIS_REPLY_ERROR
             && (strstr(reply->str, "ACL failure") != NULL
                 || strstr(reply->str, "user executing the script") != NULL);

    if (reply->type != REDIS_REPLY_ERROR
        || (!script && strncmp(reply->str, "NOPERM", 6) != 0))
    {
        return NULL;
    }

    if (strstr(reply->str, "channel") != NULL) {
        perm_doctor_word(&doctor->acl, "%s", pattern);
        return "the right to the channel";
    }

    if (strstr(reply->str, " a key") != NULL
        || strstr(reply->str, "the keys") != NULL)
    {
        perm_doctor_word(&doctor->keys, "%s", pattern);
        return "the right to the key";
    }

    /* what the script would run cannot be seen then */

    if (outer != NULL && !script) {
        perm_doctor_word(&doctor->acl, "+%s", outer);
    }

    perm_doctor_word(&doctor->acl, "+%s", command);
    return "the command";
}
