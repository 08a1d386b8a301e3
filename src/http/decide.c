
#include "http/decide.h"

#include "http/handler.h"
#include "http/response.h"
#include "resp/printable.h"


#define PERM_DECIDE_NAME_MAX   128   /* bytes of a name in the log */
#define PERM_DECIDE_LOG_EVERY  60    /* seconds */


static ngx_int_t perm_decide_begin(ngx_http_request_t *r);
static ngx_int_t perm_decide_allowed(ngx_http_request_t *r);
static ngx_int_t perm_decide_argument_twice(ngx_http_request_t *r,
    ngx_str_t *twice);
static void perm_decide_log_twice(ngx_http_request_t *r, const char *what,
    ngx_str_t *name, time_t *logged);
static int ngx_libc_cdecl perm_decide_compare(const void *one,
    const void *two);
static ngx_str_t *perm_decide_header_twice(ngx_http_request_t *r,
    ngx_array_t *names);
static ngx_uint_t perm_decide_header_named(ngx_str_t *header,
    ngx_str_t *name);
static ngx_int_t perm_decide_unescape(ngx_pool_t *pool, perm_str_t *text);


ngx_int_t
perm_decide_handler(ngx_http_request_t *r)
{
    ngx_int_t    rc;
    perm_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_app_permission_module);

    if (ctx == NULL) {
        rc = perm_decide_begin(r);

    } else {
        rc = perm_handler_decide(ctx);
    }

    return (rc == NGX_DECLINED) ? perm_decide_allowed(r) : rc;
}


static ngx_int_t
perm_decide_begin(ngx_http_request_t *r)
{
    ngx_int_t      rc;
    ngx_str_t      twice, *header;
    perm_ctx_t    *ctx;
    perm_tuple_t  *tuple;

    static time_t  argument_logged, header_logged;

    /* nobody reads the body: no "100 Continue" */

    r->expect_tested = 1;

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    ctx = perm_handler_open(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->content = 1;

    if (ctx->policy == PERM_POLICY_OFF) {
        return perm_handler_decide(ctx);
    }

    tuple = &ctx->tuple;

    if (perm_decide_unescape(r->pool, &tuple->gateway) != NGX_OK
        || perm_decide_unescape(r->pool, &tuple->resource) != NGX_OK
        || perm_decide_unescape(r->pool, &tuple->app) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = perm_decide_argument_twice(r, &twice);

    if (rc == NGX_ERROR) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (rc) {
        /* the gateway may have meant the one, and nginx takes the other */

        ctx->policy = PERM_POLICY_INVALID;
        ctx->twice = 1;
        perm_decide_log_twice(r, "query argument", &twice, &argument_logged);
        return perm_handler_decide(ctx);
    }

    header = perm_decide_header_twice(r, ctx->plcf->app_headers);

    if (header) {

        /* nginx joins them from 1.23.0 on, which gives no valid name */

        tuple->app = perm_str(", ");
        perm_decide_log_twice(r, "header of $http_", header, &header_logged);
    }

    return perm_handler_decide(ctx);
}


/* once a minute for each worker: a caller may send any number of them */

static void
perm_decide_log_twice(ngx_http_request_t *r, const char *what,
    ngx_str_t *name, time_t *logged)
{
    char        text[PERM_DECIDE_NAME_MAX];
    perm_str_t  bytes;

    if (*logged && ngx_time() - *logged < PERM_DECIDE_LOG_EVERY) {
        return;
    }

    *logged = ngx_time();
    bytes.data = (char *) name->data;
    bytes.len = name->len;

    (void) perm_printable(text, sizeof(text), bytes, 1);

    ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                  "app_permission: app_permission_decide got the %s \"%s\" "
                  "twice, and refuses such calls: whoever asks must send "
                  "one, and strip those of the caller", what, text);
}


static ngx_int_t
perm_decide_allowed(ngx_http_request_t *r)
{
    static ngx_str_t                 none = ngx_null_string;
    static ngx_http_complex_value_t  empty;

    /* also where "error_page" led the request here with another status */

    r->err_status = NGX_HTTP_OK;

    return ngx_http_send_response(r, NGX_HTTP_OK, &none, &empty);
}


/*
 * 1: two arguments have the same name, without case, as $arg_NAME finds them.
 * Sorted, since a caller may send thousands.  NGX_ERROR: memory is out.
 */

static ngx_int_t
perm_decide_argument_twice(ngx_http_request_t *r, ngx_str_t *twice)
{
    u_char       *p, *end, *last;
    ngx_str_t    *name;
    ngx_uint_t    i;
    ngx_array_t   names;

    if (r->args.len == 0) {
        return 0;
    }

    if (ngx_array_init(&names, r->pool, 8, sizeof(ngx_str_t)) != NGX_OK) {
        return NGX_ERROR;
    }

    end = r->args.data + r->args.len;

    for (p = r->args.data; p < end; p = last + 1) {

        last = ngx_strlchr(p, end, '&');
        last = last ? last : end;

        if (last == p) {
            continue;
        }

        name = ngx_array_push(&names);
        if (name == NULL) {
            return NGX_ERROR;
        }

        name->data = p;
        p = ngx_strlchr(p, last, '=');
        name->len = (p ? p : last) - name->data;
    }

    name = names.elts;

    ngx_qsort(name, names.nelts, sizeof(ngx_str_t), perm_decide_compare);

    for (i = 1; i < names.nelts; i++) {
        if (perm_decide_compare(&name[i - 1], &name[i]) == 0) {
            *twice = name[i];
            return 1;
        }
    }

    return 0;
}


static int ngx_libc_cdecl
perm_decide_compare(const void *one, const void *two)
{
    const ngx_str_t *a = one;
    const ngx_str_t *b = two;

    if (a->len != b->len) {
        return (a->len < b->len) ? -1 : 1;
    }

    return ngx_strncasecmp(a->data, b->data, a->len);
}


/* the name of the variable, or NULL */

static ngx_str_t *
perm_decide_header_twice(ngx_http_request_t *r, ngx_array_t *names)
{
    ngx_str_t        *name;
    ngx_uint_t        i, j, found;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    name = names->elts;

    for (i = 0; i < names->nelts; i++) {
        found = 0;

        for (part = &r->headers_in.headers.part; part; part = part->next) {
            h = part->elts;

            for (j = 0; j < part->nelts; j++) {
                found += perm_decide_header_named(&h[j].key, &name[i]);
            }
        }

        if (found > 1) {
            return &name[i];
        }
    }

    return NULL;
}


/* the name is that of the variable: lower case, "_" for "-" */

static ngx_uint_t
perm_decide_header_named(ngx_str_t *header, ngx_str_t *name)
{
    u_char  c;
    size_t  i;

    if (header->len != name->len) {
        return 0;
    }

    for (i = 0; i < name->len; i++) {
        c = ngx_tolower(header->data[i]);

        if ((c == '-' ? '_' : c) != name->data[i]) {
            return 0;
        }
    }

    return 1;
}


/*
 * A "%" that two hexadecimal digits do not follow stays, and the name is not
 * valid with it.  The text is of a variable, which others read, too.
 */

static ngx_int_t
perm_decide_unescape(ngx_pool_t *pool, perm_str_t *text)
{
    u_char      *p, *dst;
    size_t       i;
    ngx_int_t    c;

    if (text->len == 0 || ngx_strlchr((u_char *) text->data,
                                      (u_char *) text->data + text->len, '%')
                          == NULL)
    {
        return NGX_OK;
    }

    dst = ngx_pnalloc(pool, text->len);
    if (dst == NULL) {
        return NGX_ERROR;
    }

    p = dst;

    for (i = 0; i < text->len; i++) {
        *p = text->data[i];

        if (*p == '%' && text->len - i > 2) {
            c = ngx_hextoi((u_char *) text->data + i + 1, 2);

            if (c != NGX_ERROR) {
                *p = (u_char) c;
                i += 2;
            }
        }

        p++;
    }

    text->data = (char *) dst;
    text->len = p - dst;

    return NGX_OK;
}
