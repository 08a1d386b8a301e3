
/*
 * As much of nginx as the state file and the sender need beyond shm_stub.h:
 * memory, a log whose last line is kept, and its way of printing.
 */


#ifndef _SHM_STUB_OS_H_INCLUDED_
#define _SHM_STUB_OS_H_INCLUDED_


#include "shm_stub.h"


ngx_pid_t   ngx_new_binary;
ngx_pid_t   ngx_parent;
ngx_uint_t  ngx_inherited;

static ngx_log_t    stub_log = { .log_level = NGX_LOG_DEBUG };
static char         stub_line[4096];    /* the last one logged */
static ngx_uint_t   stub_lines;

/* what a pool was asked for, freed with it */

static void        *stub_memory[64];
static ngx_uint_t   stub_nmemory;


static u_char *
stub_vprint(u_char *p, u_char *end, const char *fmt, va_list args)
{
    int          len;
    char         number[32];
    ngx_str_t   *s;
    const char  *text;

#define stub_put(c)  do { if (p < end) { *p++ = (u_char) (c); } } while (0)

    for ( /* void */ ; *fmt; fmt++) {

        if (*fmt != '%') {
            stub_put(*fmt);
            continue;
        }

        fmt++;
        len = -1;
        text = number;

        if (*fmt == '*') {
            len = (int) va_arg(args, size_t);
            fmt++;
        }

        switch (*fmt) {

        case 'V':
            s = va_arg(args, ngx_str_t *);
            len = (int) s->len;
            text = (char *) s->data;
            break;

        case 's':
            text = va_arg(args, char *);
            break;

        case 'd':
            snprintf(number, sizeof(number), "%d", va_arg(args, int));
            break;

        case 'T':
            snprintf(number, sizeof(number), "%ld",
                     (long) va_arg(args, time_t));
            break;

        case 'u':
            fmt++;    /* %ui */
            snprintf(number, sizeof(number), "%lu",
                     (unsigned long) va_arg(args, ngx_uint_t));
            break;

        case 'Z':
            stub_put('\0');
            continue;

        default:
            printf("Bail out! the stub cannot print %%%c\n", *fmt);
            exit(2);
        }

        for ( /* void */ ; len == -1 ? *text : len > 0; text++) {
            stub_put(*text);
            len -= (len > 0);
        }
    }

    return p;
}


u_char * ngx_cdecl
ngx_sprintf(u_char *buf, const char *fmt, ...)
{
    u_char   *p;
    va_list   args;

    va_start(args, fmt);
    p = stub_vprint(buf, buf + 65536, fmt, args);
    va_end(args);

    return p;
}


void
ngx_log_error_core(ngx_uint_t level, ngx_log_t *log, ngx_err_t err,
    const char *fmt, ...)
{
    u_char   *p;
    va_list   args;

    va_start(args, fmt);
    p = stub_vprint((u_char *) stub_line,
                    (u_char *) stub_line + sizeof(stub_line) - 1, fmt, args);
    va_end(args);

    *p = '\0';
    stub_lines++;
}


/* whether a line with this in it was logged since the last time */

__attribute__((unused))
static int
stub_logged(const char *text)
{
    int  found;

    found = (stub_lines == 1 && strstr(stub_line, text) != NULL);

    if (!found) {
        printf("# %d lines: %s\n", (int) stub_lines, stub_line);
    }

    stub_lines = 0;
    stub_line[0] = '\0';

    return found;
}


void *
ngx_alloc(size_t size, ngx_log_t *log)
{
    return malloc(size);
}


void *
ngx_calloc(size_t size, ngx_log_t *log)
{
    return calloc(1, size);
}


void *
ngx_pnalloc(ngx_pool_t *pool, size_t size)
{
    stub_memory[stub_nmemory] = malloc(size);

    return stub_memory[stub_nmemory++];
}


void *
ngx_pcalloc(ngx_pool_t *pool, size_t size)
{
    return memset(ngx_pnalloc(pool, size), 0, size);
}


ngx_pool_cleanup_t *
ngx_pool_cleanup_add(ngx_pool_t *p, size_t size)
{
    static ngx_pool_cleanup_t  cleanup;

    return &cleanup;
}


ngx_pool_t *
ngx_create_pool(size_t size, ngx_log_t *log)
{
    static ngx_pool_t  pool;

    return &pool;
}


void
ngx_destroy_pool(ngx_pool_t *pool)
{
    while (stub_nmemory) {
        free(stub_memory[--stub_nmemory]);
    }
}


#endif /* _SHM_STUB_OS_H_INCLUDED_ */
