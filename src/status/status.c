
#include "status/status.h"

#include "http/send.h"
#include "status/accept.h"
#include "status/alerts.h"
#include "status/explain.h"
#include "status/json.h"
#include "status/page.h"
#include "status/prometheus.h"


typedef enum {
    PERM_STATUS_JSON = 0,
    PERM_STATUS_PROMETHEUS,
    PERM_STATUS_HTML,
    PERM_STATUS_FORMATS
} perm_status_format_t;


typedef struct {
    perm_status_format_t   format;
    ngx_uint_t             would_deny;    /* that list and nothing else */
    perm_lists_query_t     lists;
} perm_status_query_t;


static ngx_int_t perm_status_query(ngx_http_request_t *r,
    perm_status_query_t *query, const char **error);
static ngx_int_t perm_status_format(ngx_http_request_t *r,
    perm_status_query_t *query, const char **error);
static ngx_int_t perm_status_write(ngx_http_request_t *r, perm_writer_t *w,
    perm_status_query_t *query);
static void perm_status_sample(ngx_event_t *ev);


static struct {
    ngx_str_t              name;
    ngx_str_t              type;
} perm_status_formats[] = {
    { ngx_string("json"),
      ngx_string("application/json") },
    { ngx_string("prometheus"),
      ngx_string("text/plain; version=0.0.4; charset=utf-8") },
    { ngx_string("html"),
      ngx_string("text/html; charset=utf-8") }
};


ngx_int_t
perm_status_handler(ngx_http_request_t *r)
{
    ngx_int_t             rc;
    const char           *error;
    perm_writer_t         w;
    perm_status_query_t   query;

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

    if (r->uri.len > explain.len
        && ngx_memcmp(r->uri.data + r->uri.len - explain.len, explain.data,
                      explain.len) == 0)
    {
        return perm_explain(r);
    }

    rc = perm_status_query(r, &query, &error);

    if (rc == NGX_DECLINED) {
        return perm_send_error(r, NGX_HTTP_BAD_REQUEST, error);
    }

    perm_writer_init(&w, r->pool);

    if (rc != NGX_OK || perm_status_write(r, &w, &query) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return perm_send_content(r, NGX_HTTP_OK,
                             &perm_status_formats[query.format].type, &w);
}


/* NGX_OK, NGX_ERROR when memory is out, NGX_DECLINED with *error set */

static ngx_int_t
perm_status_query(ngx_http_request_t *r, perm_status_query_t *query,
    const char **error)
{
    ngx_int_t            n, rc;
    perm_str_t           limit, would_deny;
    perm_lists_query_t  *lists;

    rc = perm_status_format(r, query, error);
    if (rc != NGX_OK) {
        return rc;
    }

    lists = &query->lists;

    if (perm_send_argument(r, "would_deny", &would_deny) != NGX_OK
        || perm_send_argument(r, "gateway", &lists->gateway) != NGX_OK
        || perm_send_argument(r, "resource", &lists->resource) != NGX_OK
        || perm_send_argument(r, "limit", &limit) != NGX_OK)
    {
        return NGX_ERROR;
    }

    query->would_deny = (would_deny.len
                         && !(would_deny.len == 1 && *would_deny.data == '0'));

    n = limit.data ? ngx_atoi((u_char *) limit.data, limit.len)
                   : PERM_LISTS_LIMIT;
    lists->limit = n;

    if (n < 1 || n > PERM_LISTS_LIMIT_MAX
        || (lists->gateway.len && !perm_name_gateway_valid(lists->gateway))
        || (lists->resource.len && !perm_name_resource_valid(lists->resource)))
    {
        *error = "gateway and resource take a valid name, limit a number from "
                 "1 to 256";
        return NGX_DECLINED;
    }

    return NGX_OK;
}


static ngx_int_t
perm_status_format(ngx_http_request_t *r, perm_status_query_t *query,
    const char **error)
{
    ngx_str_t   *name;
    ngx_uint_t   i;
    perm_str_t   format;

    if (perm_send_argument(r, "format", &format) != NGX_OK) {
        return NGX_ERROR;
    }

    if (format.data == NULL) {
        query->format = perm_accept_html(r) ? PERM_STATUS_HTML
                                            : PERM_STATUS_JSON;
        return NGX_OK;
    }

    for (i = 0; i < PERM_STATUS_FORMATS; i++) {
        name = &perm_status_formats[i].name;

        if (format.len == name->len
            && ngx_memcmp(format.data, name->data, name->len) == 0)
        {
            query->format = i;
            return NGX_OK;
        }
    }

    *error = "unknown format: use json, prometheus or html";

    return NGX_DECLINED;
}


static ngx_int_t
perm_status_write(ngx_http_request_t *r, perm_writer_t *w,
    perm_status_query_t *query)
{
    perm_snapshot_t   *s;
    perm_main_conf_t  *pmcf;

    pmcf = ngx_http_get_module_main_conf(r, ngx_http_app_permission_module);

    perm_snapshot_note(pmcf->sync.zone.zone);

    if (query->would_deny && query->format == PERM_STATUS_JSON) {
        perm_status_json_would_deny(w, pmcf->sync.zone.zone, &query->lists);
        return NGX_OK;
    }

    s = perm_snapshot_take(pmcf, r->pool);
    if (s == NULL) {
        return NGX_ERROR;
    }

    perm_alerts_find(s, pmcf->sync.flush);

    switch (query->format) {

    case PERM_STATUS_PROMETHEUS:
        perm_status_prometheus(w, s);
        return NGX_OK;

    case PERM_STATUS_HTML:
        return perm_status_page(r, w, s, &query->lists);

    default:
        perm_status_json(w, s, &query->lists);
        return NGX_OK;
    }
}


void
perm_status_start(ngx_cycle_t *cycle)
{
    static ngx_event_t       timer;
    static ngx_connection_t  dumb;

    dumb.fd = (ngx_socket_t) -1;         /* debug logging prints it */

    timer.handler = perm_status_sample;
    timer.data = &dumb;
    timer.log = cycle->log;
    timer.cancelable = 1;

    if (!timer.timer_set) {
        ngx_add_timer(&timer, PERM_HISTORY_STEP * 1000);
    }
}


/* every worker tries: the first one adds the point */

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
