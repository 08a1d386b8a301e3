
#include "cli/util/output.h"

#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/util/time.h"
#include "core/grant.h"
#include "core/json.h"
#include "resp/printable.h"


#define TEXTS      4            /* texts that are good at the same time */
#define COUNTS     8
#define SAFE_SIZE  512
#define REDRAW_MS  200


static void message(const char *fmt, va_list args);
static void quit(int status) __attribute__((noreturn));
static void put_value(FILE *file, int kind, va_list *args);
static void put_string(FILE *file, perm_str_t value);


static void    (*fatal_handler)(void *data);
static void     *fatal_data;
static int       progress_shown;


void
perm_output_warn(const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    message(fmt, args);
    va_end(args);
}


void
perm_output_fatal(perm_exit_t status, const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    message(fmt, args);
    va_end(args);

    quit((int) status);
}


static void
quit(int status)
{
    void  (*handler)(void *data);

    handler = fatal_handler;
    fatal_handler = NULL;

    if (handler != NULL) {
        handler(fatal_data);
    }

    exit(status);
}


void
perm_output_at_fatal(void (*handler)(void *data), void *data)
{
    fatal_handler = handler;
    fatal_data = data;
}


static void
message(const char *fmt, va_list args)
{
    perm_output_progress_end();
    fflush(stdout);

    fputs("app-permission: ", stderr);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
}


void
perm_output_progress(const char *what, perm_count_t done, perm_count_t total)
{
    long long        now;
    struct timespec  ts;

    static int        tty = -1;
    static long long  drawn;

    if (tty == -1) {
        tty = isatty(STDERR_FILENO);
    }

    if (!tty) {
        return;
    }

    clock_gettime(CLOCK_MONOTONIC, &ts);
    now = ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;

    if (now - drawn < REDRAW_MS) {
        return;
    }

    drawn = now;
    progress_shown = 1;

    fprintf(stderr, "\r\033[K%s: %llu", what, done);

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
perm_output_results(void)
{
    if (progress_shown && isatty(STDOUT_FILENO)) {
        perm_output_progress_end();
    }
}


void
perm_output_progress_end(void)
{
    if (progress_shown) {
        progress_shown = 0;
        fputs("\r\033[K", stderr);
    }
}


const char *
perm_output_safe(perm_str_t bytes)
{
    char  *text;

    static char      texts[TEXTS][SAFE_SIZE];
    static unsigned  turn;

    text = texts[turn++ % TEXTS];
    (void) perm_printable(text, SAFE_SIZE, bytes, 0);

    return text;
}


const char *
perm_output_safe_text(const char *text)
{
    return perm_output_safe(perm_str(text));
}


const char *
perm_output_count(perm_count_t n, const char *noun)
{
    char  many[48];

    snprintf(many, sizeof(many), "%ss", noun);

    return perm_output_plural(n, noun, many);
}


const char *
perm_output_plural(perm_count_t n, const char *one, const char *many)
{
    char  *text;

    static char      texts[COUNTS][80];
    static unsigned  turn;

    text = texts[turn++ % COUNTS];
    snprintf(text, sizeof(texts[0]), "%llu %s", n, n == 1 ? one : many);

    return text;
}


const char *
perm_output_time(int64_t seconds)
{
    char  *text;

    static char      texts[TEXTS][PERM_TIME_TEXT_SIZE];
    static unsigned  turn;

    if (seconds < 0) {
        return "-";
    }

    if (seconds >= PERM_GRANT_PERMANENT) {
        return "permanent";
    }

    text = texts[turn++ % TEXTS];
    perm_time_format(seconds, text);

    return text;
}


void
perm_output_json(FILE *file, const char *template, ...)
{
    va_list  args;

    if (file == stdout) {
        perm_output_results();
    }

    va_start(args, template);

    for ( /* void */ ; *template != '\0'; template++) {

        if (*template == '%') {
            put_value(file, *++template, &args);
        } else {
            fputc(*template == '\'' ? '"' : *template, file);
        }
    }

    va_end(args);
}


static void
put_value(FILE *file, int kind, va_list *args)
{
    int64_t                      number;
    const perm_tuple_t          *tuple;
    const perm_grant_details_t  *details;

    switch (kind) {

    case 's':
        put_string(file, perm_str(va_arg(*args, const char *)));
        break;

    case 'b':
        put_string(file, va_arg(*args, perm_str_t));
        break;

    case 'n':
        number = va_arg(*args, int64_t);
        fprintf(file, number < 0 ? "null" : "%lld", (long long) number);
        break;

    case 't':
    case 'g':
        tuple = va_arg(*args, const perm_tuple_t *);
        perm_output_json(file, "'gateway':%b", tuple->gateway);
        perm_output_json(file, tuple->resource.len ? ",'resource':%b"
                         : kind == 't' ? ",'resource':null" : "",
                         tuple->resource);
        perm_output_json(file, tuple->app.len ? ",'app':%b" : "", tuple->app);
        break;

    default:
        details = va_arg(*args, const perm_grant_details_t *);
        number = details->grant.granted;
        perm_output_json(file, details->type[0] ? ",'type':%s" : "",
                         details->type);
        perm_output_json(file, number < 0 ? "" : ",'granted':%n", number);
        perm_output_json(file, details->by[0] ? ",'by':%s" : "", details->by);
        perm_output_json(file, details->grant.renew ? "" : ",'renew':false");
    }
}


static void
put_string(FILE *file, perm_str_t value)
{
    char  *text;

    text = malloc(value.len * PERM_JSON_ESCAPE + 1);

    if (text == NULL) {
        perm_output_fatal(PERM_EXIT_REDIS, "out of memory");
    }

    fputc('"', file);
    fwrite(text, 1, perm_json_escape(text, value), file);
    fputc('"', file);

    free(text);
}


void
perm_output_check(void)
{
    struct pollfd  out;

    if (fflush(stdout) == 0 && !ferror(stdout)) {
        return;
    }

    out.fd = STDOUT_FILENO;
    out.events = 0;
    out.revents = 0;

    /* "list | head": the reader has seen enough */

    if (poll(&out, 1, 0) == 1 && (out.revents & POLLERR)) {
        quit(128 + SIGPIPE);
    }

    perm_output_fatal(PERM_EXIT_NO, "cannot write the output: %m");
}
