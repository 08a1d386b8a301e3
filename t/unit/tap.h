
/*
 * Test Anything Protocol for the unit tests: ok(), and done() at the end.
 */


#ifndef _TAP_H_INCLUDED_
#define _TAP_H_INCLUDED_


#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/name.h"


static int  tap_tests;
static int  tap_failures;


__attribute__((unused, format(printf, 2, 3)))
static void
ok(int good, const char *fmt, ...)
{
    va_list  args;

    printf("%sok %d - ", good ? "" : "not ", ++tap_tests);

    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);

    printf("\n");

    tap_failures += !good;
}


__attribute__((unused))
static int
done(void)
{
    printf("1..%d\n", tap_tests);

    return tap_failures ? 1 : 0;
}


__attribute__((unused))
static perm_str_t
str(const char *text)
{
    perm_str_t  s;

    s.data = text;
    s.len = strlen(text);

    return s;
}


#endif /* _TAP_H_INCLUDED_ */
