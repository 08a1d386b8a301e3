
#include "cli/util/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>


static void become(const char *command, int input, int output);
static void write_all(int fd, const char *text, size_t len);
static const char *failed(const char *doing);


static char  error[256];


const char *
perm_notify(const char *command, const char *text, size_t len, int output)
{
    int    fds[2], status;
    pid_t  pid;

    if (pipe2(fds, O_CLOEXEC) != 0) {
        return failed("pipe");
    }

    fflush(stdout);
    pid = fork();

    if (pid == 0) {
        become(command, fds[0], output);
    }

    close(fds[0]);

    if (pid == -1) {
        close(fds[1]);
        return failed("fork");
    }

    write_all(fds[1], text, len);
    close(fds[1]);

    while (waitpid(pid, &status, 0) == -1) {
        if (errno != EINTR) {
            return failed("waitpid");
        }
    }

    if (status == 0) {
        return NULL;
    }

    if (WIFSIGNALED(status)) {
        snprintf(error, sizeof(error), "ended by signal %d",
                 WTERMSIG(status));
    } else {
        snprintf(error, sizeof(error), "exit status %d",
                 WEXITSTATUS(status));
    }

    return error;
}


static void
become(const char *command, int input, int output)
{
    if (dup2(input, STDIN_FILENO) != -1
        && dup2(output, STDOUT_FILENO) != -1)
    {
        signal(SIGPIPE, SIG_DFL);
        execl("/bin/sh", "sh", "-c", command, (char *) NULL);
    }

    _exit(127);
}


/* or what the command reads of it */

static void
write_all(int fd, const char *text, size_t len)
{
    ssize_t  n;

    while (len) {
        n = write(fd, text, len);

        if (n == -1 && errno == EINTR) {
            continue;
        }

        if (n <= 0) {
            break;
        }

        text += n;
        len -= (size_t) n;
    }
}


static const char *
failed(const char *doing)
{
    snprintf(error, sizeof(error), "%s: %s", doing, strerror(errno));

    return error;
}
