
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


static ngx_int_t perm_response_bkapi(perm_ctx_t *ctx,
    perm_response_kind_t *kind, perm_writer_t *w);
static void perm_response_problem(perm_ctx_t *ctx, perm_response_kind_t *kind,
    perm_str_t help, perm_writer_t *w);
static ngx_int_t perm_response_help(perm_ctx_t *ctx, perm_str_t *help);
static void perm_response_help_invalid(perm_ctx_t *ctx, perm_str_t help);
static char *perm_response_reason(perm_ctx_t *ctx, perm_str_t *app);


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

static char  perm_response_expires_name[] = "X-App-Permission-Expires-In";
static char  perm_response_link_name[] = "Link";


ngx_int_t
perm_response_send(perm_ctx_t *ctx)
{
    ngx_int_t              rc;
    ngx_str_t             *type;
    perm_str_t             help;
    perm_writer_t          w;
    ngx_http_request_t    *r;
    perm_response_kind_t  *kind;

    r = ctx->request;
    kind = (ctx->decision.outcome == PERM_DENY) ? &perm_response_deny
           : (ctx->decision.reason == PERM_UNAVAILABLE)
             ? &perm_response_unavailable : &perm_response_bad_config;

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
        perm_response_problem(ctx, kind, help, &w);

    } else {
        type = &perm_response_json;

        if (perm_response_bkapi(ctx, kind, &w) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
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
    perm_writer_t *w)
{
    char        *reason;
    ngx_str_t    message;
    perm_str_t   app, text;

    reason = perm_response_reason(ctx, &app);

    message.data = ngx_pnalloc(ctx->request->pool,
                               ngx_strlen(kind->message) + ngx_strlen(reason)
                               + app.len + sizeof(" [reason=\"\"]"));
    if (message.data == NULL) {
        return NGX_ERROR;
    }

    message.len = ngx_sprintf(message.data, "%s [reason=\"%s%*s\"]",
                              kind->message, reason, app.len, app.data)
                  - message.data;

    text.data = (char *) message.data;
    text.len = message.len;

    perm_writer_put(w, "{\"code\":%V,\"code_name\":\"%s\",\"message\":",
                    &kind->code, kind->code_name);
    perm_writer_json(w, text);
    perm_writer_put(w, ",\"result\":false,\"data\":null}");

    if (perm_send_header(ctx->request, "X-Bkapi-Error-Code", &kind->code)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return perm_send_header(ctx->request, "X-Bkapi-Error-Message", &message);
}


/* https://www.rfc-editor.org/rfc/rfc9457; none of its texts needs an escape */

static void
perm_response_problem(perm_ctx_t *ctx, perm_response_kind_t *kind,
    perm_str_t help, perm_writer_t *w)
{
    char          *reason;
    perm_str_t     app;
    perm_tuple_t  *tuple;

    tuple = &ctx->tuple;
    reason = perm_response_reason(ctx, &app);

    perm_writer_put(w, "{\"type\":\"urn:app-permission:%s\","
                    "\"title\":\"%s\",\"status\":%ui,"
                    "\"detail\":\"%s: %s%*s\"",
                    perm_decision_reason_name(ctx->decision.reason),
                    kind->title, kind->status,
                    kind->message, reason, app.len, app.data);

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


/* a reason that ends with "=" is one of a valid app, which comes after it */

static char *
perm_response_reason(perm_ctx_t *ctx, perm_str_t *app)
{
    char    *reason;
    size_t   len;

    reason = perm_response_reasons[ctx->decision.reason];
    len = ngx_strlen(reason);

    *app = (len && reason[len - 1] == '=') ? ctx->tuple.app : perm_str("");

    return reason;
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
        { "Cache-Control", perm_string("no-store") },
        { "X-App-Permission-Decision",
          perm_str(perm_decision_outcome_name(ctx->decision.outcome)) },
        { "X-App-Permission-Reason",
          perm_str(perm_decision_reason_name(ctx->decision.reason)) },
        { "X-App-Permission-Cache", perm_ctx_cache_name(ctx->cache) }
    };

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
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    for (part = &r->headers_out.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (h[i].key.data == (u_char *) perm_response_expires_name
                || h[i].key.data == (u_char *) perm_response_link_name)
            {
                h[i].hash = 0;
            }
        }
    }
}
