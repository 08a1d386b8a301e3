
/*
 * What comes back from the state file when nginx starts.
 */


#ifndef _PERM_STATE_READ_H_INCLUDED_
#define _PERM_STATE_READ_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "shm/cache.h"
#include "shm/recorder.h"


/*
 * Loads the newest whole file into an empty cache and recorder.  Entries come
 * back untrusted: they are used as stale only.  A damaged or foreign file is
 * renamed to "file.bad" with one line in the log that says what was wrong; its
 * whole twin serves.  Never fails the start.
 */

void perm_state_read(ngx_str_t *file, perm_cache_t *cache,
    perm_recorder_t *recorder, uint64_t seed, ngx_log_t *log);


#endif /* _PERM_STATE_READ_H_INCLUDED_ */
