
#include "http/sender.h"

#include "core/grant_key.h"


#define PERM_SENDER_BATCH    128    /* commands a step */
#define PERM_SENDER_MAX      1024   /* commands on their way */
#define PERM_SENDER_REFUSED  256    /* in a row: give the walk up */
#define PERM_SENDER_TEXT     128    /* bytes of an error reply in the log */


/* a command on its way */

typedef struct perm_sender_item_s  perm_sender_item_t;

struct perm_sender_item_s {
    perm_sender_t           *sender;
    perm_sender_item_t      *next;       /* of the free ones */
    perm_redis_command_t    *command;    /* NULL: free */
    ngx_uint_t               slot;
    uint32_t                 version;
    time_t                   last;       /* unix seconds */
};


struct perm_sender_s {
    perm_recorder_t         *recorder;
    perm_redis_t            *redis;
    ngx_str_t               *prefix;
    ngx_log_t               *log;

    ngx_uint_t               cursor;
    ngx_uint_t               begin;      /* where the walk began */
    ngx_uint_t               outstanding;
    ngx_uint_t               refused;    /* in a row */

    unsigned                 wrapped:1;
    unsigned                 walked:1;
    unsigned                 given_up:1;
    unsigned                 down:1;     /* all of Redis */
    unsigned                 lost:1;     /* with a link */

    /* seen in this walk, and told in the log */
    unsigned                 failed:1;
    unsigned                 failing:1;
    unsigned                 wrong_type:1;
    unsigned                 wrong_type_told:1;

    perm_sender_item_t      *free;
    perm_sender_item_t       items[PERM_SENDER_MAX];
    perm_recorder_access_t   accesses[PERM_SENDER_BATCH];
};


typedef struct {
    ngx_str_t                error;      /* what the reply begins with */
    char                    *advice;
} perm_sender_advice_t;


static ngx_int_t perm_sender_send(perm_sender_t *sender,
    perm_recorder_access_t *access);
static void perm_sender_reply(void *data, redisReply *reply);
static void perm_sender_wrong_type(perm_sender_t *sender,
    perm_sender_item_t *item);
static void perm_sender_refusal(perm_sender_t *sender, redisReply *reply);
static void perm_sender_finished(perm_sender_t *sender);


static perm_sender_advice_t  perm_sender_advice[] = {
    { ngx_string("OOM"),
      "raise \"maxmemory\" of Redis" },
    { ngx_string("READONLY"),
      "this server is a replica: name its master in \"app_permission_redis\"" },
    { ngx_string("NOPERM"),
      "allow the user \"zadd\" on the access keys" },
    { ngx_string("NOAUTH"),
      "set the password of Redis" },
    { ngx_string("MISCONF"),
      "Redis cannot save to its disk, see its log" },
    { ngx_string("NOREPLICAS"),
      "Redis misses its replicas, see \"min-replicas-to-write\"" },
    { ngx_string("ERR syntax"),
      "ZADD with GT needs Redis 6.2 or later" },
    { ngx_null_string,
      "see the log of Redis" }
};


perm_sender_t *
perm_sender_create(perm_recorder_t *recorder, perm_redis_t *redis,
    ngx_str_t *prefix, ngx_log_t *log)
{
    ngx_uint_t      i;
    perm_sender_t  *sender;

    sender = ngx_calloc(sizeof(perm_sender_t), log);
    if (sender == NULL) {
        return NULL;
    }

    sender->recorder = recorder;
    sender->redis = redis;
    sender->prefix = prefix;
    sender->log = log;
    sender->walked = 1;

    for (i = 0; i < PERM_SENDER_MAX; i++) {
        sender->items[i].sender = sender;
        sender->items[i].next = sender->free;
        sender->free = &sender->items[i];
    }

    return sender;
}


void
perm_sender_destroy(perm_sender_t *sender)
{
    ngx_uint_t  i;

    for (i = 0; i < PERM_SENDER_MAX; i++) {
        if (sender->items[i].command) {
            perm_redis_cancel(sender->items[i].command);
        }
    }

    ngx_free(sender);
}


/*
 * A walk begins where the last one ended: when that was given up, the ones
 * behind have their turn.
 */

void
perm_sender_start(perm_sender_t *sender)
{
    sender->begin = sender->cursor;
    sender->refused = 0;
    sender->wrapped = 0;
    sender->walked = 0;
    sender->given_up = 0;
    sender->down = 0;
    sender->lost = 0;
    sender->failed = 0;
    sender->wrong_type = 0;
}


ngx_uint_t
perm_sender_outstanding(perm_sender_t *sender)
{
    return sender->outstanding;
}


/*
 * In a cluster those of other masters have their turn when one is down: what
 * cannot be sent is no refusal, nor is the end of one link that of the walk.
 * A step takes no more of them than of the others.
 */

ngx_int_t
perm_sender_step(perm_sender_t *sender)
{
    ngx_uint_t  i, n, room;

    sender->down |= (perm_redis_state(sender->redis) == PERM_REDIS_DOWN);

    if (sender->down || sender->refused >= PERM_SENDER_REFUSED) {
        sender->given_up |= !sender->walked;
        sender->walked = 1;
    }

    room = PERM_SENDER_MAX - sender->outstanding;

    if (!sender->walked && room >= PERM_SENDER_BATCH) {

        n = perm_recorder_take(sender->recorder, &sender->cursor,
                               sender->accesses, PERM_SENDER_BATCH);

        if (sender->cursor == 0) {
            sender->walked = sender->wrapped || sender->begin == 0;
            sender->wrapped = 1;

        } else {
            sender->walked = sender->wrapped
                             && sender->cursor >= sender->begin;
        }

        for (i = 0; i < n; i++) {
            if (perm_sender_send(sender, &sender->accesses[i]) != NGX_OK) {
                sender->failed = 1;
            }
        }
    }

    if (!sender->walked || sender->outstanding) {
        return NGX_AGAIN;
    }

    if (sender->down || sender->lost) {
        return NGX_DECLINED;
    }

    if (sender->given_up) {
        return NGX_ERROR;
    }

    perm_sender_finished(sender);

    return NGX_OK;
}


static ngx_int_t
perm_sender_send(perm_sender_t *sender, perm_recorder_access_t *access)
{
    char                 key[PERM_KEY_MAX];
    u_char               last[NGX_TIME_T_LEN];
    perm_str_t           prefix;
    ngx_str_t            argv[5];
    perm_sender_item_t  *item;

    prefix.len = sender->prefix->len;
    prefix.data = (char *) sender->prefix->data;

    ngx_str_set(&argv[0], "ZADD");

    argv[1].len = perm_grant_key(key, PERM_KEY_ACCESS, prefix,
                                 access->call.gateway, access->call.app);
    argv[1].data = (u_char *) key;

    ngx_str_set(&argv[2], "GT");

    argv[3].len = ngx_sprintf(last, "%T", access->last) - last;
    argv[3].data = last;

    argv[4].len = access->call.resource.len;
    argv[4].data = (u_char *) access->call.resource.data;

    item = sender->free;

    item->slot = access->slot;
    item->version = access->version;
    item->last = access->last;
    item->command = perm_redis_send(sender->redis, &argv[1], 5, argv,
                                    perm_sender_reply, item);

    if (item->command == NULL) {
        return NGX_ERROR;
    }

    sender->free = item->next;
    sender->outstanding++;

    return NGX_OK;
}


static void
perm_sender_reply(void *data, redisReply *reply)
{
    perm_sender_t       *sender;
    perm_sender_item_t  *item;

    item = data;
    sender = item->sender;

    item->command = NULL;
    item->next = sender->free;
    sender->free = item;
    sender->outstanding--;

    if (reply == NULL) {
        /* the link has a line of its own in the log */
        sender->lost = 1;
        sender->down |= (perm_redis_state(sender->redis) != PERM_REDIS_UP);
        return;
    }

    if (reply->type == REDIS_REPLY_INTEGER) {
        sender->refused = 0;
        perm_recorder_flushed(sender->recorder, item->slot, item->version,
                              item->last);
        return;
    }

    if (reply->type == REDIS_REPLY_ERROR
        && ngx_strncmp(reply->str, "WRONGTYPE", 9) == 0)
    {
        /* of this key alone */
        perm_sender_wrong_type(sender, item);
        return;
    }

    sender->refused++;
    perm_sender_refusal(sender, reply);
}


static void
perm_sender_wrong_type(perm_sender_t *sender, perm_sender_item_t *item)
{
    char                     key[PERM_KEY_MAX];
    ngx_uint_t               cursor;
    perm_str_t               prefix;
    perm_recorder_access_t   access;

    sender->wrong_type = 1;

    if (sender->wrong_type_told) {
        return;
    }

    /* its names are still in the table, unless another worker was faster */

    cursor = item->slot;

    if (perm_recorder_take(sender->recorder, &cursor, &access, 1) != 1
        || access.slot != item->slot || access.version != item->version)
    {
        return;
    }

    sender->wrong_type_told = 1;

    prefix.len = sender->prefix->len;
    prefix.data = (char *) sender->prefix->data;

    (void) perm_grant_key(key, PERM_KEY_ACCESS, prefix, access.call.gateway,
                          access.call.app);

    ngx_log_error(NGX_LOG_ERR, sender->log, 0,
                  "app_permission: key \"%s\" of Redis is not a sorted set, "
                  "so last accesses cannot be written to it and stay pending: "
                  "delete or rename it", key);
}


static void
perm_sender_refusal(perm_sender_t *sender, redisReply *reply)
{
    size_t                 i, len;
    u_char                 text[PERM_SENDER_TEXT];
    perm_sender_advice_t  *advice;

    sender->failed = 1;

    if (sender->failing) {
        return;
    }

    sender->failing = 1;

    if (reply->type != REDIS_REPLY_ERROR) {
        ngx_log_error(NGX_LOG_ERR, sender->log, 0,
                      "app_permission: Redis answered ZADD with a reply of "
                      "type %d instead of an integer; last accesses stay "
                      "pending", reply->type);
        return;
    }

    len = ngx_min((size_t) reply->len, PERM_SENDER_TEXT);

    for (i = 0; i < len; i++) {
        text[i] = (u_char) reply->str[i];

        if (text[i] < ' ' || text[i] > '~') {
            text[i] = '?';
        }
    }

    for (advice = perm_sender_advice; advice->error.len; advice++) {
        if (len >= advice->error.len
            && ngx_memcmp(text, advice->error.data, advice->error.len) == 0)
        {
            break;
        }
    }

    ngx_log_error(NGX_LOG_ERR, sender->log, 0,
                  "app_permission: Redis refuses last accesses, they stay "
                  "pending and are sent again: \"%*s\": %s",
                  len, text, advice->advice);
}


/* a whole walk was answered */

static void
perm_sender_finished(perm_sender_t *sender)
{
    if (sender->failing && !sender->failed) {
        sender->failing = 0;
        ngx_log_error(NGX_LOG_NOTICE, sender->log, 0,
                      "app_permission: Redis takes last accesses again");
    }

    if (!sender->wrong_type) {
        sender->wrong_type_told = 0;
    }

    sender->walked = 1;
}
