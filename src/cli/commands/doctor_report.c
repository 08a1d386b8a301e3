
#include "cli/commands/doctor_report.h"

#include <stdarg.h>


static const char *const  level_names[] = { "ok", "warning", "error" };


void
perm_doctor_report(perm_doctor_report_t *report, perm_level_t level,
    const char *check, const char *fmt, ...)
{
    char     text[1024];
    va_list  args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);

    report->warnings += (level == PERM_WARNING);
    report->errors += (level == PERM_ERROR);

    if (!report->json) {
        printf("%-8s %-12s %s%s%s%s\n", level_names[level], check, text,
               report->server ? " (" : "",
               report->server ? report->server : "",
               report->server ? ")" : "");
        return;
    }

    perm_object_begin(stdout);
    perm_object_text(stdout, "status", level_names[level]);
    perm_object_text(stdout, "check", check);

    if (report->server != NULL) {
        perm_object_text(stdout, "server", report->server);
    }

    perm_object_text(stdout, "message", text);
    perm_object_end(stdout, "\n");
}
