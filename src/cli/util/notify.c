
#include "cli/util/notify.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/util/alloc.h"
#include "cli/util/output.h"


#define SHELL_NOT_FOUND  127

#define BLANKS  " \t\n"
#define PLAIN   "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"        \
                "0123456789_-+./,:@%"


static const char *find_program(const char *command, size_t *len);
static const char *find_wrong(const char *command, const char *program,
    size_t before);
static int run(const char *command, int json, const char *text, size_t len);


void
perm_notify_check(const char *command)
{
    char        *program;
    size_t       len;
    const char  *word, *wrong;

    if (command[strspn(command, BLANKS)] == '\0') {
        perm_output_fatal(PERM_EXIT_USAGE, "--notify \"%s\": no command, "
                          "which would tell nobody",
                          perm_output_safe_text(command));
    }

    word = find_program(command, &len);

    if (len == 0) {
        return;
    }

    program = perm_alloc_check(strndup(word, len));
    wrong = find_wrong(command, program, (size_t) (word - command));

    if (wrong != NULL) {
        perm_output_fatal(PERM_EXIT_USAGE, "--notify \"%s\": \"%s\" cannot be "
                          "run: %s; nothing was done",
                          perm_output_safe_text(command), program, wrong);
    }

    free(program);
}


/*
 * The first word behind assignments.  *len is 0 where only the shell knows what
 * it means: it has quotes or variables, or is the name of a function.
 */

static const char *
find_program(const char *command, size_t *len)
{
    const char  *p, *word;

    p = command;

    do {
        word = p + strspn(p, BLANKS);
        *len = strspn(word, PLAIN);
        p = word + *len;

        if (*p == '=') {
            p += 1 + strspn(p + 1, PLAIN);
            *len = 0;
        }

    } while (*len == 0 && p > word && *p != '\0' && strchr(BLANKS, *p));

    if ((*p != '\0' && strchr(BLANKS ";|&", *p) == NULL)
        || p[strspn(p, BLANKS)] == '(')
    {
        *len = 0;
    }

    return word;
}


/* before: bytes of the assignments, of which one may be that of PATH */

static const char *
find_wrong(const char *command, const char *program, size_t before)
{
    int          status;
    char        *script;
    struct stat  st;

    static const char  find[] = "command -v -- ";

    if (strchr(program, '/') == NULL) {
        script = perm_alloc(before + strlen(program) + sizeof(find)
                            + sizeof("\n >/dev/null"));
        sprintf(script, "%.*s\n%s%s >/dev/null", (int) before, command, find,
                program);
        status = run(script, 0, "", 0);
        free(script);

        return (status != 0) ? "no such command" : NULL;
    }

    if (stat(program, &st) == 0 && S_ISDIR(st.st_mode)) {
        return "it is a directory";
    }

    return (access(program, X_OK) != 0) ? strerror(errno) : NULL;
}


int
perm_notify_run(const char *command, int json, perm_str_t app,
    const char *text, size_t len)
{
    int  status;

    status = run(command, json, text, len);

    if (status == -1) {
        perm_output_warn("--notify failed for app %s: cannot be started: %m",
                         perm_output_safe(app));

    } else if (WIFSIGNALED(status)) {
        perm_output_warn("--notify failed for app %s: ended by signal %d",
                         perm_output_safe(app), WTERMSIG(status));

    } else if (status != 0) {
        perm_output_warn("--notify failed for app %s: exit status %d%s",
                         perm_output_safe(app), WEXITSTATUS(status),
                         WEXITSTATUS(status) == SHELL_NOT_FOUND
                         ? ", as of a command that is not found" : "");
    }

    return status != 0;
}


static int
run(const char *command, int json, const char *text, size_t len)
{
    FILE  *input;
    char  *script;

    fflush(stdout);

    script = perm_alloc(sizeof("exec >&2\n") + strlen(command));
    sprintf(script, "%s%s", json ? "exec >&2\n" : "", command);

    /* the command gets the default SIGPIPE, which this program ignores */

    signal(SIGPIPE, SIG_DFL);
    input = popen(script, "we");
    signal(SIGPIPE, SIG_IGN);

    free(script);

    if (input == NULL) {
        return -1;
    }

    /* without a buffer pclose() has nothing left to write, and cannot fail */

    setvbuf(input, NULL, _IONBF, 0);
    (void) fwrite(text, 1, len, input);

    return pclose(input);
}
