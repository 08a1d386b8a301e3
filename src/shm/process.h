
/*
 * Which process it is.  The pid alone does not tell: another process may have
 * it after the first one has died.
 */


#ifndef _PERM_SHM_PROCESS_H_INCLUDED_
#define _PERM_SHM_PROCESS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define PERM_PROCESS_PID_BITS  22        /* Linux has no larger pids */
#define PERM_PROCESS_BITS      42


/*
 * A pid, and above it the lower bits of the time at which that process was
 * started (clock ticks since the machine was): PERM_PROCESS_BITS in all.
 * Where the system does not tell the time, those bits are 0, and the pid has to
 * do.  0: no process.
 */

typedef uint64_t  perm_process_t;


/* this one: read once after each fork */

perm_process_t perm_process_self(void);


/* 1: it does not run any more.  Four system calls at the most. */

ngx_uint_t perm_process_dead(perm_process_t process);


#endif /* _PERM_SHM_PROCESS_H_INCLUDED_ */
