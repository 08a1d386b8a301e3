
#include "http/self.h"

#include <errno.h>
#include <math.h>

#include "core/renewal.h"
#include "http/handler.h"
#include "http/metrics.h"
#include "http/response.h"
#include "http/send.h"
#include "http/suspend.h"
#include "sync/self.h"


#define PERM_HTTP_SELF_NUMBER  32     /* bytes of a score */


typedef struct {
    perm_ctx_t           *ctx;
    perm_self_t          *self;       /* NULL: nothing is on its way */
    perm_request_body_t   body;       /* of POST */
    char                 *text;       /* of the requests, likewise */
} perm_http_self_t;


static ngx_int_t perm_http_self_method(perm_ctx_t *ctx);
static ngx_int_t perm_http_self_not_allowed(perm_ctx_t *ctx);
static ngx_int_t perm_http_self_app(perm_ctx_t *ctx);
static ngx_int_t perm_http_self_get(perm_http_self_t *hs);
static void perm_http_self_post(ngx_http_request_t *r);
static ngx_int_t perm_http_self_apply(perm_http_self_t *hs);
static ngx_int_t perm_http_self_body(ngx_http_request_t *r, perm_str_t *text);
static void perm_http_self_answered(void *data, ngx_int_t rc);
static void perm_http_self_cleanup(void *data);
static ngx_int_t perm_http_self_unavailable(perm_ctx_t *ctx);
static ngx_int_t perm_http_self_send(perm_http_self_t *hs);
static void perm_http_self_grants(perm_writer_t *w, perm_self_t *self,
    int64_t now);
static int64_t perm_http_self_used(perm_self_t *self, perm_str_t resource,
    int64_t now);
static int64_t perm_http_self_second(perm_str_t score);
static void perm_http_self_requests(perm_writer_t *w, perm_self_t *self);
static void perm_http_self_members(perm_writer_t *w, perm_str_t value);
static void perm_http_self_resource(perm_writer_t *w, perm_str_t resource);


ngx_int_t
perm_http_self_handler(ngx_http_request_t *r)
{
    ngx_int_t            rc;
    perm_ctx_t          *ctx;
    perm_http_self_t    *hs;
    ngx_http_cleanup_t  *cln;

    ctx = perm_handler_open(r);

    if (ctx == NULL || perm_response_no_store(r) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->content = 1;

    rc = perm_http_self_method(ctx);
    if (rc != NGX_OK) {
        return (rc == NGX_DECLINED) ? perm_http_self_not_allowed(ctx) : rc;
    }

    ctx->decided = 1;

    rc = perm_http_self_app(ctx);

    perm_metrics_count(ctx);

    if (rc != NGX_OK) {
        return perm_response_send(ctx);
    }

    hs = ngx_pcalloc(r->pool, sizeof(perm_http_self_t));
    cln = ngx_http_cleanup_add(r, 0);

    if (hs == NULL || cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    hs->ctx = ctx;
    cln->handler = perm_http_self_cleanup;
    cln->data = hs;

    if (r->method != NGX_HTTP_POST) {
        return perm_http_self_get(hs);
    }

    ctx->self = hs;

    if (r->headers_in.content_length_n > PERM_REQUEST_BODY_MAX) {
        return perm_response_error(ctx, PERM_RESPONSE_TOO_LARGE,
                                   "the body has more than 16384 bytes");
    }

    r->request_body_in_single_buf = 1;

    rc = ngx_http_read_client_request_body(r, perm_http_self_post);

    return (rc >= NGX_HTTP_SPECIAL_RESPONSE) ? rc : NGX_DONE;
}


/* NGX_DECLINED: it is none of those */

static ngx_int_t
perm_http_self_method(perm_ctx_t *ctx)
{
    ngx_http_request_t  *r;

    r = ctx->request;

    if (r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD)) {
        return ngx_http_discard_request_body(r);
    }

    if (r->method == NGX_HTTP_POST && ctx->plcf->self_apply && r == r->main) {
        return NGX_OK;
    }

    return NGX_DECLINED;
}


/* the body comes first: the answer to a malformed one has no "Allow" */

static ngx_int_t
perm_http_self_not_allowed(perm_ctx_t *ctx)
{
    char       *reason;
    ngx_int_t   rc;
    ngx_str_t   allow;

    ctx->request->expect_tested = 1;

    rc = ngx_http_discard_request_body(ctx->request);
    if (rc != NGX_OK) {
        return rc;
    }

    if (ctx->plcf->self_apply) {
        ngx_str_set(&allow, "GET, HEAD, POST");
        reason = "this location answers GET, HEAD and POST";

    } else {
        ngx_str_set(&allow, "GET, HEAD");
        reason = "this location answers GET and HEAD";
    }

    if (perm_send_header(ctx->request, "Allow", &allow) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return perm_response_error(ctx, PERM_RESPONSE_NOT_ALLOWED, reason);
}


/* NGX_OK: there is an app that may ask for its own; else ctx->decision says */

static ngx_int_t
perm_http_self_app(perm_ctx_t *ctx)
{
    if (!ctx->pmcf->serving) {
        ctx->decision = perm_decision_unavailable(0);
        return NGX_DECLINED;
    }

    /* the resource does not matter here: any valid one */

    if (perm_decision_early(PERM_POLICY_REQUIRED, ctx->tuple.gateway,
                            perm_str("self"), ctx->tuple.app, &ctx->decision))
    {
        return NGX_DECLINED;
    }

    (void) perm_decision_early(PERM_POLICY_OPEN, ctx->tuple.gateway,
                               ctx->tuple.resource, ctx->tuple.app,
                               &ctx->decision);

    return NGX_OK;
}


static ngx_int_t
perm_http_self_get(perm_http_self_t *hs)
{
    ngx_int_t    rc;
    perm_ctx_t  *ctx;

    ctx = hs->ctx;

    if (ctx->pmcf->worker == NULL) {
        return perm_http_self_unavailable(ctx);
    }

    hs->self = perm_self_read(ctx->pmcf->worker->fetch, &ctx->pmcf->sync,
                              &ctx->tuple, ctx->request->pool, ngx_cycle->log,
                              perm_http_self_answered, hs);
    if (hs->self == NULL) {
        return perm_http_self_unavailable(ctx);
    }

    rc = perm_suspend_wait(ctx);

    if (rc != NGX_DONE) {
        perm_http_self_cleanup(hs);
    }

    return rc;
}


static void
perm_http_self_post(ngx_http_request_t *r)
{
    ngx_int_t          rc;
    perm_ctx_t        *ctx;
    perm_http_self_t  *hs;

    ctx = ngx_http_get_module_ctx(r, ngx_http_app_permission_module);
    hs = ctx->self;

    rc = perm_http_self_apply(hs);

    if (rc == NGX_AGAIN) {

        /* the reference of the body's reader is that of the wait */

        rc = perm_suspend_wait(ctx);

        if (rc == NGX_DONE) {
            r->main->count--;
            return;
        }

        perm_http_self_cleanup(hs);
    }

    ngx_http_finalize_request(r, rc);
}


/* NGX_AGAIN: Redis is asked */

static ngx_int_t
perm_http_self_apply(perm_http_self_t *hs)
{
    int                  too_many;
    perm_ctx_t          *ctx;
    perm_str_t           text, by;
    const char          *error;
    ngx_http_request_t  *r;
    char                 name[sizeof("app:") + PERM_APP_MAX];

    ctx = hs->ctx;
    r = ctx->request;

    switch (perm_http_self_body(r, &text)) {

    case NGX_OK:
        break;

    case NGX_DECLINED:
        return perm_response_error(ctx, PERM_RESPONSE_TOO_LARGE,
                                   "the body has more than 16384 bytes");

    default:
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    error = perm_request_body(text, &hs->body, &too_many);

    if (error && errno == ENOMEM) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (error) {
        return perm_response_error(ctx, too_many ? PERM_RESPONSE_TOO_LARGE
                                                 : PERM_RESPONSE_INVALID,
                                   error);
    }

    by.data = name;
    by.len = ngx_sprintf((u_char *) name, "app:%*s", ctx->tuple.app.len,
                         ctx->tuple.app.data)
             - (u_char *) name;

    hs->text = perm_request_text(hs->body.days, hs->body.reason, by);
    if (hs->text == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ctx->pmcf->worker == NULL) {
        return perm_http_self_unavailable(ctx);
    }

    hs->self = perm_self_ask(ctx->pmcf->worker->fetch, &ctx->pmcf->sync,
                             &ctx->tuple, r->pool, ngx_cycle->log, &hs->body,
                             hs->text, perm_http_self_answered, hs);

    return hs->self ? NGX_AGAIN : perm_http_self_unavailable(ctx);
}


/* NGX_OK, NGX_DECLINED: it is too large, or NGX_ERROR */

static ngx_int_t
perm_http_self_body(ngx_http_request_t *r, perm_str_t *text)
{
    u_char       *p, *last;
    size_t        len;
    off_t         size;
    ngx_buf_t    *b;
    ngx_chain_t  *cl, *bufs;

    bufs = r->request_body ? r->request_body->bufs : NULL;
    size = 0;

    for (cl = bufs; cl; cl = cl->next) {
        size += ngx_buf_size(cl->buf);
    }

    if (size > PERM_REQUEST_BODY_MAX) {
        return NGX_DECLINED;
    }

    p = ngx_pnalloc(r->pool, (size_t) size + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    last = p;

    for (cl = bufs; cl; cl = cl->next) {
        b = cl->buf;
        len = (size_t) ngx_buf_size(b);

        if (b->in_file) {
            if (ngx_read_file(b->file, last, len, b->file_pos)
                != (ssize_t) len)
            {
                return NGX_ERROR;
            }

        } else {
            ngx_memcpy(last, b->pos, len);
        }

        last += len;
    }

    text->data = (char *) p;
    text->len = last - p;

    return NGX_OK;
}


static void
perm_http_self_answered(void *data, ngx_int_t rc)
{
    perm_http_self_t *hs = data;

    perm_ctx_t          *ctx;
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    ctx = hs->ctx;
    r = ctx->request;
    c = r->connection;

    if (ngx_http_get_module_ctx(r, ngx_http_app_permission_module) != ctx) {
        /* the client has left, and "post_action" took the request over */
        return;
    }

    ngx_http_set_log_request(c->log, r);

    if (r->read_event_handler == ngx_http_test_reading) {
        r->read_event_handler = ngx_http_block_reading;
    }

    rc = (rc == NGX_OK) ? perm_http_self_send(hs)
                        : perm_http_self_unavailable(ctx);

    hs->self = NULL;

    ngx_http_finalize_request(r, rc);
    ngx_http_run_posted_requests(c);
}


static void
perm_http_self_cleanup(void *data)
{
    perm_http_self_t *hs = data;

    if (hs->self) {
        perm_self_cancel(hs->self);
        hs->self = NULL;
    }

    perm_request_body_free(&hs->body);
    ngx_memzero(&hs->body, sizeof(perm_request_body_t));

    free(hs->text);
    hs->text = NULL;
}


/* it was counted as "open" before Redis was asked */

static ngx_int_t
perm_http_self_unavailable(perm_ctx_t *ctx)
{
    ctx->decision = perm_decision_unavailable(0);

    perm_stats_add(&ctx->pmcf->stats->self.unavailable, 1);

    return perm_response_send(ctx);
}


static ngx_int_t
perm_http_self_send(perm_http_self_t *hs)
{
    ngx_uint_t      posted, requests;
    perm_ctx_t     *ctx;
    perm_tuple_t   *tuple;
    perm_writer_t   w;

    static ngx_str_t  nosniff = ngx_string("nosniff");
    static ngx_str_t  type = ngx_string("application/json; charset=utf-8");

    ctx = hs->ctx;
    tuple = &ctx->tuple;
    posted = (ctx->request->method == NGX_HTTP_POST);

    requests = perm_self_fields(hs->self, PERM_SELF_REQUESTS)->nfields;

    if (posted && requests == 0) {
        return perm_response_error(ctx, PERM_RESPONSE_CONFLICT,
                         perm_request_left_text(perm_self_left(hs->self)));
    }

    perm_writer_init(&w, ctx->request->pool);

    perm_writer_put(&w, "{\"app\":\"%*s\",\"gateway\":\"%*s\"",
                    tuple->app.len, tuple->app.data,
                    tuple->gateway.len, tuple->gateway.data);

    if (posted) {
        perm_stats_add(&ctx->pmcf->stats->self.requests, requests);

    } else {
        perm_stats_add(&ctx->pmcf->stats->self.shown, 1);
        perm_http_self_grants(&w, hs->self, ngx_time());
    }

    perm_http_self_requests(&w, hs->self);
    perm_writer_put(&w, "}" CRLF);

    if (perm_send_header(ctx->request, "X-Content-Type-Options", &nosniff)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return perm_send_body(ctx->request,
                          posted ? NGX_HTTP_ACCEPTED : NGX_HTTP_OK, &type, &w);
}


/*
 * Those that the gateway can read.  The end of their key is theirs as well, and
 * no renewal moves it.
 */

static void
perm_http_self_grants(perm_writer_t *w, perm_self_t *self, int64_t now)
{
    int64_t                 last, renewed, ttl, gone, expires;
    ngx_uint_t              i, n;
    perm_self_field_t      *field;
    perm_self_fields_t     *grants;
    perm_grant_details_t    details;

    grants = perm_self_fields(self, PERM_SELF_GRANTS);

    ttl = perm_self_ttl(self);
    gone = (ttl == PERM_GRANTS_ENDLESS) ? PERM_GRANTS_ENDLESS
                                        : now + (ttl + 999) / 1000;

    perm_writer_put(w, ",\"grants\":[");

    for (i = 0, n = 0; i < grants->nfields; i++) {
        field = &grants->fields[i];

        perm_grant_details(field->value, &details);

        if (details.grant.expires == PERM_GRANT_NO_MEMORY) {
            w->failed = 1;
        }

        if (details.grant.expires < 0 || gone <= now) {
            continue;
        }

        last = perm_http_self_used(self, field->resource, now);
        expires = ngx_min(details.grant.expires, gone);

        perm_writer_put(w, n++ ? ",{" : "{");
        perm_http_self_resource(w, field->resource);
        perm_writer_put(w, ",\"expires\":%L,\"expires_in\":%L,\"type\":",
                        expires, ngx_max(expires - now, 0));

        if (details.type[0]) {
            perm_writer_json(w, perm_str(details.type));

        } else {
            perm_writer_put(w, "null");
        }

        if (last < 0) {
            perm_writer_put(w, ",\"last_access\":null");

        } else {
            perm_writer_put(w, ",\"last_access\":%L", last);
        }

        perm_writer_put(w, ",\"renews\":%s}",
                        perm_writer_bool(expires < gone
                                         && perm_renewal_decide(&details.grant,
                                                last, now, PERM_TERM_DEFAULT,
                                                &renewed)
                                            == PERM_RENEWED));
    }

    perm_writer_put(w, "]");
}


/* unix seconds; of the whole gateway the newest over its resources */

static int64_t
perm_http_self_used(perm_self_t *self, perm_str_t resource, int64_t now)
{
    int64_t              last, second;
    ngx_uint_t           i;
    perm_self_fields_t  *accesses;

    accesses = perm_self_fields(self, PERM_SELF_ACCESSES);

    if (!perm_str_equal(resource, perm_str("-"))) {
        last = perm_http_self_second(perm_self_fields_find(accesses,
                                                           resource));
        return perm_renewal_last(last, now);
    }

    last = PERM_GRANT_ABSENT;

    for (i = 0; i < accesses->nfields; i++) {
        second = perm_http_self_second(accesses->fields[i].value);
        last = ngx_max(last, second);
    }

    return perm_renewal_last(last, now);
}


static int64_t
perm_http_self_second(perm_str_t score)
{
    char    *end, text[PERM_HTTP_SELF_NUMBER];
    double   second;

    if (score.len == 0 || score.len >= sizeof(text)) {
        return PERM_GRANT_ABSENT;
    }

    ngx_memcpy(text, score.data, score.len);
    text[score.len] = '\0';

    second = strtod(text, &end);

    /* infinity is no time, as for the command line */

    if (end != text + score.len || !(second >= 0) || isinf(second)) {
        return PERM_GRANT_ABSENT;
    }

    return (second < (double) PERM_GRANT_EXPIRES_MAX)
           ? (int64_t) second : PERM_GRANT_EXPIRES_MAX;
}


/* as they are stored; others than objects are left out */

static void
perm_http_self_requests(perm_writer_t *w, perm_self_t *self)
{
    ngx_uint_t           i, n;
    perm_str_t           value;
    perm_self_fields_t  *requests;

    requests = perm_self_fields(self, PERM_SELF_REQUESTS);

    perm_writer_put(w, ",\"requests\":[");

    for (i = 0, n = 0; i < requests->nfields; i++) {
        value = requests->fields[i].value;

        if (perm_request_read(value).status == PERM_REQUEST_UNREADABLE) {
            w->failed |= (errno == ENOMEM);
            continue;
        }

        perm_writer_put(w, n++ ? ",{" : "{");
        perm_http_self_resource(w, requests->fields[i].resource);
        perm_http_self_members(w, value);
        perm_writer_put(w, "}");
    }

    perm_writer_put(w, "]");
}


/* but for a "resource" of their own; bytes that are no JSON are escaped */

static void
perm_http_self_members(perm_writer_t *w, perm_str_t value)
{
    char                *text;
    cJSON               *json;
    perm_json_member_t   member;

    json = perm_json_parse(value);
    text = ngx_palloc(w->pool, PERM_JSON_ESCAPE * value.len);

    if (json == NULL || text == NULL) {
        cJSON_Delete(json);
        w->failed = 1;
        return;
    }

    member = perm_json_members(json, value);

    while (perm_json_next(&member)) {

        if (ngx_strcmp(member.item->string, "resource") == 0) {
            continue;
        }

        perm_writer_put(w, ",");
        perm_writer_text(w, text, perm_json_line(text, member.name));
        perm_writer_put(w, ":");
        perm_writer_text(w, text, perm_json_line(text, member.value));
    }

    ngx_pfree(w->pool, text);
    cJSON_Delete(json);
}


static void
perm_http_self_resource(perm_writer_t *w, perm_str_t resource)
{
    if (perm_str_equal(resource, perm_str("-"))) {
        perm_writer_put(w, "\"resource\":null");

    } else {
        perm_writer_put(w, "\"resource\":\"%*s\"", resource.len,
                        resource.data);
    }
}
