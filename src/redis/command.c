
#include "redis/command.h"


#define PERM_REDIS_ARGS_MAX  1024   /* of one command */


uint64_t
perm_redis_command_clock(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}


perm_redis_command_t *
perm_redis_command_create(ngx_uint_t argc, ngx_str_t *argv,
    ngx_msec_t timeout, perm_redis_reply_pt handler, void *data)
{
    u_char                *p;
    size_t                 size;
    ngx_uint_t             i;
    perm_redis_command_t  *command;

    if (argc == 0 || argc > PERM_REDIS_ARGS_MAX) {
        return NULL;
    }

    size = sizeof("*" CRLF) + NGX_SIZE_T_LEN;

    for (i = 0; i < argc; i++) {
        size += sizeof("$" CRLF CRLF) + NGX_SIZE_T_LEN + argv[i].len;
    }

    /* not ngx_alloc(), which logs each failure */

    command = malloc(sizeof(perm_redis_command_t) + size);
    if (command == NULL) {
        return NULL;
    }

    ngx_memzero(command, sizeof(perm_redis_command_t));

    command->handler = handler;
    command->data = data;
    command->deadline = ngx_current_msec + timeout;

    p = ngx_sprintf(command->wire, "*%ui" CRLF, argc);

    for (i = 0; i < argc; i++) {
        p = ngx_sprintf(p, "$%uz" CRLF, argv[i].len);

        if (i == 0) {
            command->name.data = p;
            command->name.len = argv[0].len;
        }

        p = ngx_cpymem(p, argv[i].data, argv[i].len);
        *p++ = CR;
        *p++ = LF;
    }

    command->len = p - command->wire;

    return command;
}


void
perm_redis_command_answer(perm_redis_command_t *command, redisReply *reply)
{
    perm_redis_meter_t   *meter;
    perm_redis_reply_pt   handler;

    meter = command->meter;
    command->meter = NULL;

    if (meter != NULL) {

        if (reply != NULL) {
            (void) ngx_atomic_fetch_add(meter->commands, 1);
        }

        if (reply == NULL || reply->type == REDIS_REPLY_ERROR) {
            (void) ngx_atomic_fetch_add(meter->errors, 1);
        }

        if (meter->timing != NULL) {
            meter->timing(meter->data,
                          perm_redis_command_clock() - command->start);
        }
    }

    handler = command->handler;
    command->handler = NULL;

    if (handler != NULL) {
        handler(command->data, reply);
    }
}


void
perm_redis_command_finish(perm_redis_command_t *command, redisReply *reply)
{
    perm_redis_command_answer(command, reply);
    free(command);
}


void
perm_redis_command_cancel(perm_redis_command_t *command)
{
    command->handler = NULL;
}


void
perm_redis_command_fail_all(ngx_queue_t *queue)
{
    ngx_queue_t           *q;
    perm_redis_command_t  *command;

    while (!ngx_queue_empty(queue)) {
        q = ngx_queue_head(queue);
        command = ngx_queue_data(q, perm_redis_command_t, queue);
        ngx_queue_remove(q);

        if (command->intercept == NULL
            || command->intercept(command, NULL) != NGX_DONE)
        {
            perm_redis_command_finish(command, NULL);
        }
    }
}


void
perm_redis_command_free_all(ngx_queue_t *queue)
{
    ngx_queue_t  *q;

    while (!ngx_queue_empty(queue)) {
        q = ngx_queue_head(queue);
        ngx_queue_remove(q);
        free(ngx_queue_data(q, perm_redis_command_t, queue));
    }
}


void
perm_redis_command_timer(ngx_event_t *timer, ngx_msec_t when)
{
    ngx_msec_int_t  delay;

    if (timer->timer_set) {

        if ((ngx_msec_int_t) (when - timer->timer.key) >= 0) {
            return;
        }

        /* ngx_add_timer() would keep one that is a little later */

        ngx_del_timer(timer);
    }

    delay = (ngx_msec_int_t) (when - ngx_current_msec);

    ngx_add_timer(timer, delay > 0 ? (ngx_msec_t) delay : 1);
}
