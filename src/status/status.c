
#include "status/status.h"

#include "status/explain.h"
#include "status/accept.h"
#include "status/form.h"
#include "http/send.h"


typedef enum {
    PERM_FORM_JSON = 0,
    PERM_FORM_PROMETHEUS,
    PERM_FORM_PAGE,
    PERM_FORM_UNKNOWN
} perm_form_t;


static ngx_int_t perm_status_form(ngx_http_request_t *r, perm_form_t *form);
static ngx_int_t perm_status_query(ngx_http_request_t *r,
    perm_status_query_t *query);
static ngx_int_t perm_status_list(ngx_http_request_t *r, ngx_uint_t *list);
static ngx_int_t perm_status_answer(ngx_http_request_t *r, perm_form_t form,
    perm_status_query_t *query);
static ngx_int_t perm_status_secure(ngx_http_request_t *r, u_char *nonce);
static void perm_status_sample(ngx_event_t *ev);


static ngx_str_t  perm_status_types[] = {
    ngx_string("application/json"),
    ngx_string("text/plain; version=0.0.4; charset=utf-8"),
    ngx_string("text/html; charset=utf-8")
};


ngx_int_t
perm_status_handler(ngx_http_request_t *r)
{
    ngx_int_t            rc;
    ngx_uint_t           would_deny;
    perm_form_t          form;
    perm_writer_t        w;
    perm_main_conf_t    *pmcf;
    perm_status_query_t  query;

    static ngx_str_t  allow = ngx_string("GET, HEAD");
    static ngx_str_t  explain = ngx_string("/explain");

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        if (perm_send_header(r, "Allow", &allow) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        return perm_send_error(r, NGX_HTTP_NOT_ALLOWED,
                               "the status answers GET and HEAD only");
    }

    pmcf = ngx_http_get_module_main_conf(r, ngx_http_app_permission_module);

    if (r->uri.len > explain.len
        && ngx_memcmp(r->uri.data + r->uri.len - explain.len, explain.data,
                      explain.len) == 0)
    {
        return perm_explain(r);
    }

    perm_snapshot_note(pmcf->sync.zone.zone);

    if (perm_status_form(r, &form) != NGX_OK
        || perm_status_list(r, &would_deny) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = perm_status_query(r, &query);

    if (rc == NGX_ERROR) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (form == PERM_FORM_UNKNOWN) {
        return perm_send_error(r, NGX_HTTP_BAD_REQUEST,
                               "unknown format: use json, prometheus or "
                               "html");
    }

    if (rc == NGX_DECLINED) {
        return perm_send_error(r, NGX_HTTP_BAD_REQUEST,
                               "gateway and resource take a valid name, "
                               "limit a number from 1 to 256");
    }

    if (would_deny && form == PERM_FORM_JSON) {
        perm_writer_init(&w, r->pool);
        perm_status_would_deny(&w, pmcf->sync.zone.zone, &query);
        return perm_send_content(r, NGX_HTTP_OK,
                                 &perm_status_types[PERM_FORM_JSON], &w);
    }

    return perm_status_answer(r, form, &query);
}


static ngx_int_t
perm_status_form(ngx_http_request_t *r, perm_form_t *form)
{
    ngx_uint_t  i;
    perm_str_t  format;

    static ngx_str_t  names[] = {
        ngx_string("json"),
        ngx_string("prometheus"),
        ngx_string("html")
    };

    if (perm_send_argument(r, "format", &format) != NGX_OK) {
        return NGX_ERROR;
    }

    if (format.data == NULL) {
        *form = perm_accept_html(r) ? PERM_FORM_PAGE : PERM_FORM_JSON;
        return NGX_OK;
    }

    for (i = 0; i < PERM_FORM_UNKNOWN; i++) {
        if (format.len == names[i].len
            && ngx_memcmp(format.data, names[i].data, format.len) == 0)
        {
            break;
        }
    }

    *form = i;

    return NGX_OK;
}


/* NGX_DECLINED: an argument is not what it should be */

static ngx_int_t
perm_status_query(ngx_http_request_t *r, perm_status_query_t *query)
{
    ngx_int_t   n;
    perm_str_t  limit;

    if (perm_send_argument(r, "gateway", &query->gateway) != NGX_OK
        || perm_send_argument(r, "resource", &query->resource) != NGX_OK
        || perm_send_argument(r, "limit", &limit) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if ((query->gateway.len && !perm_name_gateway_valid(query->gateway))
        || (query->resource.len && !perm_name_resource_valid(query->resource)))
    {
        return NGX_DECLINED;
    }

    query->limit = PERM_STATUS_LIST;

    if (limit.data) {
        n = ngx_atoi((u_char *) limit.data, limit.len);

        if (n < 1 || n > PERM_STATUS_LIST_MAX) {
            return NGX_DECLINED;
        }

        query->limit = n;
    }

    return NGX_OK;
}


/* ?would_deny=1: that list and nothing else */

static ngx_int_t
perm_status_list(ngx_http_request_t *r, ngx_uint_t *list)
{
    perm_str_t  value;

    if (perm_send_argument(r, "would_deny", &value) != NGX_OK) {
        return NGX_ERROR;
    }

    *list = (value.len && !(value.len == 1 && value.data[0] == '0'));

    return NGX_OK;
}


static ngx_int_t
perm_status_answer(ngx_http_request_t *r, perm_form_t form,
    perm_status_query_t *query)
{
    u_char            *nonce;
    perm_zone_t       *zone;
    perm_writer_t      w;
    perm_snapshot_t   *s;
    perm_main_conf_t  *pmcf;

    pmcf = ngx_http_get_module_main_conf(r, ngx_http_app_permission_module);
    zone = pmcf->sync.zone.zone;

    s = perm_snapshot_take(pmcf, r->pool);
    if (s == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    perm_writer_init(&w, r->pool);

    switch (form) {

    case PERM_FORM_PROMETHEUS:
        perm_status_prometheus(&w, s);
        break;

    case PERM_FORM_PAGE:
        nonce = ngx_pnalloc(r->pool, PERM_NONCE_LEN);

        if (nonce == NULL || perm_status_secure(r, nonce) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        perm_status_page(&w, s, zone, query, nonce);
        break;

    default:
        perm_status_json(&w, s, zone, query);
    }

    return perm_send_content(r, NGX_HTTP_OK, &perm_status_types[form], &w);
}


/* the page may do nothing but run what is in it and ask for its own status */

static ngx_int_t
perm_status_secure(ngx_http_request_t *r, u_char *nonce)
{
    u_char     noise[PERM_NONCE_LEN / 2], *p;
    ngx_fd_t   fd;
    ssize_t    n;
    ngx_str_t  policy;

    static ngx_str_t  no_referrer = ngx_string("no-referrer");
    static char       format[] =
        "default-src 'none'; style-src 'nonce-%*s'; script-src 'nonce-%*s'; "
        "connect-src 'self'; img-src data:; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'";

    n = -1;
    fd = ngx_open_file((u_char *) "/dev/urandom", NGX_FILE_RDONLY,
                       NGX_FILE_OPEN, 0);

    if (fd != NGX_INVALID_FILE) {
        n = read(fd, noise, sizeof(noise));
        (void) ngx_close_file(fd);
    }

    if (n != (ssize_t) sizeof(noise)) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, ngx_errno,
                      "no random bytes from \"/dev/urandom\" for the status "
                      "page: use \"?format=json\"");
        return NGX_ERROR;
    }

    (void) ngx_hex_dump(nonce, noise, sizeof(noise));

    policy.data = ngx_pnalloc(r->pool, sizeof(format) + 2 * PERM_NONCE_LEN);
    if (policy.data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_sprintf(policy.data, format, (size_t) PERM_NONCE_LEN, nonce,
                    (size_t) PERM_NONCE_LEN, nonce);
    policy.len = p - policy.data;

    if (perm_send_header(r, "Content-Security-Policy", &policy) != NGX_OK) {
        return NGX_ERROR;
    }

    return perm_send_header(r, "Referrer-Policy", &no_referrer);
}


void
perm_status_start(ngx_cycle_t *cycle)
{
    static ngx_event_t       timer;
    static ngx_connection_t  dumb;

    /* what debug logging looks at */
    dumb.fd = (ngx_socket_t) -1;

    timer.handler = perm_status_sample;
    timer.data = &dumb;
    timer.log = cycle->log;
    timer.cancelable = 1;

    if (!timer.timer_set) {
        ngx_add_timer(&timer, PERM_HISTORY_STEP * 1000);
    }
}


/* every worker tries: whichever comes first has the point to add */

static void
perm_status_sample(ngx_event_t *ev)
{
    perm_main_conf_t  *pmcf;

    pmcf = ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                               ngx_http_app_permission_module);

    if (ngx_exiting || pmcf == NULL || pmcf->sync.zone.zone == NULL) {
        return;
    }

    perm_snapshot_note(pmcf->sync.zone.zone);

    ngx_add_timer(ev, PERM_HISTORY_STEP * 1000);
}
