
/*
 * The state file: known grants and pending accesses outlive nginx.
 * Versioned, checksummed, readable by its owner only.
 */


#ifndef _PERM_STATE_STATE_H_INCLUDED_
#define _PERM_STATE_STATE_H_INCLUDED_


#include "shm/zone.h"


typedef struct perm_state_files_s  perm_state_files_t;


/*
 * Checks that the state file and its twin can be opened, without touching
 * them.  NGX_ERROR: the reason is logged.
 */

ngx_int_t perm_state_files_test(ngx_pool_t *pool, ngx_str_t *file,
    ngx_log_t *log);


/*
 * Opens "file" and "file~" (mode 0600), which are written in turn so that one
 * of them is whole at any time.  The master does it before it gives up its
 * rights, and workers inherit the descriptors, which live as long as the pool.
 * Returns NULL with the reason logged.
 */

perm_state_files_t *perm_state_files_open(ngx_pool_t *pool, ngx_str_t *file,
    ngx_log_t *log);


/*
 * Writes a part of a snapshot of the zone, bounded in time.  NGX_AGAIN: call
 * again later.  NGX_OK: the snapshot is complete, or another nginx is writing.
 * NGX_ERROR: the snapshot is given up, and the first of several errors is
 * logged.
 */

ngx_int_t perm_state_files_write(perm_state_files_t *state, perm_zone_t *zone,
    ngx_log_t *log);


/* gives up an unfinished snapshot, so that another worker may write one */

void perm_state_files_abandon(perm_state_files_t *state);


/*
 * At exit of the master: writes a whole snapshot, fsync()ed and renamed into
 * place, and removes the twin.  After an upgrade of nginx another master goes
 * on with the files, and nothing is written.
 */

ngx_int_t perm_state_files_save(perm_state_files_t *state, perm_zone_t *zone,
    ngx_log_t *log);


/*
 * When nginx starts: loads the newest whole file into the empty tables of a
 * zone.  Grants are not trusted: they are used as stale only.  A damaged or
 * foreign file is renamed to "file.bad" with one line in the log that says what
 * is wrong, and the other file is used if it is whole.  NGX_ERROR: memory is
 * out, and nginx must not run: it would write over what it has not read.
 */

ngx_int_t perm_state_read(ngx_str_t *file, perm_zone_t *zone, ngx_log_t *log);


#endif /* _PERM_STATE_STATE_H_INCLUDED_ */
