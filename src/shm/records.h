
/*
 * A bounded table of records in shared memory, each of a tuple, for the lists
 * of the status.
 *
 * A writer that cannot have the try-lock of the table leaves its record out.  A
 * reader takes no lock: it copies a record, and compares the sequence number.
 * A killed worker may leave the lock, which the next writer takes over, and an
 * odd sequence number: then the record is neither found nor listed until it is
 * replaced.
 */


#ifndef _PERM_SHM_RECORDS_H_INCLUDED_
#define _PERM_SHM_RECORDS_H_INCLUDED_


#include "shm/distinct.h"
#include "shm/trylock.h"
#include "shm/tuple.h"


#define PERM_RECORDS_NONE  ((ngx_uint_t) -1)


/* the first member of the records of a list */

typedef struct {
    ngx_atomic_t          sequence;   /* odd: it is being written */
    perm_tuple_t          tuple;      /* in a copy: points to its names */
    perm_tuple_names_t    names;
    ngx_uint_t            kind;       /* with the tuple the key of a record */
    time_t                first;      /* unix seconds */
    time_t                last;
} perm_record_t;


/* apart from the records, since searches read many of them */

typedef struct {
    uint64_t              hash;       /* of the key, written last */
    int64_t               weight;     /* its meaning is the list's; 0: free */
} perm_records_key_t;


typedef struct {
    perm_trylock_t        lock;
    ngx_uint_t            n;
    size_t                size;       /* bytes of a record */
    uint64_t              seed;
    ngx_atomic_t          left_out;   /* for want of room, since start */
    ngx_atomic_t          busy;       /* new keys, for want of the lock */
    perm_distinct_t       distinct;   /* of heavy_hitters */
    perm_records_key_t   *keys;
    u_char               *records;
} perm_records_t;


#define perm_records_at(r, i)                                                 \
    ((perm_record_t *) ((r)->records + (i) * (r)->size))


/*
 * Up to "n" records of "size" bytes, fewer in a small zone.  "seed" is the
 * zone's.  NULL when there is no room.
 */

perm_records_t *perm_records_create(ngx_slab_pool_t *shpool, size_t size,
    ngx_uint_t n, uint64_t seed);


static ngx_inline uint64_t
perm_records_hash(perm_records_t *records, perm_tuple_t *tuple,
    ngx_uint_t kind)
{
    return perm_tuple_hash(tuple, records->seed) + kind;
}


/*
 * The number of the record with this key, one of those from "i" up to "end",
 * or PERM_RECORDS_NONE.  Without the lock it is a hint, unless records of the
 * list never make room for others.
 */

ngx_uint_t perm_records_find(perm_records_t *records, perm_tuple_t *tuple,
    ngx_uint_t kind, uint64_t hash, ngx_uint_t i, ngx_uint_t end);


/*
 * For the holder of the lock, before and after changes of a record, which the
 * first one returns.  "tuple", with "kind", is a new key, and the rest of the
 * record is zeroed then; NULL: the key stays.
 */

void *perm_records_write(perm_records_t *records, ngx_uint_t i,
    perm_tuple_t *tuple, ngx_uint_t kind, time_t now);
void perm_records_written(perm_records_t *records, ngx_uint_t i, uint64_t hash,
    int64_t weight);


/*
 * Copies out the records of at least this weight (1 or more), sorted by "order"
 * as qsort() does it; "copies" has room for all records.  Returns how many.
 */

ngx_uint_t perm_records_list(perm_records_t *records, void *copies,
    int64_t weight, int (*order)(const void *, const void *));


#endif /* _PERM_SHM_RECORDS_H_INCLUDED_ */
