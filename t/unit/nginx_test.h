
/*
 * nginx as far as the C tests need it: its own objects, a clock that the test
 * sets, zones in shared memory, and a log of which the last line is kept.
 */


#ifndef _NGINX_TEST_H_INCLUDED_
#define _NGINX_TEST_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include <poll.h>
#include <sys/mman.h>

#include "core/name.h"
#include "tap.h"


/* nginx.c, which has main(), is not linked */

ngx_module_t  ngx_core_module;

static ngx_cycle_t  test_cycle;
static ngx_log_t    test_log;
static char         test_line[4096];   /* the last one logged */
static ngx_uint_t   test_lines;


static void
test_writer(ngx_log_t *log, ngx_uint_t level, u_char *buf, size_t len)
{
    len = ngx_min(len, sizeof(test_line) - 1);

    ngx_memcpy(test_line, buf, len);
    test_line[len] = '\0';
    test_lines++;
}


/* before main(): what nginx does before it reads its configuration */

__attribute__((constructor))
static void
test_init(void)
{
    ngx_uint_t  n;

    ngx_use_stderr = 0;
    test_log.log_level = NGX_LOG_DEBUG;
    test_log.writer = test_writer;
    test_cycle.log = &test_log;
    ngx_cycle = &test_cycle;

    ngx_pid = ngx_getpid();
    ngx_ncpu = sysconf(_SC_NPROCESSORS_ONLN);
    ngx_pagesize = getpagesize();

    for (n = ngx_pagesize; n >>= 1; ngx_pagesize_shift++) { /* void */ }

    (void) ngx_strerror_init();
    ngx_time_init();
    ngx_slab_sizes_init();

    ngx_current_msec = 1000000;
}


/* as after fork() in nginx */

__attribute__((unused))
static pid_t
test_fork(void)
{
    int            fds[2], begun, n;
    pid_t          pid;
    struct pollfd  begins;

    /* of a hundred children under qemu one hangs before it has begun */

    for (n = 0; /* void */ ; n++) {
        if (pipe(fds) != 0) {
            return -1;
        }

        fflush(stdout);
        pid = fork();

        if (pid == 0) {
            ngx_pid = ngx_getpid();

            if (write(fds[1], "", 1) != 1) {
                _exit(1);
            }

            close(fds[0]);
            close(fds[1]);
            return 0;
        }

        close(fds[1]);
        begins = (struct pollfd) { .fd = fds[0], .events = POLLIN };
        begun = (pid == -1 || poll(&begins, 1, 5000) == 1 || n == 3);
        close(fds[0]);

        if (begun) {
            return pid;
        }

        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
}


/* a zone of "size" bytes, in place of another one or NULL */

__attribute__((unused))
static ngx_slab_pool_t *
test_zone(ngx_slab_pool_t *shpool, size_t size)
{
    if (shpool) {
        ngx_shmtx_destroy(&shpool->mutex);

        if (shpool->end != (u_char *) shpool + size) {
            munmap(shpool, shpool->end - (u_char *) shpool);
            shpool = NULL;
        }
    }

    if (shpool == NULL) {
        shpool = mmap(NULL, size, PROT_READ|PROT_WRITE, MAP_ANON|MAP_SHARED,
                      -1, 0);
    }

    if (shpool == MAP_FAILED) {
        printf("Bail out! no shared memory\n");
        exit(2);
    }

    ngx_memzero(shpool, sizeof(ngx_slab_pool_t));

    shpool->end = (u_char *) shpool + size;
    shpool->min_shift = 3;
    shpool->addr = shpool;

    if (ngx_shmtx_create(&shpool->mutex, &shpool->lock, NULL) != NGX_OK) {
        printf("Bail out! no mutex\n");
        exit(2);
    }

    ngx_slab_init(shpool);

    return shpool;
}


/* one line was logged since the last call, and this is in it */

__attribute__((unused))
static int
test_logged(const char *text)
{
    int  found;

    found = (test_lines == 1 && strstr(test_line, text) != NULL);

    if (!found) {
        printf("# %d lines: %s\n", (int) test_lines, test_line);
    }

    test_lines = 0;
    test_line[0] = '\0';

    return found;
}


/* a tuple with memory for its names */

typedef struct {
    char          gateway[PERM_GATEWAY_MAX + 1];
    char          resource[PERM_RESOURCE_MAX + 1];
    char          app[PERM_APP_MAX + 1];
    perm_tuple_t  tuple;
} test_tuple_t;


__attribute__((unused))
static perm_tuple_t *
test_tuple(test_tuple_t *t, const char *gateway, const char *resource,
    const char *app)
{
    snprintf(t->gateway, sizeof(t->gateway), "%s", gateway);
    snprintf(t->resource, sizeof(t->resource), "%s", resource);
    snprintf(t->app, sizeof(t->app), "%s", app);

    t->tuple.gateway = str(t->gateway);
    t->tuple.resource = str(t->resource);
    t->tuple.app = str(t->app);

    return &t->tuple;
}


/* the n-th of many: 12 + 24 + 16 bytes */

__attribute__((unused))
static perm_tuple_t *
test_tuple_nth(test_tuple_t *t, unsigned n)
{
    snprintf(t->gateway, sizeof(t->gateway), "gateway%05u", n % 97);
    snprintf(t->resource, sizeof(t->resource), "get_resource_%011u", n);
    snprintf(t->app, sizeof(t->app), "app_%012u", n / 7);

    t->tuple.gateway = str(t->gateway);
    t->tuple.resource = str(t->resource);
    t->tuple.app = str(t->app);

    return &t->tuple;
}


/* likewise, of "len" bytes, at least 30: those over 80 are the resource's */

__attribute__((unused))
static perm_tuple_t *
test_tuple_sized(test_tuple_t *t, unsigned n, size_t len)
{
    int  gateway, resource, app;

    gateway = (len < 80) ? 8 : (len > 320) ? PERM_GATEWAY_MAX : 21;
    app = (len < 80) ? 10 : (len > 320) ? PERM_APP_MAX : 19;
    resource = (int) len - gateway - app;

    snprintf(t->gateway, sizeof(t->gateway), "%0*u", gateway, n % 97);
    snprintf(t->resource, sizeof(t->resource), "%0*u", resource, n);
    snprintf(t->app, sizeof(t->app), "%0*u", app, n / 7);

    t->tuple.gateway = str(t->gateway);
    t->tuple.resource = str(t->resource);
    t->tuple.app = str(t->app);

    return &t->tuple;
}


#endif /* _NGINX_TEST_H_INCLUDED_ */
