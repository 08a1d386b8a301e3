
/*
 * A worker that changes are pushed to asks about "meta": whether the table is
 * loaded, and which one it is.  It asks when the table may have been emptied,
 * and every second, since Redis does not push a SWAPDB.
 */


#ifndef _PERM_SYNC_TABLE_WATCH_H_INCLUDED_
#define _PERM_SYNC_TABLE_WATCH_H_INCLUDED_


#include "redis/tracking.h"
#include "sync/grants_reply.h"


#define PERM_TABLE_WATCH_ARGC  4     /* HMGET meta schema id */


typedef struct {
    perm_sync_conf_t           *conf;
    perm_zone_t                *zone;
    ngx_log_t                  *log;

    perm_redis_tracking_t      *tracking;
    perm_redis_question_t       question;
    ngx_str_t                   argv[PERM_TABLE_WATCH_ARGC];
    ngx_msec_t                  last;       /* monotonic: asked */

    perm_table_asked_t          asked;
    perm_table_answer_t         answer;     /* until it is settled */
    ngx_uint_t                  empty;      /* a settled answer was "not
                                               loaded", and nothing was pushed
                                               or missed since that would
                                               change it */
} perm_table_watch_t;


/* "meta" is its key; all arguments outlive it */

void perm_table_watch_init(perm_table_watch_t *watch, perm_sync_conf_t *conf,
    ngx_str_t *meta, ngx_log_t *log);

/* it asks there from now on */

void perm_table_watch_start(perm_table_watch_t *watch,
    perm_redis_tracking_t *tracking);


/* while there is tracking: the table may have been emptied, or loaded */

void perm_table_watch_event(perm_table_watch_t *watch,
    perm_table_event_t event);

/* changes that were made up to now may be missed, or are not pushed any more */

void perm_table_watch_missed(perm_table_watch_t *watch);


/* likewise, to be called often: asks when it is time to */

void perm_table_watch_turn(perm_table_watch_t *watch);


#endif /* _PERM_SYNC_TABLE_WATCH_H_INCLUDED_ */
