
/*
 * How the table of last accesses lies in shared memory; for recorder.c and
 * recorder_take.c only.
 */


#ifndef _PERM_SHM_RECORDER_PRIV_H_INCLUDED_
#define _PERM_SHM_RECORDER_PRIV_H_INCLUDED_


#include "shm/slots.h"
#include "shm/recorder.h"


#define PERM_RECORDER_HEADER  offsetof(perm_tuple_names_t, bytes)


/*
 * One array a field, so that finding what is pending reads little memory.
 *
 * "words" hold the version of the slot in the upper half and the newest access
 * (unix seconds) in the lower one.  An odd version: the slot is being given to
 * another call by the holder of the zone's mutex, or that one died.  "acked"
 * are alike, with the newest acknowledged access; with another version they
 * say nothing.  An access is pending as long as it is newer than that.
 */

struct perm_recorder_s {
    perm_slots_class_t      classes[PERM_SLOTS_CLASSES];
    uint64_t               *words;         /* of all classes' slots */
    uint64_t               *acked;
    uint32_t               *since;         /* unix second: turned pending */
    ngx_shmtx_t            *mutex;

    u_char                  padding[64];   /* apart from what is only read */

    ngx_atomic_t            recorded;
    ngx_atomic_t            flushed;
    ngx_atomic_t            dropped;
};


#define perm_recorder_word(version, second)                                   \
    ((uint64_t) (version) << 32 | (uint32_t) (second))

#define perm_recorder_version(word)  ((uint32_t) ((word) >> 32))
#define perm_recorder_second(word)   ((uint32_t) (word))

#define perm_recorder_names(class, i)                                         \
    ((perm_tuple_names_t *) perm_slots_at(class, i))


#endif /* _PERM_SHM_RECORDER_PRIV_H_INCLUDED_ */
