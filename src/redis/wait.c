
#include "redis/wait.h"


/* one that was elsewhere before has less time left than those ahead of it */

static void
perm_redis_wait_timer(perm_redis_wait_t *wait, perm_redis_command_t *command)
{
    ngx_event_t     *timer;
    ngx_msec_int_t   delay;

    timer = &wait->timer;

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
perm_redis_wait_timer_handler(ngx_event_t *ev)
{
    ngx_queue_t            expired, *q, *next;
    perm_redis_wait_t     *wait;
    perm_redis_command_t  *command;

    wait = ev->data;

    ngx_queue_init(&expired);

    for (q = ngx_queue_head(&wait->commands);
         q != ngx_queue_sentinel(&wait->commands);
         q = next)
    {
        next = ngx_queue_next(q);
        command = ngx_queue_data(q, perm_redis_command_t, queue);

        if ((ngx_msec_int_t) (command->deadline - ngx_current_msec) <= 0) {
            ngx_queue_remove(q);
            ngx_queue_insert_tail(&expired, q);

        } else {
            perm_redis_wait_timer(wait, command);
        }
    }

    /* the last thing: a handler may end all this */

    perm_redis_commands_fail(&expired);
}


void
perm_redis_wait_init(perm_redis_wait_t *wait, ngx_log_t *log)
{
    ngx_queue_init(&wait->commands);

    ngx_memzero(&wait->timer, sizeof(ngx_event_t));

    wait->timer.handler = perm_redis_wait_timer_handler;
    wait->timer.data = wait;
    wait->timer.log = log;
}


void
perm_redis_wait_done(perm_redis_wait_t *wait)
{
    perm_redis_commands_free(&wait->commands);

    if (wait->timer.timer_set) {
        ngx_del_timer(&wait->timer);
    }
}


void
perm_redis_wait_add(perm_redis_wait_t *wait, perm_redis_command_t *command)
{
    ngx_queue_insert_tail(&wait->commands, &command->queue);

    perm_redis_wait_timer(wait, command);
}


perm_redis_command_t *
perm_redis_wait_take(perm_redis_wait_t *wait)
{
    ngx_queue_t  *q;

    if (ngx_queue_empty(&wait->commands)) {

        if (wait->timer.timer_set) {
            ngx_del_timer(&wait->timer);
        }

        return NULL;
    }

    q = ngx_queue_head(&wait->commands);
    ngx_queue_remove(q);

    return ngx_queue_data(q, perm_redis_command_t, queue);
}


void
perm_redis_wait_fail(perm_redis_wait_t *wait)
{
    ngx_queue_t  failed;

    if (wait->timer.timer_set) {
        ngx_del_timer(&wait->timer);
    }

    if (ngx_queue_empty(&wait->commands)) {
        return;
    }

    ngx_queue_init(&failed);
    ngx_queue_add(&failed, &wait->commands);
    ngx_queue_init(&wait->commands);

    perm_redis_commands_fail(&failed);
}
