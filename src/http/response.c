
#include "http/response.h"


typedef struct {
    ngx_uint_t   status;
    ngx_str_t    code;
    ngx_str_t    code_name;
    ngx_str_t    message;
    ngx_str_t    title;        /* of the problem type */
} perm_grants_reply_t;


static perm_grants_reply_t *perm_response_answer(perm_ctx_t *ctx);
static ngx_int_t perm_response_bkapi(ngx_http_request_t *r,
    perm_grants_reply_t *answer, perm_ctx_t *ctx, ngx_str_t *body);
static ngx_int_t perm_response_problem(ngx_http_request_t *r,
    perm_grants_reply_t *answer, perm_ctx_t *ctx, ngx_str_t *body);
static u_char *perm_response_member(u_char *p, char *name, perm_str_t value,
    int valid);
static ngx_int_t perm_response_reason(ngx_http_request_t *r,
    perm_ctx_t *ctx, ngx_str_t *reason);
static ngx_int_t perm_response_body(ngx_http_request_t *r,
    perm_grants_reply_t *answer, ngx_str_t *type, ngx_str_t *body);
static ngx_int_t perm_response_header(ngx_http_request_t *r, ngx_str_t *name,
    ngx_str_t *value);


static perm_grants_reply_t  perm_grants_reply_deny = {
    NGX_HTTP_FORBIDDEN,
    ngx_string("1640301"),
    ngx_string("APP_NO_PERMISSION"),
    ngx_string("App has no permission to the resource"),
    ngx_string("Forbidden")
};


static perm_grants_reply_t  perm_grants_reply_unavailable = {
    NGX_HTTP_SERVICE_UNAVAILABLE,
    ngx_string("1650300"),
    ngx_string("SERVICE_UNAVAILABLE"),
    ngx_string("Service Unavailable"),
    ngx_string("Service Unavailable")
};


static perm_grants_reply_t  perm_grants_reply_bad_config = {
    NGX_HTTP_INTERNAL_SERVER_ERROR,
    ngx_string("1650002"),
    ngx_string("INVALID_RESOURCE_CONFIG"),
    ngx_string("Resource configuration error"),
    ngx_string("Internal Server Error")
};


/* the reason's text, and whether the app's name follows it */

typedef struct {
    ngx_str_t    text;
    ngx_uint_t   app;
} perm_reason_text_t;


static perm_reason_text_t  perm_reason_texts[PERM_REASONS] = {
    { ngx_null_string, 0 },                                 /* open */
    { ngx_null_string, 0 },                                 /* gateway_grant */
    { ngx_null_string, 0 },                                 /* resource_grant */
    { ngx_string("no app code"), 0 },
    { ngx_string("invalid app code"), 0 },
    { ngx_string("no permission, bk_app_code="), 1 },
    { ngx_string("permission has expired, type=gateway_permission, "
                 "bk_app_code="), 1 },
    { ngx_string("permission has expired, type=resource_permission, "
                 "bk_app_code="), 1 },
    { ngx_string("permission lookup failed"), 0 },
    { ngx_string("policy, gateway or resource is not set"), 0 }
};


static ngx_str_t  perm_type_json =
    ngx_string("application/json; charset=utf-8");
static ngx_str_t  perm_type_problem = ngx_string("application/problem+json");

static ngx_str_t  perm_header_code = ngx_string("X-Bkapi-Error-Code");
static ngx_str_t  perm_header_message = ngx_string("X-Bkapi-Error-Message");
static ngx_str_t  perm_header_expires_in =
    ngx_string("X-App-Permission-Expires-In");


ngx_int_t
perm_response_send(ngx_http_request_t *r, perm_loc_conf_t *plcf,
    perm_ctx_t *ctx)
{
    ngx_int_t             rc;
    ngx_str_t             body, *type;
    perm_grants_reply_t  *answer;

    answer = perm_response_answer(ctx);

    if (plcf->error_format == PERM_ERROR_OFF) {
        return answer->status;
    }

    /* as nginx's own error pages: no "100 Continue"; and before the headers,
       which a body that is none does not get */

    r->expect_tested = 1;

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    if (plcf->error_format == PERM_ERROR_PROBLEM) {
        type = &perm_type_problem;
        rc = perm_response_problem(r, answer, ctx, &body);

    } else {
        type = &perm_type_json;
        rc = perm_response_bkapi(r, answer, ctx, &body);
    }

    if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* even where the request came here for another error's page */

    r->err_status = answer->status;

    ngx_http_finalize_request(r, perm_response_body(r, answer, type, &body));

    return NGX_DONE;
}


static perm_grants_reply_t *
perm_response_answer(perm_ctx_t *ctx)
{
    if (ctx->decision.outcome == PERM_DENY) {
        return &perm_grants_reply_deny;
    }

    if (ctx->decision.reason == PERM_UNAVAILABLE) {
        return &perm_grants_reply_unavailable;
    }

    return &perm_grants_reply_bad_config;
}


static ngx_int_t
perm_response_bkapi(ngx_http_request_t *r, perm_grants_reply_t *answer,
    perm_ctx_t *ctx, ngx_str_t *body)
{
    u_char     *p;
    ngx_str_t   message, reason;

    if (perm_response_reason(r, ctx, &reason) != NGX_OK) {
        return NGX_ERROR;
    }

    message.data = ngx_pnalloc(r->pool, answer->message.len + reason.len
                                        + sizeof(" [reason=\"\"]"));
    if (message.data == NULL) {
        return NGX_ERROR;
    }

    message.len = ngx_sprintf(message.data, "%V [reason=\"%V\"]",
                              &answer->message, &reason)
                  - message.data;

    body->data = ngx_pnalloc(r->pool, message.len + 256);
    if (body->data == NULL) {
        return NGX_ERROR;
    }

    /* none of these texts has a byte to escape, but for the two quotes */

    p = ngx_sprintf(body->data, "{\"code\":%V,\"code_name\":\"%V\","
                    "\"message\":\"%V [reason=\\\"%V\\\"]\","
                    "\"result\":false,\"data\":null}",
                    &answer->code, &answer->code_name, &answer->message,
                    &reason);

    body->len = p - body->data;

    if (perm_response_header(r, &perm_header_code, &answer->code) != NGX_OK) {
        return NGX_ERROR;
    }

    return perm_response_header(r, &perm_header_message, &message);
}


/* https://www.rfc-editor.org/rfc/rfc9457 */

static ngx_int_t
perm_response_problem(ngx_http_request_t *r, perm_grants_reply_t *answer,
    perm_ctx_t *ctx, ngx_str_t *body)
{
    u_char      *p;
    ngx_str_t    reason;
    perm_str_t   type;

    if (perm_response_reason(r, ctx, &reason) != NGX_OK) {
        return NGX_ERROR;
    }

    type = perm_decision_reason_name(ctx->decision.reason);

    body->data = ngx_pnalloc(r->pool, answer->message.len + reason.len
                                      + PERM_TUPLE_MAX + 256);
    if (body->data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_sprintf(body->data, "{\"type\":\"urn:app-permission:%*s\","
                    "\"title\":\"%V\",\"status\":%ui,"
                    "\"detail\":\"%V: %V\"",
                    type.len, type.data, &answer->title, answer->status,
                    &answer->message, &reason);

    p = perm_response_member(p, "gateway", ctx->tuple.gateway,
                             perm_name_gateway_valid(ctx->tuple.gateway));
    p = perm_response_member(p, "resource", ctx->tuple.resource,
                             perm_name_resource_valid(ctx->tuple.resource));
    p = perm_response_member(p, "app", ctx->tuple.app,
                             perm_name_app_valid(ctx->tuple.app));
    *p++ = '}';

    body->len = p - body->data;

    return NGX_OK;
}


static u_char *
perm_response_member(u_char *p, char *name, perm_str_t value, int valid)
{
    if (!valid) {
        return p;
    }

    return ngx_sprintf(p, ",\"%s\":\"%*s\"", name, value.len, value.data);
}


static ngx_int_t
perm_response_reason(ngx_http_request_t *r, perm_ctx_t *ctx,
    ngx_str_t *reason)
{
    u_char              *p;
    perm_str_t           app;
    perm_reason_text_t  *text;

    text = &perm_reason_texts[ctx->decision.reason];

    if (!text->app) {
        *reason = text->text;
        return NGX_OK;
    }

    /* valid here: other names have reasons of their own */

    app = ctx->tuple.app;

    reason->len = text->text.len + app.len;
    reason->data = ngx_pnalloc(r->pool, reason->len);

    if (reason->data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(reason->data, text->text.data, text->text.len);
    ngx_memcpy(p, app.data, app.len);

    return NGX_OK;
}


static ngx_int_t
perm_response_body(ngx_http_request_t *r, perm_grants_reply_t *answer,
    ngx_str_t *type, ngx_str_t *body)
{
    ngx_int_t     rc;
    ngx_buf_t    *b;
    ngx_chain_t   out;

    r->headers_out.status = answer->status;
    r->headers_out.content_length_n = body->len;
    r->headers_out.content_type = *type;
    r->headers_out.content_type_len = type->len;
    r->headers_out.content_type_lowcase = NULL;

    if (type == &perm_type_json) {
        /* told apart, so that "charset" adds no second one */
        r->headers_out.content_type_len = sizeof("application/json") - 1;
        ngx_str_set(&r->headers_out.charset, "utf-8");
    }

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->pos = body->data;
    b->last = body->data + body->len;
    b->memory = 1;
    b->last_buf = 1;
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
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

    return perm_response_header(r, &perm_header_expires_in, &value);
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
            if (h[i].key.data == perm_header_expires_in.data) {
                h[i].hash = 0;
            }
        }
    }
}


static ngx_int_t
perm_response_header(ngx_http_request_t *r, ngx_str_t *name, ngx_str_t *value)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    h->hash = 1;
    h->key = *name;
    h->value = *value;
#if (nginx_version >= 1023000)
    h->next = NULL;
#endif

    return NGX_OK;
}
