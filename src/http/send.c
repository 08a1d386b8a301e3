
#include "http/send.h"


static void perm_send_type(ngx_http_request_t *r, ngx_str_t *type);


static ngx_str_t  perm_type_json = ngx_string("application/json");


ngx_int_t
perm_send_header(ngx_http_request_t *r, char *name, ngx_str_t *value)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    h->hash = 1;
    h->key.data = (u_char *) name;
    h->key.len = ngx_strlen(name);
    h->value = *value;
#if (nginx_version >= 1023000)
    h->next = NULL;
#endif

    return NGX_OK;
}


ngx_int_t
perm_send_body(ngx_http_request_t *r, ngx_uint_t status, ngx_str_t *type,
    perm_writer_t *w)
{
    ngx_int_t     rc;
    ngx_chain_t  *out;

    out = perm_writer_finish(w);
    if (out == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* the end of a subrequest is not that of the response */

    w->buf->last_buf = (r == r->main);

    r->headers_out.status = status;
    r->headers_out.content_length_n = w->size;
    perm_send_type(r, type);

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    return ngx_http_output_filter(r, out);
}


/* nginx keeps the charset apart, and would add a second one */

static void
perm_send_type(ngx_http_request_t *r, ngx_str_t *type)
{
    u_char  *p;

    r->headers_out.content_type = *type;
    r->headers_out.content_type_len = type->len;
    r->headers_out.content_type_lowcase = NULL;

    p = ngx_strlchr(type->data, type->data + type->len, ';');

    if (p) {
        r->headers_out.content_type_len = p - type->data;
        ngx_str_set(&r->headers_out.charset, "utf-8");
    }
}


ngx_int_t
perm_send_content(ngx_http_request_t *r, ngx_uint_t status, ngx_str_t *type,
    perm_writer_t *w)
{
    static ngx_str_t  no_store = ngx_string("no-store");
    static ngx_str_t  nosniff = ngx_string("nosniff");

    if (perm_send_header(r, "Cache-Control", &no_store) != NGX_OK
        || perm_send_header(r, "X-Content-Type-Options", &nosniff) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return perm_send_body(r, status, type, w);
}


ngx_int_t
perm_send_error(ngx_http_request_t *r, ngx_uint_t status, const char *text)
{
    perm_writer_t  w;

    perm_writer_init(&w, r->pool);

    perm_writer_put(&w, "{\"error\":");
    perm_writer_json(&w, perm_str(text));
    perm_writer_put(&w, "}" CRLF);

    return perm_send_content(r, status, &perm_type_json, &w);
}


ngx_int_t
perm_send_argument(ngx_http_request_t *r, char *name, perm_str_t *value)
{
    u_char     *dst, *src;
    ngx_str_t   raw;

    value->len = 0;
    value->data = NULL;

    if (ngx_http_arg(r, (u_char *) name, ngx_strlen(name), &raw) != NGX_OK) {
        return NGX_OK;
    }

    dst = ngx_pnalloc(r->pool, raw.len + 1);
    if (dst == NULL) {
        return NGX_ERROR;
    }

    value->data = (char *) dst;

    src = raw.data;
    ngx_unescape_uri(&dst, &src, raw.len, 0);

    value->len = dst - (u_char *) value->data;

    return NGX_OK;
}
