
#include "http/response.h"

#include "core/uri.h"
#include "http/send.h"
#include "resp/printable.h"


typedef struct {
    ngx_uint_t   status;
    ngx_str_t    code;
    char        *code_name;
    char        *message;
    char        *title;        /* of the problem type */
} perm_response_kind_t;


static ngx_int_t perm_response_write(perm_ctx_t *ctx,
    perm_response_kind_t *kind, const char *name, const char *reason,
    perm_str_t app);
static ngx_int_t perm_response_bkapi(perm_ctx_t *ctx,
    perm_response_kind_t *kind, const char *reason, perm_str_t app,
    perm_writer_t *w);
static ngx_int_t perm_response_problem(perm_ctx_t *ctx,
    perm_response_kind_t *kind, const char *name, const char *reason,
    perm_str_t app, perm_str_t help, perm_writer_t *w);
static perm_str_t perm_response_text(perm_ctx_t *ctx, const char *format,
    perm_response_kind_t *kind, const char *reason, perm_str_t app);
static ngx_int_t perm_response_help(perm_ctx_t *ctx, perm_str_t *help);
static void perm_response_help_invalid(perm_ctx_t *ctx, perm_str_t help);


static perm_response_kind_t  perm_response_deny = {
    NGX_HTTP_FORBIDDEN, ngx_string("1640301"), "APP_NO_PERMISSION",
    "App has no permission to the resource", "Forbidden"
};

static perm_response_kind_t  perm_response_unavailable = {
    NGX_HTTP_SERVICE_UNAVAILABLE, ngx_string("1650300"), "SERVICE_UNAVAILABLE",
    "Service Unavailable", "Service Unavailable"
};

static perm_response_kind_t  perm_response_bad_config = {
    NGX_HTTP_INTERNAL_SERVER_ERROR, ngx_string("1650002"),
    "INVALID_RESOURCE_CONFIG", "Resource configuration error",
    "Internal Server Error"
};


static perm_response_kind_t  perm_response_errors[] = {
    { NGX_HTTP_BAD_REQUEST, ngx_string("1640001"), "INVALID_ARGS",
      "Parameters error", "Bad Request" },
    { NGX_HTTP_REQUEST_ENTITY_TOO_LARGE, ngx_string("1640001"), "INVALID_ARGS",
      "Parameters error", "Content Too Large" },
    { NGX_HTTP_CONFLICT, ngx_string("1640901"), "CONFLICT",
      "Conflict", "Conflict" },
    { NGX_HTTP_NOT_ALLOWED, ngx_string("1640501"), "METHOD_NOT_ALLOWED",
      "Method not allowed", "Method Not Allowed" }
};


static char  *perm_response_reasons[PERM_REASONS] = {
    "",                                                     /* open */
    "",                                                     /* gateway_grant */
    "",                                                     /* resource_grant */
    "no app code",
    "invalid app code",
    "no permission, bk_app_code=",
    "permission has expired, type=gateway_permission, bk_app_code=",
    "permission has expired, type=resource_permission, bk_app_code=",
    "permission lookup failed",
    "policy, gateway or resource is not set"
};


static ngx_str_t  perm_response_json =
    ngx_string("application/json; charset=utf-8");
static ngx_str_t  perm_response_problem_json =
    ngx_string("application/problem+json");


/* perm_response_forget() knows these headers by where their names are */

static char  perm_response_expires_name[] = "X-App-Permission-Expires-In";
static char  perm_response_link_name[] = "Link";
static char  perm_response_caching_name[] = "Cache-Control";
static char  perm_response_decision_name[] = "X-App-Permission-Decision";
static char  perm_response_reason_name[] = "X-App-Permission-Reason";
static char  perm_response_cache_name[] = "X-App-Permission-Cache";

static char  *perm_response_names[] = {
    perm_response_expires_name,
    perm_response_link_name,
    perm_response_caching_name,
    perm_response_decision_name,
    perm_response_reason_name,
    perm_response_cache_name
};


ngx_int_t
perm_response_send(perm_ctx_t *ctx)
{
    char                  *reason;
    size_t                 len;
    perm_str_t             app;
    perm_response_kind_t  *kind;

    kind = (ctx->decision.outcome == PERM_DENY) ? &perm_response_deny
           : (ctx->decision.reason == PERM_UNAVAILABLE)
             ? &perm_response_unavailable : &perm_response_bad_config;

    /* a reason that ends with "=" is one of a valid app, which comes after */

    reason = perm_response_reasons[ctx->decision.reason];
    len = ngx_strlen(reason);
    app = (len && reason[len - 1] == '=') ? ctx->tuple.app : perm_str("");

    return perm_response_write(ctx, kind,
                               perm_decision_reason_name(ctx->decision.reason),
                               reason, app);
}


ngx_int_t
perm_response_error(perm_ctx_t *ctx, perm_response_error_t error,
    const char *reason)
{
    static const char  *names[] = {
        "invalid_args", "too_large", "conflict", "method_not_allowed"
    };

    return perm_response_write(ctx, &perm_response_errors[error], names[error],
                               reason, perm_str(""));
}


static ngx_int_t
perm_response_write(perm_ctx_t *ctx, perm_response_kind_t *kind,
    const char *name, const char *reason, perm_str_t app)
{
    ngx_int_t            rc;
    ngx_str_t           *type;
    perm_str_t           help;
    perm_writer_t        w;
    ngx_http_request_t  *r;

    r = ctx->request;

    if (ctx->plcf->error_format == PERM_ERROR_OFF) {

        return (perm_response_help(ctx, &help) == NGX_OK)
               ? (ngx_int_t) kind->status : NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /*
     * As nginx does for its own error pages: no "100 Continue".  The body comes
     * before our headers, which the answer to a malformed body must not have.
     */

    r->expect_tested = 1;

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    if (perm_response_help(ctx, &help) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    perm_writer_init(&w, r->pool);

    if (ctx->plcf->error_format == PERM_ERROR_PROBLEM) {
        type = &perm_response_problem_json;
        rc = perm_response_problem(ctx, kind, name, reason, app, help, &w);

    } else {
        type = &perm_response_json;
        rc = perm_response_bkapi(ctx, kind, reason, app, &w);
    }

    if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* also where "error_page" led the request here with another status */

    r->err_status = kind->status;

    rc = perm_send_body(r, kind->status, type, &w);

    if (ctx->content) {
        return rc;
    }

    ngx_http_finalize_request(r, rc);

    return NGX_DONE;
}


static ngx_int_t
perm_response_bkapi(perm_ctx_t *ctx, perm_response_kind_t *kind,
    const char *reason, perm_str_t app, perm_writer_t *w)
{
    ngx_str_t   value;
    perm_str_t  message;

    message = perm_response_text(ctx, "%s [reason=\"%s%*s\"]", kind, reason,
                                 app);
    if (message.data == NULL) {
        return NGX_ERROR;
    }

    perm_writer_put(w, "{\"code\":%V,\"code_name\":\"%s\",\"message\":",
                    &kind->code, kind->code_name);
    perm_writer_json(w, message);
    perm_writer_put(w, ",\"result\":false,\"data\":null}");

    if (perm_send_header(ctx->request, "X-Bkapi-Error-Code", &kind->code)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    value.data = (u_char *) message.data;
    value.len = message.len;

    return perm_send_header(ctx->request, "X-Bkapi-Error-Message", &value);
}


/* https://www.rfc-editor.org/rfc/rfc9457 */

static ngx_int_t
perm_response_problem(perm_ctx_t *ctx, perm_response_kind_t *kind,
    const char *name, const char *reason, perm_str_t app, perm_str_t help,
    perm_writer_t *w)
{
    perm_str_t     detail;
    perm_tuple_t  *tuple;

    tuple = &ctx->tuple;

    detail = perm_response_text(ctx, "%s: %s%*s", kind, reason, app);
    if (detail.data == NULL) {
        return NGX_ERROR;
    }

    perm_writer_put(w, "{\"type\":\"urn:app-permission:%s\","
                    "\"title\":\"%s\",\"status\":%ui,\"detail\":",
                    name, kind->title, kind->status);
    perm_writer_json(w, detail);

    if (perm_name_gateway_valid(tuple->gateway)) {
        perm_writer_put(w, ",\"gateway\":\"%*s\"", tuple->gateway.len,
                        tuple->gateway.data);
    }

    if (perm_name_resource_valid(tuple->resource)) {
        perm_writer_put(w, ",\"resource\":\"%*s\"", tuple->resource.len,
                        tuple->resource.data);
    }

    if (perm_name_app_valid(tuple->app)) {
        perm_writer_put(w, ",\"app\":\"%*s\"", tuple->app.len,
                        tuple->app.data);
    }

    if (help.len) {
        perm_writer_put(w, ",\"help\":");
        perm_writer_json(w, help);
    }

    perm_writer_put(w, "}");

    return NGX_OK;
}


/* the message, the reason and the app, as "format" has them; data NULL: memory
   is out */

static perm_str_t
perm_response_text(perm_ctx_t *ctx, const char *format,
    perm_response_kind_t *kind, const char *reason, perm_str_t app)
{
    u_char      *p;
    perm_str_t   text;

    p = ngx_pnalloc(ctx->request->pool,
                    ngx_strlen(kind->message) + ngx_strlen(reason) + app.len
                    + ngx_strlen(format));

    text.data = (char *) p;
    text.len = p ? (size_t) (ngx_sprintf(p, format, kind->message, reason,
                                         app.len, app.data)
                             - p)
                 : 0;

    return text;
}


/*
 * Where to apply, in the header https://www.rfc-editor.org/rfc/rfc8288 and for
 * the body.  *help is empty where there is nothing to apply for, or no valid
 * place to do so.  NGX_OK, or NGX_ERROR when memory is out.
 */

static ngx_int_t
perm_response_help(perm_ctx_t *ctx, perm_str_t *help)
{
    u_char                *p;
    ngx_str_t              value;
    perm_complex_value_t  *text;

    text = &ctx->plcf->help;
    *help = text->text;

    if (ctx->decision.reason != PERM_NO_GRANT
        && ctx->decision.reason != PERM_GATEWAY_GRANT_EXPIRED
        && ctx->decision.reason != PERM_RESOURCE_GRANT_EXPIRED)
    {
        help->len = 0;
        return NGX_OK;
    }

    if (!text->fixed
        && perm_complex_value_get(ctx->request, text, help) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (help->len && !perm_uri_reference_valid(*help)) {
        perm_response_help_invalid(ctx, *help);
        help->len = 0;
    }

    if (help->len == 0) {
        return NGX_OK;
    }

    p = ngx_pnalloc(ctx->request->pool,
                    help->len + sizeof("<>; rel=\"help\"") - 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    value.data = p;
    value.len = ngx_sprintf(p, "<%*s>; rel=\"help\"", help->len, help->data)
                - p;

    return perm_send_header(ctx->request, perm_response_link_name, &value);
}


/* once for each text of the directive: a caller may choose the value */

static void
perm_response_help_invalid(perm_ctx_t *ctx, perm_str_t help)
{
    char          value[512];
    uint64_t      hash;
    ngx_str_t    *text;
    perm_tuple_t  place;
    perm_zone_t  *zone;

    zone = ctx->pmcf->sync.zone.zone;
    text = &ctx->plcf->help.complex->value;

    place.gateway = perm_str("app_permission_help");
    place.resource = perm_str("");
    place.app.data = (char *) text->data;
    place.app.len = text->len;

    hash = perm_tuple_hash(&place, zone->seed);

    if (!perm_health_first(&zone->health, hash)) {
        return;
    }

    (void) perm_printable(value, sizeof(value), help, 1);

    ngx_log_error(NGX_LOG_WARN, ctx->request->connection->log, 0,
                  "app_permission: \"app_permission_help %V\" gave \"%s\", "
                  "which is no URI reference: the denial says nothing of "
                  "where to apply", text, value);
}


ngx_int_t
perm_response_decision(perm_ctx_t *ctx)
{
    ngx_uint_t   i;
    perm_str_t   text;
    ngx_str_t    value;

    struct {
        char        *name;
        perm_str_t   text;
    } headers[] = {
        { perm_response_decision_name,
          perm_str(perm_decision_outcome_name(ctx->decision.outcome)) },
        { perm_response_reason_name,
          perm_str(perm_decision_reason_name(ctx->decision.reason)) },
        { perm_response_cache_name, perm_ctx_cache_name(ctx->cache) }
    };

    if (perm_response_no_store(ctx->request) != NGX_OK) {
        return NGX_ERROR;
    }

    for (i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        text = headers[i].text;
        value.len = text.len;
        value.data = (u_char *) text.data;

        if (text.len
            && perm_send_header(ctx->request, headers[i].name, &value)
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


ngx_int_t
perm_response_no_store(ngx_http_request_t *r)
{
    static ngx_str_t  value = ngx_string("no-store");

    return perm_send_header(r, perm_response_caching_name, &value);
}


ngx_int_t
perm_response_expires_in(ngx_http_request_t *r, int64_t seconds)
{
    ngx_str_t  value;

    value.data = ngx_pnalloc(r->pool, NGX_INT64_LEN);
    if (value.data == NULL) {
        return NGX_ERROR;
    }

    value.len = ngx_sprintf(value.data, "%L", seconds) - value.data;

    return perm_send_header(r, perm_response_expires_name, &value);
}


void
perm_response_forget(ngx_http_request_t *r)
{
    ngx_uint_t        i, n;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    for (part = &r->headers_out.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            for (n = 0; n < sizeof(perm_response_names) / sizeof(char *); n++)
            {
                if (h[i].key.data == (u_char *) perm_response_names[n]) {
                    h[i].hash = 0;
                }
            }
        }
    }
}
