
#include "redis/parked.h"


/* one that was elsewhere before has less time left than those ahead of it */

static void
perm_redis_parked_timer(perm_redis_parked_t *parked,
    perm_redis_command_t *command)
{
    ngx_event_t     *timer;
    ngx_msec_int_t   delay;

    timer = &parked->timer;

    if (timer->timer_set) {

        if ((ngx_msec_int_t) (command->deadline - timer->timer.key) >= 0) {
            return;
        }

        /* ngx_add_timer() would keep one that is a little later */

        ngx_del_timer(timer);
    }

    delay = (ngx_msec_int_t) (command->deadline - ngx_current_msec);

    ngx_add_timer(timer, delay > 0 ? (ngx_msec_t) delay : 1);
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
            perm_redis_parked_timer(parked, command);
        }
    }

    /* the last thing: a handler may end all this */

    perm_redis_command_fail_all(&expired);
}


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

    perm_redis_parked_timer(parked, command);
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

    ngx_queue_init(&failed);
    ngx_queue_add(&failed, &parked->commands);
    ngx_queue_init(&parked->commands);

    perm_redis_command_fail_all(&failed);
}
