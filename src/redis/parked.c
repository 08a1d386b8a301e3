
#include "redis/parked.h"


static void perm_redis_parked_timer_handler(ngx_event_t *ev);


void
perm_redis_parked_init(perm_redis_parked_t *parked, ngx_log_t *log)
{
    ngx_queue_init(&parked->commands);

    ngx_memzero(&parked->timer, sizeof(ngx_event_t));

    parked->timer.handler = perm_redis_parked_timer_handler;
    parked->timer.data = parked;
    parked->timer.log = log;
}


void
perm_redis_parked_done(perm_redis_parked_t *parked)
{
    perm_redis_command_free_all(&parked->commands);

    if (parked->timer.timer_set) {
        ngx_del_timer(&parked->timer);
    }
}


void
perm_redis_parked_add(perm_redis_parked_t *parked,
    perm_redis_command_t *command)
{
    ngx_queue_insert_tail(&parked->commands, &command->queue);

    /* one that was elsewhere before may end before those ahead of it */

    perm_redis_command_timer(&parked->timer, command->deadline);
}


perm_redis_command_t *
perm_redis_parked_take(perm_redis_parked_t *parked)
{
    ngx_queue_t  *q;

    if (ngx_queue_empty(&parked->commands)) {

        if (parked->timer.timer_set) {
            ngx_del_timer(&parked->timer);
        }

        return NULL;
    }

    q = ngx_queue_head(&parked->commands);
    ngx_queue_remove(q);

    return ngx_queue_data(q, perm_redis_command_t, queue);
}


void
perm_redis_parked_fail(perm_redis_parked_t *parked)
{
    ngx_queue_t  failed;

    if (parked->timer.timer_set) {
        ngx_del_timer(&parked->timer);
    }

    if (ngx_queue_empty(&parked->commands)) {
        return;
    }

    /* a command that a handler adds meanwhile stays */

    ngx_queue_init(&failed);
    ngx_queue_add(&failed, &parked->commands);
    ngx_queue_init(&parked->commands);

    perm_redis_command_fail_all(&failed);
}


static void
perm_redis_parked_timer_handler(ngx_event_t *ev)
{
    ngx_queue_t            expired, *q, *next;
    perm_redis_parked_t   *parked;
    perm_redis_command_t  *command;

    parked = ev->data;

    ngx_queue_init(&expired);

    for (q = ngx_queue_head(&parked->commands);
         q != ngx_queue_sentinel(&parked->commands);
         q = next)
    {
        next = ngx_queue_next(q);
        command = ngx_queue_data(q, perm_redis_command_t, queue);

        if ((ngx_msec_int_t) (command->deadline - ngx_current_msec) <= 0) {
            ngx_queue_remove(q);
            ngx_queue_insert_tail(&expired, q);

        } else {
            perm_redis_command_timer(&parked->timer, command->deadline);
        }
    }

    /* at the end: a handler may destroy the owner */

    perm_redis_command_fail_all(&expired);
}
