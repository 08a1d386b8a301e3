
/*
 * A call of app_permission_self: the body of a POST, or nothing for a GET, a
 * NUL, and the replies of Redis, each to the command that was sent first.  What
 * the app gets is read again, and compared with the replies.
 * sources: src/http/self.c src/http/writer.c src/sync/self.c
 * sources: src/sync/self_fields.c src/sync/grants_reply.c src/resp/reader.c
 * sources: src/resp/reply.c src/resp/advice.c src/resp/printable.c
 * sources: src/shm/health.c src/shm/tuple.c
 */


#include "fuzz.h"
#include "nginx_test.h"

#include <ctype.h>
#include <math.h>

#include "core/grant.h"
#include "http/handler.h"
#include "http/metrics.h"
#include "http/response.h"
#include "http/self.h"
#include "http/send.h"
#include "http/suspend.h"
#include "resp/reader.h"
#include "sync/self.h"


#define COMMANDS  5       /* on their way at a time */
#define REPLIES   512

#define GRANTS    'H'     /* the first byte of the command, and ... */
#define REQUESTS  'R'
#define ACCESSES  'Z'
#define SCRIPT    'E'
#define META      'M'
#define TTL       'P'


typedef struct {
    perm_redis_command_t   command;
    perm_redis_reply_pt    handler;    /* NULL: free */
    void                  *data;
    int                    kind;
    unsigned               number;
} sent_t;


typedef struct {
    int                    kind;
    redisReply            *reply;
} given_t;


static void take_replies(const uint8_t *data, size_t size);
static int all_good(void);
static int good(const given_t *one);
static void check_answer(const char *text, size_t len);
static void check_fields(const cJSON *list, int kind);
static perm_str_t field_of(const cJSON *item);
static int in_list(const cJSON *list, perm_str_t field);
static const redisReply *next_value(int kind, perm_str_t field, size_t *at);
static int twice(int kind, perm_str_t field);
static int readable(int kind, perm_str_t value);
static int is_grant(const cJSON *item, perm_str_t value);
static double key_end(void);
static int is_request(const cJSON *item, perm_str_t value);
static void check_access(const cJSON *item, perm_str_t field);
static double second_of(perm_str_t score);
static void check_stored(const cJSON *list);


ngx_module_t  ngx_http_app_permission_module;

static perm_ctx_t            ctx;
static perm_main_conf_t      pmcf;
static perm_loc_conf_t       plcf;
static perm_sync_t           worker;
static perm_zone_t           zone;
static perm_stats_cell_t     cell;
static ngx_connection_t      connection;
static ngx_http_request_t    r;
static ngx_http_request_body_t  body;
static ngx_http_cleanup_t    cleanup;
static ngx_log_t             request_log;
static ngx_http_log_ctx_t    log_ctx;

static sent_t                sent[COMMANDS];
static unsigned              nsent;
static given_t               given[REPLIES];
static unsigned              ngiven;
static perm_str_t            posted;
static perm_request_body_t   asked;      /* by it */
static int                   lost;       /* the link */
static ngx_uint_t            status;     /* that was answered with, 0: none */


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int         too_many;
    void       *contexts[1] = { &ctx };
    ngx_int_t   rc;

    ngx_memzero(&ctx, sizeof(ctx));
    ngx_memzero(&r, sizeof(r));
    ngx_memzero(&cleanup, sizeof(cleanup));
    ngx_memzero(&zone.health, sizeof(zone.health));

    posted = fuzz_part(&data, &size);

    request_log = test_log;
    request_log.data = &log_ctx;
    connection.log = &request_log;

    worker.fetch = (perm_fetch_t *) &worker;
    pmcf.worker = &worker;
    pmcf.stats = &cell;
    pmcf.serving = 1;
    pmcf.sync.zone.zone = &zone;
    ngx_str_set(&pmcf.sync.redis.prefix, "app_permission:");
    plcf.self_apply = 1;

    r.pool = ngx_create_pool(512, &test_log);
    r.connection = &connection;
    r.main = &r;
    r.count = 2;
    r.ctx = contexts;
    r.method = posted.len ? NGX_HTTP_POST : NGX_HTTP_GET;
    r.headers_in.content_length_n = (off_t) posted.len;

    ctx.request = &r;
    ctx.pmcf = &pmcf;
    ctx.plcf = &plcf;
    ctx.tuple.gateway = perm_str("smoke");
    ctx.tuple.app = perm_str("demo");

    (void) perm_request_body(posted, &asked, &too_many);

    status = 0;
    ngiven = 0;
    lost = 0;
    rc = perm_http_self_handler(&r);

    check((status == 0) == (nsent != 0) && (status || rc == NGX_DONE));

    if (nsent) {
        take_replies(data, size);
        check(nsent == 0);
        check((status == NGX_HTTP_SERVICE_UNAVAILABLE) == !all_good());
    }

    check(fuzz_printable(test_line, strcspn(test_line, "\n"), "\n"));

    cleanup.handler(cleanup.data);
    perm_request_body_free(&asked);

    while (ngiven) {
        freeReplyObject(given[--ngiven].reply);
    }

    ngx_destroy_pool(r.pool);

    return 0;
}


/* where there are too few, the link is lost */

static void
take_replies(const uint8_t *data, size_t size)
{
    sent_t               *first;
    unsigned              i;
    redisReply           *reply;
    perm_reader_t        *reader;
    perm_redis_reply_pt   handler;

    reader = perm_reader_create(1024 * 1024);
    perm_reader_feed(reader, (const char *) data, size);

    while (nsent) {
        for (i = 0, first = NULL; i < COMMANDS; i++) {
            if (sent[i].handler && (first == NULL
                                    || sent[i].number < first->number))
            {
                first = &sent[i];
            }
        }

        if (ngiven == REPLIES || perm_reader_next(reader, &reply) != 0) {
            reply = NULL;
        }

        lost |= (reply == NULL);

        if (reply) {
            given[ngiven].kind = first->kind;
            given[ngiven++].reply = reply;
        }

        handler = first->handler;
        first->handler = NULL;
        nsent--;

        handler(first->data, reply);
    }

    perm_reader_free(reader);
}


static int
all_good(void)
{
    unsigned  i;

    for (i = 0; i < ngiven && good(&given[i]); i++) { /* void */ }

    return i == ngiven && !lost;
}


/* its shape is that of a reply to such a command */

static int
good(const given_t *one)
{
    const redisReply  *reply;

    reply = one->reply;

    switch (one->kind) {

    case META:
        return reply->type == REDIS_REPLY_STRING && reply->len == 1
               && reply->str[0] == '1';

    case TTL:
        return reply->type == REDIS_REPLY_INTEGER
               || (reply->type == REDIS_REPLY_ERROR
                   && perm_grants_reply_no_pttl(one->reply));

    case SCRIPT:
        return reply->type == REDIS_REPLY_ARRAY
               && reply->elements == 1 + ngx_max(asked.nnames, 1);

    default:
        return reply->type == REDIS_REPLY_ARRAY && reply->elements == 2
               && reply->element[0]->type == REDIS_REPLY_STRING
               && reply->element[0]->len < 24
               && reply->element[1]->type == REDIS_REPLY_ARRAY
               && reply->element[1]->elements % 2 == 0;
    }
}


static void
check_answer(const char *text, size_t len)
{
    size_t        i;
    cJSON        *json;
    const cJSON  *grants, *requests;

    check(all_good());
    check(len > 2 && text[len - 2] == '\r' && text[len - 1] == '\n');

    for (i = 0; i < len - 2; i++) {
        check((unsigned char) text[i] >= ' ');
    }

    json = perm_json_parse((perm_str_t) { len, text });
    check(cJSON_IsObject(json));

    grants = cJSON_GetObjectItemCaseSensitive(json, "grants");
    requests = cJSON_GetObjectItemCaseSensitive(json, "requests");

    check(cJSON_IsArray(requests));
    check(cJSON_GetArraySize(json) == (posted.len ? 3 : 4));

    if (posted.len) {
        check(status == NGX_HTTP_ACCEPTED);
        check_stored(requests);

    } else {
        check(status == NGX_HTTP_OK && cJSON_IsArray(grants));
        check_fields(grants, GRANTS);
        check_fields(requests, REQUESTS);
    }

    cJSON_Delete(json);
}


/* each field that can be read is there once, with a value that it had */

static void
check_fields(const cJSON *list, int kind)
{
    int                found;
    size_t             i, at;
    unsigned           g;
    perm_str_t         field, before, value;
    const cJSON       *item;
    const redisReply  *pairs, *reply;

    before = perm_str("");

    cJSON_ArrayForEach(item, list) {
        field = field_of(item);
        check(fuzz_name(field, PERM_RESOURCE_MAX));
        check(strcmp(before.data, field.data) < 0);
        before = field;

        for (at = 0, found = 0;
             (reply = next_value(kind, field, &at)) != NULL; /* void */ )
        {
            value = perm_reply_text(reply);
            found |= (kind == GRANTS) ? is_grant(item, value)
                                      : is_request(item, value);
        }

        check(found);

        if (kind == GRANTS) {
            check_access(item, field);
        }
    }

    for (g = 0; g < ngiven; g++) {

        if (given[g].kind != kind) {
            continue;
        }

        pairs = given[g].reply->element[1];

        for (i = 0; i < pairs->elements; i += 2) {
            field = perm_reply_text(pairs->element[i]);
            found = fuzz_name(field, PERM_RESOURCE_MAX);

            for (at = 0; found
                 && (reply = next_value(kind, field, &at)) != NULL; /* void */ )
            {
                found = readable(kind, perm_reply_text(reply))
                        && (kind != GRANTS
                            || key_end() > (double) ngx_time());
            }

            check(!found || in_list(list, field));
        }
    }
}


static perm_str_t
field_of(const cJSON *item)
{
    const cJSON  *resource;

    resource = cJSON_GetObjectItemCaseSensitive(item, "resource");
    check(resource == item->child);
    check(cJSON_IsNull(resource) || (cJSON_IsString(resource)
                                     && strcmp(resource->valuestring, "-")));

    return perm_str(cJSON_IsNull(resource) ? "-" : resource->valuestring);
}


static int
in_list(const cJSON *list, perm_str_t field)
{
    const cJSON  *item;

    cJSON_ArrayForEach(item, list) {
        if (perm_str_equal(field, field_of(item))) {
            return 1;
        }
    }

    return 0;
}


/* of those that the field had; *at: 0 before the first one */

static const redisReply *
next_value(int kind, perm_str_t field, size_t *at)
{
    size_t             i, n;
    unsigned           g;
    const redisReply  *pairs;

    for (g = 0, n = 0; g < ngiven; g++) {

        if (given[g].kind != kind) {
            continue;
        }

        pairs = given[g].reply->element[1];

        for (i = 0; i < pairs->elements; i += 2) {
            if (n++ >= *at
                && perm_str_equal(perm_reply_text(pairs->element[i]), field))
            {
                *at = n;
                return pairs->element[i + 1];
            }
        }
    }

    return NULL;
}


static int
twice(int kind, perm_str_t field)
{
    size_t  at;

    at = 0;

    return next_value(kind, field, &at) && next_value(kind, field, &at);
}


static int
readable(int kind, perm_str_t value)
{
    return (kind == GRANTS) ? perm_grant_expires(value) >= 0
           : perm_request_read(value).status != PERM_REQUEST_UNREADABLE;
}


static int
is_grant(const cJSON *item, perm_str_t value)
{
    double        end, gone;
    const cJSON  *left;

    end = cJSON_GetObjectItemCaseSensitive(item, "expires")->valuedouble;
    left = cJSON_GetObjectItemCaseSensitive(item, "expires_in");
    check(left->valuedouble == fmax(end - (double) ngx_time(), 0));

    gone = key_end();
    check(gone > (double) ngx_time() && end <= gone);

    return readable(GRANTS, value)
           && fmin((double) perm_grant_expires(value), gone) == end;
}


/* unix seconds, rounded up */

static double
key_end(void)
{
    unsigned   g;
    long long  left;

    for (g = 0; given[g].kind != TTL; g++) { /* void */ }

    left = given[g].reply->integer;

    return (given[g].reply->type != REDIS_REPLY_INTEGER || left == -1)
           ? INFINITY
           : left <= 0 ? 0 : (double) ngx_time() + ceil((double) left / 1e3);
}


/* with as many members, but for a "resource" of their own */

static int
is_request(const cJSON *item, perm_str_t value)
{
    int           n;
    cJSON        *json;
    const cJSON  *member;

    if (!readable(REQUESTS, value)) {
        return 0;
    }

    n = 1;
    json = perm_json_parse(value);

    cJSON_ArrayForEach(member, json) {
        n += (strcmp(member->string, "resource") != 0);
    }

    cJSON_Delete(json);

    return cJSON_GetArraySize(item) == n;
}


/* of the whole gateway the newest: not older than one that came once */

static void
check_access(const cJSON *item, perm_str_t field)
{
    int                all, found;
    size_t             i;
    double             last, second;
    unsigned           g;
    perm_str_t         member;
    const cJSON       *access;
    const redisReply  *pairs;

    access = cJSON_GetObjectItemCaseSensitive(item, "last_access");
    last = cJSON_IsNull(access) ? -1 : access->valuedouble;
    all = perm_str_equal(field, perm_str("-"));
    found = (last == -1);

    for (g = 0; g < ngiven; g++) {

        if (given[g].kind != ACCESSES) {
            continue;
        }

        pairs = given[g].reply->element[1];

        for (i = 0; i < pairs->elements; i += 2) {

            member = perm_reply_text(pairs->element[i]);

            if (!fuzz_name(member, PERM_RESOURCE_MAX)
                || (!all && !perm_str_equal(member, field)))
            {
                continue;
            }

            second = second_of(perm_reply_text(pairs->element[i + 1]));
            found |= (last == second);

            check(last >= second || twice(ACCESSES, member));
        }
    }

    check(found);
}


/* -1: it is no time */

static double
second_of(perm_str_t score)
{
    char    *end, text[32];
    double   second;

    if (score.len >= sizeof(text)) {
        return -1;
    }

    memcpy(text, score.data, score.len);
    text[score.len] = '\0';

    second = strtod(text, &end);

    if (score.len == 0 || (size_t) (end - text) != score.len
        || isnan(second) || isinf(second) || second < 0)
    {
        return -1;
    }

    return fmin(floor(second), (double) ngx_time());
}


/* all that the script has stored; its time may be none */

static void
check_stored(const cJSON *list)
{
    size_t             i, stored;
    perm_str_t         now;
    const cJSON       *item;
    const redisReply  *reply;

    reply = given[ngiven - 1].reply;
    now = perm_reply_text(reply->element[0]);
    item = list->child;

    for (i = 1, stored = 0; i < reply->elements; i++) {
        if (reply->element[i]->type == REDIS_REPLY_STRING
            && reply->element[i]->len == 0)
        {
            stored++;
            check(item == NULL || asked.nnames == 0
                  || in_list(list, asked.names[i - 1]));
        }
    }

    check(stored > 0);

    if (item == NULL) {
        for (i = 0; i < now.len && isdigit((unsigned char) now.data[i]); i++) {
            /* void */
        }

        check(i == 0 || i < now.len);
        return;
    }

    check((size_t) cJSON_GetArraySize(list) == stored);
    check(asked.nnames || perm_str_equal(field_of(item), perm_str("-")));
}


/* what is called of the module */

perm_ctx_t *
perm_handler_open(ngx_http_request_t *request)
{
    return &ctx;
}


void
perm_metrics_count(perm_ctx_t *counted)
{
    /* void */
}


ngx_int_t
perm_response_no_store(ngx_http_request_t *request)
{
    return NGX_OK;
}


ngx_int_t
perm_response_send(perm_ctx_t *answered)
{
    check(status == 0 && ctx.decision.outcome == PERM_FAIL);

    status = NGX_HTTP_SERVICE_UNAVAILABLE;

    return NGX_DONE;
}


ngx_int_t
perm_response_error(perm_ctx_t *answered, perm_response_error_t error,
    const char *reason)
{
    size_t             i;
    const redisReply  *reply;

    check(status == 0 && posted.len && *reason);

    status = NGX_HTTP_BAD_REQUEST;

    if (error == PERM_RESPONSE_CONFLICT) {
        check(all_good());

        reply = given[ngiven - 1].reply;

        for (i = 1; i < reply->elements; i++) {
            check(reply->element[i]->type != REDIS_REPLY_STRING
                  || reply->element[i]->len != 0);
        }
    }

    return NGX_DONE;
}


ngx_int_t
perm_send_header(ngx_http_request_t *request, char *name, ngx_str_t *value)
{
    return NGX_OK;
}


ngx_int_t
perm_send_body(ngx_http_request_t *request, ngx_uint_t answered,
    ngx_str_t *type, perm_writer_t *w)
{
    char         *text, *p;
    size_t        len;
    ngx_chain_t  *cl;

    check(status == 0);

    status = answered;
    cl = perm_writer_finish(w);
    check(cl != NULL);

    text = malloc((size_t) w->size);
    p = text;

    for ( /* void */ ; cl; cl = cl->next) {
        len = (size_t) (cl->buf->last - cl->buf->pos);
        memcpy(p, cl->buf->pos, len);
        p += len;
    }

    check(p == text + w->size);
    check_answer(text, (size_t) w->size);
    free(text);

    return NGX_DONE;
}


ngx_int_t
perm_suspend_wait(perm_ctx_t *waiting)
{
    return NGX_DONE;
}


perm_redis_client_t *
perm_fetch_redis(perm_fetch_t *fetch)
{
    return (perm_redis_client_t *) fetch;
}


perm_redis_client_state_t
perm_redis_client_state(perm_redis_client_t *redis)
{
    return PERM_REDIS_UP;
}


perm_redis_command_t *
perm_redis_client_send(perm_redis_client_t *redis, ngx_str_t *key,
    ngx_uint_t argc, ngx_str_t *argv, perm_redis_reply_pt handler, void *data)
{
    sent_t    *one;
    unsigned   i;

    static unsigned  number;

    for (i = 0; sent[i].handler; i++) {
        check(i + 1 < COMMANDS);
    }

    one = &sent[i];
    one->handler = handler;
    one->data = data;
    one->number = number++;
    one->kind = argv[0].data[0];
    nsent++;

    if (argv[0].len == 4 && one->kind == 'H') {
        one->kind = META;

    } else if (memmem(argv[1].data, argv[1].len, ":requests:", 10)) {
        one->kind = REQUESTS;
    }

    return &one->command;
}


void
perm_redis_command_cancel(perm_redis_command_t *command)
{
    check(((sent_t *) command)->handler);

    ((sent_t *) command)->handler = NULL;
    nsent--;
}


ngx_int_t
perm_rate_limit_take(perm_rate_limit_t *limit, perm_rate_limit_conf_t *conf,
    ngx_msec_t now, ngx_msec_t max)
{
    return 0;
}


perm_stats_cell_t *
perm_stats_cell(perm_stats_t *stats, ngx_uint_t number)
{
    return &cell;
}


/* and of nginx */

ngx_http_cleanup_t *
ngx_http_cleanup_add(ngx_http_request_t *request, size_t size)
{
    return &cleanup;
}


ngx_int_t
ngx_http_discard_request_body(ngx_http_request_t *request)
{
    return NGX_OK;
}


/* in two parts */

ngx_int_t
ngx_http_read_client_request_body(ngx_http_request_t *request,
    ngx_http_client_body_handler_pt handler)
{
    static ngx_buf_t    parts[2];
    static ngx_chain_t  links[2] = { { &parts[0], &links[1] },
                                     { &parts[1], NULL } };

    parts[0].pos = (u_char *) posted.data;
    parts[0].last = parts[1].pos = parts[0].pos + posted.len / 2;
    parts[1].last = parts[0].pos + posted.len;
    parts[0].memory = parts[1].memory = 1;

    request->request_body = &body;
    body.bufs = links;

    handler(request);

    return NGX_OK;
}


void
ngx_http_block_reading(ngx_http_request_t *request)
{
    /* void */
}


void
ngx_http_test_reading(ngx_http_request_t *request)
{
    /* void */
}


void
ngx_http_finalize_request(ngx_http_request_t *request, ngx_int_t rc)
{
    check(rc == NGX_DONE && status != 0);
}


void
ngx_http_run_posted_requests(ngx_connection_t *c)
{
    /* void */
}
