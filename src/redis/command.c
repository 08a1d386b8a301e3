
#include "redis/command.h"

#include <ngx_event.h>


#define PERM_REDIS_ARGS_MAX  1024   /* of one command */


static size_t
perm_redis_command_size(ngx_uint_t argc, ngx_str_t *argv)
{
    size_t      size;
    ngx_uint_t  i;

    size = sizeof("*" CRLF) + NGX_SIZE_T_LEN;

    for (i = 0; i < argc; i++) {
        size += sizeof("$" CRLF CRLF) + NGX_SIZE_T_LEN + argv[i].len;
    }

    return size;
}


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
    ngx_uint_t             i;
    perm_redis_command_t  *command;

    if (argc == 0 || argc > PERM_REDIS_ARGS_MAX) {
        return NULL;
    }

    /* not ngx_alloc(): no line in the log for each command when memory is
       out */

    command = malloc(sizeof(perm_redis_command_t)
                     + perm_redis_command_size(argc, argv));
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
        p = ngx_cpymem(p, argv[i].data, argv[i].len);
        *p++ = CR;
        *p++ = LF;
    }

    command->len = p - command->wire;

    return command;
}


void
perm_redis_command_meter(perm_redis_command_t *command,
    perm_redis_meter_t *meter)
{
    command->meter = meter;

    if (meter->timing != NULL) {
        command->start = perm_redis_command_clock();
    }
}


static void
perm_redis_command_count(perm_redis_command_t *command, redisReply *reply)
{
    perm_redis_meter_t  *meter;

    meter = command->meter;

    if (meter == NULL || command->counted) {
        return;
    }

    command->counted = 1;

    if (meter->stat != NULL) {

        if (reply != NULL) {
            (void) ngx_atomic_fetch_add(meter->stat->commands, 1);
        }

        if (reply == NULL || reply->type == REDIS_REPLY_ERROR) {
            (void) ngx_atomic_fetch_add(meter->stat->errors, 1);
        }
    }

    if (meter->timing != NULL && command->start != 0) {
        meter->timing(meter->data,
                      perm_redis_command_clock() - command->start);
    }
}


static void
perm_redis_command_answer(perm_redis_command_t *command, redisReply *reply)
{
    perm_redis_reply_pt  handler;

    perm_redis_command_count(command, reply);

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
perm_redis_command_expire(perm_redis_command_t *command)
{
    perm_redis_command_answer(command, NULL);
}


void
perm_redis_command_free(perm_redis_command_t *command)
{
    free(command);
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

        if (command->intercept != NULL
            && command->intercept(command, NULL) == NGX_DONE)
        {
            continue;
        }

        perm_redis_command_finish(command, NULL);
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
perm_redis_command_cancel(perm_redis_command_t *command)
{
    command->handler = NULL;
}


ngx_uint_t
perm_redis_reply_error(redisReply *reply, const char *word)
{
    size_t  len;

    if (reply == NULL || reply->type != REDIS_REPLY_ERROR) {
        return 0;
    }

    len = ngx_strlen(word);

    return (size_t) reply->len >= len
           && ngx_strncmp(reply->str, word, len) == 0
           && ((size_t) reply->len == len || reply->str[len] == ' ');
}


ngx_uint_t
perm_redis_reply_array(redisReply *reply, size_t n, int type)
{
    size_t  i;

    if (reply == NULL || reply->type != REDIS_REPLY_ARRAY
        || reply->elements != n)
    {
        return 0;
    }

    for (i = 0; i < n; i++) {
        if (reply->element[i]->type != type) {
            return 0;
        }
    }

    return 1;
}
