
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
static void report_fatal(void *data);
static void mark(perm_doctor_t *doctor, const char *check,
    perm_doctor_level_t level);
static void print_folded(perm_doctor_t *doctor, perm_doctor_level_t level,
    const char *more);
static void print_level(perm_doctor_level_t level);
static int colours(void);


static const char *const  levels[] = { "ok", "skipped", "warning", "error" };


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
    "ok, skipped, warning or error, and what to do. Exit status 1: there are\n"
    "errors; 3: Redis does not serve.\n"
    "Without --for it looks for the rights of all commands, which are those\n"
    "of the renewal job; a gateway's user is recognised. Run it as that user\n"
    "with --for gateway, self where it has app_permission_self, or self-apply\n"
    "for \"app_permission_self apply\". An auditor may only read.",
    doctor_options, 0, run_doctor
};


static perm_exit_t
run_doctor(perm_cli_t *cli)
{
    const char     *error;
    perm_doctor_t   doctor;

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

    if (cli->table.client != NULL) {
        perm_output_at_fatal(report_fatal, &doctor);
        look(&doctor);
        perm_output_at_fatal(NULL, NULL);

    } else {
        doctor.down = 1;
        error = perm_connection_error();

        if (!perm_doctor_rights_connect(&doctor, error)) {
            perm_doctor_report(&doctor, PERM_DOCTOR_ERROR, "reachable", "%s",
                               perm_output_safe_text(error));
        }
    }

    if (!cli->args.json && !cli->args.verbose) {
        print_folded(&doctor, PERM_DOCTOR_OK, "");
        print_folded(&doctor, PERM_DOCTOR_SKIPPED, ": --verbose says why");
    }

    perm_output_warn("%s, %s",
                     perm_output_count(doctor.counts[PERM_DOCTOR_ERROR],
                                       "error"),
                     perm_output_count(doctor.counts[PERM_DOCTOR_WARNING],
                                       "warning"));

    return doctor.down ? PERM_EXIT_REDIS
           : doctor.counts[PERM_DOCTOR_ERROR] ? PERM_EXIT_NO : PERM_EXIT_DONE;
}


/* who reads the JSON may not read standard error */

static void
report_fatal(void *data)
{
    perm_doctor_t  *doctor = data;

    if (doctor->cli->args.json) {
        perm_doctor_report(doctor, PERM_DOCTOR_ERROR, "reachable", "not all "
                           "was looked at: standard error says why");
    }
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

    if (!doctor->stop) {
        perm_doctor_meta(doctor);
    }

    if (!doctor->stop) {
        perm_doctor_rights(doctor);
    }

    if (!doctor->stop && (doctor->users & PERM_DOCTOR_TABLE)) {
        perm_doctor_table(doctor);
    }
}


void
perm_doctor_report(perm_doctor_t *doctor, perm_doctor_level_t level,
    const char *check, const char *fmt, ...)
{
    char         text[PERM_DOCTOR_TEXT];
    va_list      args;
    const char  *server, *remedy;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);

    mark(doctor, check, level);
    doctor->counts[level]++;
    server = doctor->server ? perm_connection_name(doctor->server) : "";
    remedy = doctor->remedy ? doctor->remedy : "";
    doctor->remedy = NULL;

    if (doctor->cli->args.json) {
        perm_output_json(stdout, "{'status':%s,'check':%s", levels[level],
                         check);
        perm_output_json(stdout, *server ? ",'server':%s" : "", server);
        perm_output_json(stdout, ",'message':%s", text);
        perm_output_json(stdout, *remedy ? ",'remedy':%s}\n" : "}\n", remedy);
        return;
    }

    if (level >= PERM_DOCTOR_WARNING || doctor->cli->args.verbose) {
        print_level(level);
        printf("%-12s %s%s%s%s\n", check, text, *server ? " (" : "", server,
               *server ? ")" : "");

        if (*remedy) {
            printf("%22s%s\n", "", remedy);
        }
    }
}


static void
mark(perm_doctor_t *doctor, const char *check, perm_doctor_level_t level)
{
    unsigned  i;

    for (i = 0; i < doctor->nchecks; i++) {
        if (strcmp(doctor->checks[i].name, check) == 0) {
            break;
        }
    }

    if (i == doctor->nchecks) {
        doctor->nchecks++;
        doctor->checks[i].name = check;
    }

    if (level > doctor->checks[i].worst) {
        doctor->checks[i].worst = level;
    }
}


/* the checks of which nothing worse was said, in one line */

static void
print_folded(perm_doctor_t *doctor, perm_doctor_level_t level,
    const char *more)
{
    unsigned  i, n;

    n = 0;

    for (i = 0; i < doctor->nchecks; i++) {
        if (doctor->checks[i].worst == level) {
            if (n++ == 0) {
                print_level(level);
            }

            printf("%s%s", n > 1 ? " " : "", doctor->checks[i].name);
        }
    }

    if (n) {
        printf("%s\n", more);
    }
}


static void
print_level(perm_doctor_level_t level)
{
    static const char *const  colour[] = {
        "\033[32m", "\033[36m", "\033[33m", "\033[1;31m"
    };

    perm_output_results();
    printf("%s%-8s%s ", colours() ? colour[level] : "", levels[level],
           colours() ? "\033[0m" : "");
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
