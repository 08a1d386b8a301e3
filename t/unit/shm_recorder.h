
/*
 * A table of last accesses, of whichever size a test needs.
 */


#ifndef _SHM_RECORDER_H_INCLUDED_
#define _SHM_RECORDER_H_INCLUDED_


#include "nginx_test.h"

#include "shm/cache.h"
#include "shm/recorder.h"


#define SEED  UINT64_C(0xfedcba0987654321)
#define T     1700000000
#define TAKEN 4096


static ngx_slab_pool_t         *shpool;
static perm_recorder_t         *recorder;
static perm_recorder_access_t   accesses[TAKEN];


static void
fresh(size_t size)
{
    shpool = test_zone(shpool, size + 1024 * 1024);
    recorder = perm_recorder_create(shpool, size);

    if (recorder == NULL) {
        printf("Bail out! no recorder\n");
        exit(2);
    }
}


static ngx_int_t
record(perm_tuple_t *tuple, time_t now)
{
    return perm_recorder_record(recorder, tuple, perm_tuple_hash(tuple, SEED),
                                now);
}


/* all that is pending, up to what "accesses" holds */

static ngx_uint_t
take(void)
{
    ngx_uint_t  n, cursor;

    n = 0;
    cursor = 0;

    do {
        n += perm_recorder_take(recorder, &cursor, accesses + n, TAKEN - n);
    } while (cursor != 0 && n < TAKEN);

    return n;
}


static void
flushed(perm_recorder_access_t *access)
{
    perm_recorder_flushed(recorder, access->slot, access->version,
                          access->last);
}


#endif /* _SHM_RECORDER_H_INCLUDED_ */
