
#include "sync/self.h"

#include "core/grant_key.h"
#include "resp/reply.h"
#include "sync/grants_reply.h"


/* a value may have 64 KiB, and a reply of Redis 1 MiB */

#define PERM_SELF_COUNT        "8"     /* of HSCAN and ZSCAN */
#define PERM_SELF_CURSOR_SIZE  24


/* a command on its way, of which there is one for each kind */

typedef struct {
    perm_self_t           *self;
    perm_self_kind_t       kind;
    perm_redis_command_t  *command;    /* NULL: not on its way */
    perm_self_fields_t     fields;
    char                   key[PERM_KEY_MAX];
    size_t                 key_len;
} perm_self_scan_t;


struct perm_self_s {
    perm_sync_conf_t      *conf;
    perm_redis_client_t   *redis;
    ngx_pool_t            *pool;
    ngx_log_t             *log;
    perm_self_pt           handler;
    void                  *data;

    perm_self_scan_t       scans[PERM_SELF_KINDS];
    perm_redis_command_t  *meta;
    perm_redis_command_t  *pttl;
    int64_t                ttl;        /* of the grants, as PTTL has it */
    char                   meta_key[PERM_KEY_MAX];
    ngx_uint_t             left;       /* answers that are to come */
    size_t                 bytes;      /* read so far */

    perm_request_body_t   *body;       /* of perm_self_ask() */
    char                  *text;
    perm_redis_command_t  *script;
    char                   history_key[PERM_KEY_MAX];
    size_t                 history_len;

    unsigned               running:1;  /* it counts for PERM_SELF_MAX */
    unsigned               why:3;      /* of perm_request_left() */
};


static perm_self_t *perm_self_create(perm_fetch_t *fetch,
    perm_sync_conf_t *conf, perm_tuple_t *tuple, ngx_pool_t *pool,
    ngx_log_t *log, perm_self_pt handler, void *data);
static ngx_int_t perm_self_meta(perm_self_t *self);
static void perm_self_meta_reply(void *data, redisReply *reply);
static ngx_int_t perm_self_pttl(perm_self_t *self);
static void perm_self_pttl_reply(void *data, redisReply *reply);
static ngx_int_t perm_self_scan(perm_self_scan_t *scan, perm_str_t cursor);
static void perm_self_scan_reply(void *data, redisReply *reply);
static ngx_int_t perm_self_scan_take(perm_self_scan_t *scan,
    redisReply *reply);
static ngx_int_t perm_self_take(perm_self_t *self, perm_self_fields_t *fields,
    perm_str_t resource, perm_str_t value);
static void perm_self_log_large(perm_self_t *self);
static ngx_int_t perm_self_script(perm_self_t *self);
static void perm_self_script_reply(void *data, redisReply *reply);
static ngx_int_t perm_self_script_take(perm_self_t *self, redisReply *reply);
static void perm_self_log(char *command, redisReply *reply, ngx_log_t *log);
static void perm_self_answered(perm_self_t *self, ngx_int_t rc);
static void perm_self_end(perm_self_t *self);


/* in this worker: each may hold PERM_SELF_BYTES_MAX */

static ngx_uint_t  perm_self_running;


static char  *perm_self_commands[PERM_SELF_KINDS] = {
    "HSCAN", "HSCAN", "ZSCAN"
};


static perm_key_kind_t  perm_self_keys[PERM_SELF_KINDS] = {
    PERM_KEY_GRANTS, PERM_KEY_REQUESTS, PERM_KEY_ACCESS
};


perm_self_t *
perm_self_read(perm_fetch_t *fetch, perm_sync_conf_t *conf,
    perm_tuple_t *tuple, ngx_pool_t *pool, ngx_log_t *log,
    perm_self_pt handler, void *data)
{
    ngx_uint_t    i;
    perm_self_t  *self;

    self = perm_self_create(fetch, conf, tuple, pool, log, handler, data);

    if (self == NULL) {
        return NULL;
    }

    if (perm_self_meta(self) != NGX_OK || perm_self_pttl(self) != NGX_OK) {
        perm_self_cancel(self);
        return NULL;
    }

    for (i = 0; i < PERM_SELF_KINDS; i++) {
        if (perm_self_scan(&self->scans[i], perm_str("0")) != NGX_OK) {
            perm_self_cancel(self);
            return NULL;
        }
    }

    return self;
}


perm_self_t *
perm_self_ask(perm_fetch_t *fetch, perm_sync_conf_t *conf, perm_tuple_t *tuple,
    ngx_pool_t *pool, ngx_log_t *log, perm_request_body_t *body, char *text,
    perm_self_pt handler, void *data)
{
    perm_self_t  *self;

    self = perm_self_create(fetch, conf, tuple, pool, log, handler, data);

    if (self == NULL) {
        return NULL;
    }

    self->body = body;
    self->text = text;

    /* the script comes after the answer: nothing is asked of no table */

    if (perm_self_meta(self) != NGX_OK) {
        perm_self_cancel(self);
        return NULL;
    }

    return self;
}


static perm_self_t *
perm_self_create(perm_fetch_t *fetch, perm_sync_conf_t *conf,
    perm_tuple_t *tuple, ngx_pool_t *pool, ngx_log_t *log,
    perm_self_pt handler, void *data)
{
    ngx_uint_t         i;
    perm_str_t         prefix;
    perm_zone_t       *zone;
    perm_self_t       *self;
    perm_self_scan_t  *scan;

    /* a caller may repeat it as fast as it can */

    if (perm_redis_client_state(perm_fetch_redis(fetch)) == PERM_REDIS_DOWN) {
        return NULL;
    }

    zone = conf->zone.zone;

    if (perm_self_running >= PERM_SELF_MAX
        || perm_rate_limit_take(&zone->limit, &conf->limit, ngx_current_msec,
                                0)
           != 0)
    {
        perm_stats_add(&perm_stats_cell(&zone->stats, ngx_worker)->limited, 1);
        return NULL;
    }

    self = ngx_pcalloc(pool, sizeof(perm_self_t));
    if (self == NULL) {
        return NULL;
    }

    self->conf = conf;
    self->redis = perm_fetch_redis(fetch);
    self->pool = pool;
    self->log = log;
    self->handler = handler;
    self->data = data;

    prefix = perm_sync_conf_prefix(conf);

    for (i = 0; i < PERM_SELF_KINDS; i++) {
        scan = &self->scans[i];

        scan->self = self;
        scan->kind = i;
        scan->key_len = perm_grant_key(scan->key, perm_self_keys[i], prefix,
                                       tuple->gateway, tuple->app);

        if (perm_self_fields_init(&scan->fields, pool) != NGX_OK) {
            return NULL;
        }
    }

    self->history_len = perm_grant_key(self->history_key, PERM_KEY_HISTORY,
                                       prefix, tuple->gateway, tuple->app);

    self->running = 1;
    perm_self_running++;

    return self;
}


void
perm_self_cancel(perm_self_t *self)
{
    ngx_uint_t  i;

    perm_self_end(self);

    for (i = 0; i < PERM_SELF_KINDS; i++) {
        if (self->scans[i].command) {
            perm_redis_command_cancel(self->scans[i].command);
            self->scans[i].command = NULL;
        }
    }

    if (self->meta) {
        perm_redis_command_cancel(self->meta);
        self->meta = NULL;
    }

    if (self->pttl) {
        perm_redis_command_cancel(self->pttl);
        self->pttl = NULL;
    }

    if (self->script) {
        perm_redis_command_cancel(self->script);
        self->script = NULL;
    }
}


static ngx_int_t
perm_self_meta(perm_self_t *self)
{
    ngx_str_t  argv[3];

    ngx_str_set(&argv[0], "HGET");
    argv[1].data = (u_char *) self->meta_key;
    argv[1].len = perm_grant_key_meta(self->meta_key,
                                      perm_sync_conf_prefix(self->conf));
    ngx_str_set(&argv[2], PERM_SCHEMA_FIELD);

    self->meta = perm_redis_client_send(self->redis, &argv[1], 3, argv,
                                        perm_self_meta_reply, self);
    if (self->meta == NULL) {
        return NGX_ERROR;
    }

    self->left++;

    return NGX_OK;
}


static void
perm_self_meta_reply(void *data, redisReply *reply)
{
    perm_self_t *self = data;

    ngx_int_t   rc;
    ngx_uint_t  loaded;

    self->meta = NULL;

    rc = perm_grants_reply_loaded(reply, &loaded);

    if (rc != NGX_OK) {
        perm_self_log("HGET", reply, self->log);

    } else if (!loaded) {
        /* the log has said so, or will with the next lookup */
        rc = NGX_ERROR;

    } else if (self->body) {
        rc = perm_self_script(self);
    }

    perm_self_answered(self, rc);
}


static ngx_int_t
perm_self_pttl(perm_self_t *self)
{
    ngx_str_t          argv[2];
    perm_self_scan_t  *scan;

    scan = &self->scans[PERM_SELF_GRANTS];

    ngx_str_set(&argv[0], "PTTL");
    argv[1].data = (u_char *) scan->key;
    argv[1].len = scan->key_len;

    self->pttl = perm_redis_client_send(self->redis, &argv[1], 2, argv,
                                        perm_self_pttl_reply, self);
    if (self->pttl == NULL) {
        return NGX_ERROR;
    }

    self->left++;

    return NGX_OK;
}


/* without the right to PTTL the log has a line of the lookups */

static void
perm_self_pttl_reply(void *data, redisReply *reply)
{
    perm_self_t *self = data;

    ngx_int_t  rc;

    self->pttl = NULL;

    rc = perm_grants_reply_left(reply, 0, &self->ttl);

    if (reply && perm_grants_reply_no_pttl(reply)) {
        self->ttl = PERM_GRANTS_ENDLESS;
        rc = NGX_OK;

    } else if (rc != NGX_OK) {
        perm_self_log("PTTL", reply, self->log);
    }

    perm_self_answered(self, rc);
}


static ngx_int_t
perm_self_scan(perm_self_scan_t *scan, perm_str_t cursor)
{
    ngx_str_t     argv[5];
    perm_self_t  *self;

    self = scan->self;

    argv[0].data = (u_char *) perm_self_commands[scan->kind];
    argv[0].len = ngx_strlen(argv[0].data);
    argv[1].data = (u_char *) scan->key;
    argv[1].len = scan->key_len;
    argv[2].data = (u_char *) cursor.data;
    argv[2].len = cursor.len;
    ngx_str_set(&argv[3], "COUNT");
    ngx_str_set(&argv[4], PERM_SELF_COUNT);

    scan->command = perm_redis_client_send(self->redis, &argv[1], 5, argv,
                                           perm_self_scan_reply, scan);
    if (scan->command == NULL) {
        return NGX_ERROR;
    }

    self->left++;

    return NGX_OK;
}


static void
perm_self_scan_reply(void *data, redisReply *reply)
{
    perm_self_scan_t *scan = data;

    ngx_int_t     rc;
    perm_str_t    cursor;
    perm_self_t  *self;

    self = scan->self;
    scan->command = NULL;

    rc = perm_self_scan_take(scan, reply);

    if (rc == NGX_OK) {
        cursor = perm_reply_text(reply->element[0]);

        if (perm_str_equal(cursor, perm_str("0"))) {
            perm_self_fields_sort(&scan->fields);

        } else {
            rc = perm_self_scan(scan, cursor);
        }
    }

    perm_self_answered(self, rc);
}


/* HSCAN and ZSCAN: the next cursor, and an array of pairs */

static ngx_int_t
perm_self_scan_take(perm_self_scan_t *scan, redisReply *reply)
{
    size_t        i;
    redisReply   *pairs;
    perm_self_t  *self;

    self = scan->self;

    if (reply == NULL || reply->type != REDIS_REPLY_ARRAY
        || reply->elements != 2
        || reply->element[0]->type != REDIS_REPLY_STRING
        || reply->element[0]->len >= PERM_SELF_CURSOR_SIZE
        || reply->element[1]->type != REDIS_REPLY_ARRAY
        || reply->element[1]->elements % 2)
    {
        perm_self_log(perm_self_commands[scan->kind], reply, self->log);
        return NGX_ERROR;
    }

    pairs = reply->element[1];

    for (i = 0; i < pairs->elements; i += 2) {

        if (perm_self_take(self, &scan->fields,
                           perm_reply_text(pairs->element[i]),
                           perm_reply_text(pairs->element[i + 1]))
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* a field that the contract does not have is left out */

static ngx_int_t
perm_self_take(perm_self_t *self, perm_self_fields_t *fields,
    perm_str_t resource, perm_str_t value)
{
    if (!perm_str_equal(resource, perm_str(PERM_GATEWAY_FIELD))
        && !perm_name_resource_valid(resource))
    {
        return NGX_OK;
    }

    self->bytes += resource.len + value.len;

    if (self->bytes > PERM_SELF_BYTES_MAX) {
        perm_self_log_large(self);
        return NGX_ERROR;
    }

    return perm_self_fields_add(fields, resource, value);
}


/* once for each app: it may ask again and again */

static void
perm_self_log_large(perm_self_t *self)
{
    perm_str_t         key;
    perm_zone_t       *zone;
    perm_self_scan_t  *scan;

    zone = self->conf->zone.zone;
    scan = &self->scans[PERM_SELF_REQUESTS];

    key.data = scan->key;
    key.len = scan->key_len;

    if (!perm_health_first(&zone->health,
                           perm_tuple_key_hash(key, perm_str("self"),
                                               zone->seed)
                           ^ self->conf->source))
    {
        return;
    }

    ngx_log_error(NGX_LOG_ERR, self->log, 0,
                  "app_permission: grants, accesses and requests of an app in "
                  "a gateway have more than %d bytes: it cannot see them; "
                  "remove some of \"%*s\"", PERM_SELF_BYTES_MAX, key.len,
                  key.data);
}


static ngx_int_t
perm_self_script(perm_self_t *self)
{
    u_char               limit[NGX_INT_T_LEN];
    ngx_str_t           *argv;
    ngx_uint_t           i, argc;
    perm_request_body_t *body;

    body = self->body;
    argc = 7 + ngx_max(body->nnames, 1);

    argv = ngx_palloc(self->pool, argc * sizeof(ngx_str_t));
    if (argv == NULL) {
        return NGX_ERROR;
    }

    ngx_str_set(&argv[0], "EVAL");
    argv[1].data = (u_char *) perm_request_script;
    argv[1].len = ngx_strlen(perm_request_script);
    ngx_str_set(&argv[2], "2");

    argv[3].data = (u_char *) self->scans[PERM_SELF_REQUESTS].key;
    argv[3].len = self->scans[PERM_SELF_REQUESTS].key_len;
    argv[4].data = (u_char *) self->history_key;
    argv[4].len = self->history_len;

    argv[5].data = (u_char *) self->text;
    argv[5].len = ngx_strlen(self->text);
    argv[6].data = limit;
    argv[6].len = ngx_sprintf(limit, "%d", PERM_REQUEST_APP_MAX) - limit;

    ngx_str_set(&argv[7], PERM_GATEWAY_FIELD);

    for (i = 0; i < body->nnames; i++) {
        argv[7 + i].data = (u_char *) body->names[i].data;
        argv[7 + i].len = body->names[i].len;
    }

    self->script = perm_redis_client_send(self->redis, &argv[3], argc, argv,
                                          perm_self_script_reply, self);
    if (self->script == NULL) {
        return NGX_ERROR;
    }

    self->left++;

    return NGX_OK;
}


static void
perm_self_script_reply(void *data, redisReply *reply)
{
    perm_self_t *self = data;

    self->script = NULL;

    perm_self_answered(self, perm_self_script_take(self, reply));
}


/* the second it was, and for each field "" or why it was left */

static ngx_int_t
perm_self_script_take(perm_self_t *self, redisReply *reply)
{
    size_t               i, len;
    u_char              *p;
    perm_str_t           now, value, word, resource;
    perm_self_fields_t  *fields;

    fields = &self->scans[PERM_SELF_REQUESTS].fields;

    if (reply == NULL || reply->type != REDIS_REPLY_ARRAY
        || reply->elements != 1 + ngx_max(self->body->nnames, 1))
    {
        perm_self_log("EVAL", reply, self->log);
        return NGX_ERROR;
    }

    now = perm_reply_text(reply->element[0]);
    len = ngx_strlen(self->text);

    p = ngx_pnalloc(self->pool, len + now.len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    value.data = (char *) p;
    value.len = ngx_sprintf(p, "%s%*s}", self->text, now.len, now.data) - p;

    for (i = 1; i < reply->elements; i++) {

        word = perm_reply_text(reply->element[i]);

        if (reply->element[i]->type != REDIS_REPLY_STRING || word.len != 0) {
            self->why |= perm_request_left(word);
            continue;
        }

        resource = self->body->nnames ? self->body->names[i - 1]
                                      : perm_str(PERM_GATEWAY_FIELD);

        if (perm_self_take(self, fields, resource, value) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    perm_self_fields_sort(fields);

    return NGX_OK;
}


/* of each command the last error, while it stays the same, is logged once */

static void
perm_self_log(char *command, redisReply *reply, ngx_log_t *log)
{
    ngx_int_t  rc;

    static perm_grants_reply_logged_t  logged;

    if (reply == NULL) {
        /* the link is lost, which has its own line */
        return;
    }

    rc = (reply->type == REDIS_REPLY_ERROR) ? NGX_DECLINED : NGX_ERROR;

    perm_grants_reply_log(&logged, reply, rc, command,
                          "app_permission_self answers 503", log);
}


static void
perm_self_answered(perm_self_t *self, ngx_int_t rc)
{
    self->left--;

    if (rc != NGX_OK) {
        perm_self_cancel(self);
        self->handler(self->data, NGX_ERROR);

    } else if (self->left == 0) {
        perm_self_end(self);
        self->handler(self->data, NGX_OK);
    }
}


static void
perm_self_end(perm_self_t *self)
{
    perm_self_running -= self->running;
    self->running = 0;
}


unsigned
perm_self_left(perm_self_t *self)
{
    return self->why;
}


int64_t
perm_self_ttl(perm_self_t *self)
{
    return self->ttl;
}


perm_self_fields_t *
perm_self_fields(perm_self_t *self, perm_self_kind_t kind)
{
    return &self->scans[kind].fields;
}
