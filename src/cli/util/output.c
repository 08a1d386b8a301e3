
#include "cli/util/output.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/grant.h"
#include "core/json.h"
#include "core/time.h"
#include "resp/printable.h"


#define ESCAPE_SIZE   512
#define ESCAPES       4
#define REDRAW_NS     200000000


volatile sig_atomic_t  perm_interrupted;

static void          (*fatal_handler)(void *data);
static void           *fatal_data;
static int             first_member;
static int             progress_shown;


static void
message(const char *fmt, va_list args)
{
    perm_progress_end();
    fflush(stdout);

    fputs("app-permission: ", stderr);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
}


void
perm_warn(const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    message(fmt, args);
    va_end(args);
}


void
perm_at_fatal(void (*handler)(void *data), void *data)
{
    fatal_handler = handler;
    fatal_data = data;
}


void
perm_fatal(perm_exit_t status, const char *fmt, ...)
{
    void   (*handler)(void *data);
    va_list  args;

    va_start(args, fmt);
    message(fmt, args);
    va_end(args);

    handler = fatal_handler;
    fatal_handler = NULL;

    if (handler != NULL) {
        handler(fatal_data);
    }

    exit(status);
}


void *
perm_alloc(size_t size)
{
    return perm_realloc(NULL, size);
}


void *
perm_realloc(void *p, size_t size)
{
    p = realloc(p, size ? size : 1);

    if (p == NULL) {
        perm_fatal(PERM_EXIT_REDIS, "out of memory");
    }

    return p;
}


const char *
perm_escape(perm_str_t bytes)
{
    char            *out;

    static char      buffers[ESCAPES][ESCAPE_SIZE];
    static unsigned  turn;

    out = buffers[turn++ % ESCAPES];

    (void) perm_printable(out, ESCAPE_SIZE, bytes, 0);

    return out;
}


const char *
perm_escape_text(const char *text)
{
    return perm_escape(perm_str(text));
}


static void
member_name(FILE *file, const char *name)
{
    fprintf(file, "%s\"%s\":", first_member ? "" : ",", name);
    first_member = 0;
}


void
perm_object_begin(FILE *file)
{
    fputc('{', file);
    first_member = 1;
}


void
perm_object_end(FILE *file, const char *after)
{
    fprintf(file, "}%s", after);
    first_member = 0;
}


void
perm_object_raw(FILE *file, const char *name, const char *value)
{
    member_name(file, name);
    fputs(value, file);
}


void
perm_object_number(FILE *file, const char *name, int64_t value)
{
    member_name(file, name);

    if (value < 0) {
        fputs("null", file);

    } else {
        fprintf(file, "%lld", (long long) value);
    }
}


void
perm_object_text(FILE *file, const char *name, const char *value)
{
    perm_object_string(file, name, perm_str(value));
}


void
perm_object_string(FILE *file, const char *name, perm_str_t value)
{
    member_name(file, name);
    perm_json_put(file, value);
}


void
perm_json_put(FILE *file, perm_str_t value)
{
    char  *text;

    text = perm_alloc(value.len * PERM_JSON_ESCAPE);

    fputc('"', file);
    fwrite(text, 1, perm_json_escape(text, value), file);
    fputc('"', file);

    free(text);
}


const char *
perm_time_text(int64_t seconds)
{
    static char      texts[ESCAPES][PERM_TIME_TEXT_SIZE];
    static unsigned  turn;

    if (seconds < 0) {
        return "-";
    }

    if (seconds >= PERM_GRANT_PERMANENT) {
        return "permanent";
    }

    turn = (turn + 1) % ESCAPES;
    perm_time_format(seconds, texts[turn]);

    return texts[turn];
}


void
perm_progress(const char *what, uint64_t done, uint64_t total)
{
    struct timespec  now;

    static int              tty = -1;
    static struct timespec  drawn;

    if (tty == -1) {
        tty = isatty(STDERR_FILENO);
    }

    if (!tty) {
        return;
    }

    clock_gettime(CLOCK_MONOTONIC, &now);

    if ((now.tv_sec - drawn.tv_sec) * 1000000000LL + now.tv_nsec
        - drawn.tv_nsec < REDRAW_NS)
    {
        return;
    }

    drawn = now;
    progress_shown = 1;

    fprintf(stderr, "\r\033[K%s: %llu", what, (unsigned long long) done);

    if (total) {
        fprintf(stderr, " [%.*s%.*s] %u%%", (int) (done * 30 / total),
                "##############################",
                (int) (30 - done * 30 / total),
                "..............................",
                (unsigned) (done * 100 / total));
    }

    fflush(stderr);
}


void
perm_progress_end(void)
{
    if (progress_shown) {
        progress_shown = 0;
        fputs("\r\033[K", stderr);
    }
}


static void
interrupt(int signo)
{
    perm_interrupted = signo;
}


void
perm_catch_interrupt(void)
{
    struct sigaction  action, old;

    memset(&action, 0, sizeof(action));
    action.sa_handler = interrupt;
    action.sa_flags = SA_RESETHAND;

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);

    /* under nohup it stays ignored */

    if (sigaction(SIGHUP, NULL, &old) == 0 && old.sa_handler != SIG_IGN) {
        sigaction(SIGHUP, &action, NULL);
    }
}
