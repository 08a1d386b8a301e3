
/*
 * The table of last accesses: the newest second in which a grant allowed a
 * tuple, until Redis has acknowledged it.
 */


#ifndef _PERM_SHM_RECORDER_H_INCLUDED_
#define _PERM_SHM_RECORDER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "shm/tuple.h"


typedef struct perm_recorder_s  perm_recorder_t;


/* one access out of the table, its names in "names" */

typedef struct {
    perm_tuple_t    tuple;
    time_t          last;      /* unix seconds */
    ngx_uint_t      slot;      /* where it was, for perm_recorder_flushed() */
    uint32_t        version;
    char            names[PERM_TUPLE_MAX];
} perm_recorder_access_t;


typedef struct {
    ngx_uint_t      recorded;  /* seconds recorded, since start */
    ngx_uint_t      flushed;   /* acknowledged by Redis, since start */
    ngx_uint_t      dropped;   /* for want of room, since start */
    ngx_uint_t      pending;
    ngx_uint_t      capacity;
    time_t          oldest;    /* unix second since when an access is pending,
                                  0: none is */
} perm_recorder_stat_t;


/* about "size" bytes of the slab pool; NULL when it does not fit */

perm_recorder_t *perm_recorder_create(ngx_slab_pool_t *shpool, size_t size);


/*
 * Records an access, unless a newer one of that tuple is pending.  For a known
 * tuple this is one atomic exchange; a new one takes the zone's mutex, and gets
 * a slot that is free, a bigger one than it needs if no other is, or one whose
 * access is acknowledged.  If the caller is killed, nothing is lost that was
 * pending.  "hash" is perm_tuple_hash().  NGX_DECLINED: there is no room, which
 * is counted as dropped, or the access is not valid.
 */

ngx_int_t perm_recorder_record(perm_recorder_t *recorder, perm_tuple_t *tuple,
    uint64_t hash, time_t now);


/*
 * Copies out up to "n" pending accesses, and returns how many.  It walks from
 * *cursor (any value) over a bounded number of slots, without a lock.  *cursor
 * is 0 again when the end of the table was reached.
 */

ngx_uint_t perm_recorder_take(perm_recorder_t *recorder, ngx_uint_t *cursor,
    perm_recorder_access_t *accesses, ngx_uint_t n);


/*
 * Copies a few of them to another table, whose hashes have that seed.  *cursor
 * is as above.  "from" is 0, or a unix second: those of then and later, which
 * are pending in the other one alone after that, or are dropped there.
 */

void perm_recorder_move(perm_recorder_t *recorder, ngx_uint_t *cursor,
    perm_recorder_t *to, uint64_t seed, time_t from);


/* Redis acknowledged it; a newer second recorded since then stays pending */

void perm_recorder_flushed(perm_recorder_t *recorder, ngx_uint_t slot,
    uint32_t version, time_t last);


/*
 * "last" is in Redis's future, and "written" is about to be sent in its place.
 * The table has that from then on, unless a newer second was recorded: once the
 * clock is right, accesses are recorded again, also before Redis acknowledges.
 */

void perm_recorder_clamp(perm_recorder_t *recorder, ngx_uint_t slot,
    uint32_t version, time_t last, time_t written);


/* cheap, unlike perm_recorder_stat(), which walks the whole table */

ngx_uint_t perm_recorder_dropped(perm_recorder_t *recorder);

void perm_recorder_stat(perm_recorder_t *recorder, perm_recorder_stat_t *stat);


#endif /* _PERM_SHM_RECORDER_H_INCLUDED_ */
