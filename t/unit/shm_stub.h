
/*
 * As much of nginx as the tables of the zone need: a slab pool in shared
 * memory that only grows, a mutex with a pid in it, a clock that stands still.
 */


#ifndef _SHM_STUB_H_INCLUDED_
#define _SHM_STUB_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include <sched.h>
#include <sys/mman.h>

#include "shm/slots.h"
#include "shm/tuple.h"
#include "tap.h"


volatile ngx_msec_t   ngx_current_msec = 1000000;
static ngx_time_t      stub_epoch;
volatile ngx_time_t  *ngx_cached_time = &stub_epoch;

static u_char  *stub_free;
static u_char  *stub_end;


__attribute__((unused))
static ngx_slab_pool_t *
stub_pool(size_t size)
{
    ngx_slab_pool_t  *shpool;

    shpool = mmap(NULL, size, PROT_READ|PROT_WRITE, MAP_ANON|MAP_SHARED, -1,
                  0);
    if (shpool == MAP_FAILED) {
        printf("Bail out! no shared memory\n");
        exit(2);
    }

    shpool->mutex.lock = &shpool->lock.lock;

    stub_free = (u_char *) shpool + 4096;
    stub_end = (u_char *) shpool + size;

    return shpool;
}


void *
ngx_slab_calloc(ngx_slab_pool_t *shpool, size_t size)
{
    u_char  *p;

    size = (size + 4095) & ~(size_t) 4095;

    if ((size_t) (stub_end - stub_free) < size) {
        return NULL;
    }

    p = stub_free;
    stub_free += size;

    return p;
}


void
ngx_shmtx_lock(ngx_shmtx_t *mtx)
{
    while (!__sync_bool_compare_and_swap(mtx->lock, 0, getpid())) {
        sched_yield();
    }
}


void
ngx_shmtx_unlock(ngx_shmtx_t *mtx)
{
    (void) __sync_bool_compare_and_swap(mtx->lock, getpid(), 0);
}


/* a call with names of its own: "<prefix><number>", each "len" bytes at least */

typedef struct {
    char          gateway[PERM_GATEWAY_MAX + 1];
    char          resource[PERM_RESOURCE_MAX + 1];
    char          app[PERM_APP_MAX + 1];
    perm_tuple_t  tuple;
} stub_call_t;


__attribute__((unused))
static perm_tuple_t *
stub_call(stub_call_t *c, const char *gateway, const char *resource,
    const char *app)
{
    snprintf(c->gateway, sizeof(c->gateway), "%s", gateway);
    snprintf(c->resource, sizeof(c->resource), "%s", resource);
    snprintf(c->app, sizeof(c->app), "%s", app);

    c->tuple.gateway = str(c->gateway);
    c->tuple.resource = str(c->resource);
    c->tuple.app = str(c->app);

    return &c->tuple;
}


/* 12 + 24 + 16 bytes */

__attribute__((unused))
static perm_tuple_t *
stub_nth(stub_call_t *c, unsigned n)
{
    snprintf(c->gateway, sizeof(c->gateway), "gateway%05u", n % 97);
    snprintf(c->resource, sizeof(c->resource), "get_resource_%011u", n);
    snprintf(c->app, sizeof(c->app), "app_%012u", n / 7);

    c->tuple.gateway = str(c->gateway);
    c->tuple.resource = str(c->resource);
    c->tuple.app = str(c->app);

    return &c->tuple;
}


/* "len" bytes in all, 30 at least: what is over 80 goes to the resource */

__attribute__((unused))
static perm_tuple_t *
stub_sized(stub_call_t *c, unsigned n, size_t len)
{
    int  gateway, resource, app;

    gateway = (len < 80) ? 8 : (len > 320) ? PERM_GATEWAY_MAX : 21;
    app = (len < 80) ? 10 : (len > 320) ? PERM_APP_MAX : 19;
    resource = (int) len - gateway - app;

    snprintf(c->gateway, sizeof(c->gateway), "%0*u", gateway, n % 97);
    snprintf(c->resource, sizeof(c->resource), "%0*u", resource, n);
    snprintf(c->app, sizeof(c->app), "%0*u", app, n / 7);

    c->tuple.gateway = str(c->gateway);
    c->tuple.resource = str(c->resource);
    c->tuple.app = str(c->app);

    return &c->tuple;
}


#endif /* _SHM_STUB_H_INCLUDED_ */
