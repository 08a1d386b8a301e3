
/*
 * One snapshot into an open file, a bit at a time.
 */


#ifndef _PERM_STATE_WRITE_H_INCLUDED_
#define _PERM_STATE_WRITE_H_INCLUDED_


#include "shm/zone.h"
#include "state/format.h"


#define PERM_STATE_ENTRIES  256     /* grants a call */
#define PERM_STATE_BATCH    64      /* accesses a call */

/* room for all records of one call */

#define PERM_STATE_BUFFER                                                     \
    (PERM_STATE_ENTRIES * perm_state_record_size(PERM_TUPLE_MAX))


typedef struct {
    ngx_fd_t                 fd;
    ngx_uint_t               phase;
    ngx_uint_t               cursor;
    off_t                    offset;
    size_t                   used;      /* bytes of the buffer */
    perm_state_header_t      header;
    perm_recorder_access_t   accesses[PERM_STATE_BATCH];
    u_char                   buffer[PERM_STATE_BUFFER];
} perm_state_write_t;


/*
 * Each returns NGX_AGAIN: perm_state_write_step() is next, NGX_OK: the file is
 * whole, or NGX_ERROR with the reason in ngx_errno.
 */

ngx_int_t perm_state_write_start(perm_state_write_t *writer, ngx_fd_t fd,
    uint64_t generation);
ngx_int_t perm_state_write_step(perm_state_write_t *writer,
    perm_zone_t *zone);


/* the generation of a whole file, as far as its header tells, else 0 */

uint64_t perm_state_write_generation(ngx_fd_t fd);


#endif /* _PERM_STATE_WRITE_H_INCLUDED_ */
