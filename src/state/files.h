
/*
 * The state file: known grants and pending accesses outlive nginx.
 * Versioned, checksummed, readable by its owner only.
 */


#ifndef _PERM_STATE_FILES_H_INCLUDED_
#define _PERM_STATE_FILES_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "shm/cache.h"
#include "shm/recorder.h"
#include "shm/table_state.h"


typedef struct perm_state_s  perm_state_files_t;


/*
 * Opens "file" and "file~" (mode 0600), which are written in turn so that one
 * of them is whole at any time, in the master before it gives up its rights:
 * workers write through the descriptors they inherit.  Returns NULL with the
 * reason logged.  The descriptors live as long as the pool.
 */
perm_state_files_t *perm_state_files_open(ngx_pool_t *pool, ngx_str_t *file,
    ngx_log_t *log);


/*
 * Can both be opened, as far as that shows without touching them?  NGX_ERROR:
 * the reason is logged.
 */

ngx_int_t perm_state_files_test(ngx_pool_t *pool, ngx_str_t *file,
    ngx_log_t *log);


/*
 * Grants that "table" lets decide as stale are written, and no others.
 *
 * Writes a bit of a snapshot, bounded in time; NGX_AGAIN: call again later,
 * NGX_OK: one snapshot is complete, NGX_ERROR: logged (once per change) and
 * given up until the next call.
 */
ngx_int_t perm_state_files_write(perm_state_files_t *state, perm_cache_t *cache,
    perm_recorder_t *recorder, perm_table_state_t *table, ngx_log_t *log);


/* gives an unfinished snapshot up, for another worker to write one */

void perm_state_files_abandon(perm_state_files_t *state);


/* a whole snapshot, fsync()ed and renamed into place: at exit of the master */

ngx_int_t perm_state_files_save(ngx_str_t *file, perm_cache_t *cache,
    perm_recorder_t *recorder, perm_table_state_t *table, ngx_log_t *log);


#endif /* _PERM_STATE_FILES_H_INCLUDED_ */
