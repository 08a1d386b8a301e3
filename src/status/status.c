
#include "status/status.h"

#include "http/send.h"
#include "status/alerts.h"
#include "status/explain.h"
#include "status/host.h"
#include "status/json.h"
#include "status/page.h"
#include "status/prometheus.h"


#define PERM_STATUS_OFFSET_MAX  1000000


typedef enum {
    PERM_STATUS_ITSELF = 0,
    PERM_STATUS_EXPLAIN,
    PERM_STATUS_NO_PAGE
} perm_status_page_t;


typedef enum {
    PERM_STATUS_JSON = 0,
    PERM_STATUS_CSV,
    PERM_STATUS_PROMETHEUS,
    PERM_STATUS_HTML,
    PERM_STATUS_FORMATS
} perm_status_format_t;


typedef struct {
    perm_status_format_t   format;
    perm_lists_query_t    lists;
} perm_status_query_t;


static perm_status_page_t perm_status_find(ngx_http_request_t *r);
static ngx_int_t perm_status_query(ngx_http_request_t *r,
    perm_status_query_t *query, const char **error);
static ngx_int_t perm_status_number(perm_str_t argument, ngx_int_t min,
    ngx_int_t max, ngx_uint_t *number);
static ngx_uint_t perm_status_wants_html(ngx_http_request_t *r);
static ngx_uint_t perm_status_quality(ngx_http_variable_value_t *accept,
    char *type);
static ngx_int_t perm_status_write(ngx_http_request_t *r, perm_writer_t *w,
    perm_status_query_t *query);
static void perm_status_sample(ngx_event_t *ev);


static struct {
    const char            *name;
    ngx_str_t              type;
} perm_status_formats[] = {
    { "json", ngx_string("application/json") },
    { "csv", ngx_string("text/csv; charset=utf-8") },
    { "prometheus", ngx_string("text/plain; version=0.0.4; charset=utf-8") },
    { "html", ngx_string("text/html; charset=utf-8") }
};


ngx_int_t
perm_status_handler(ngx_http_request_t *r)
{
    ngx_int_t             rc;
    const char           *error;
    perm_writer_t         w;
    perm_loc_conf_t      *plcf;
    perm_status_query_t   query;

    static ngx_str_t  allow = ngx_string("GET, HEAD");

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    plcf = ngx_http_get_module_loc_conf(r, ngx_http_app_permission_module);

    if (!plcf->any_host && !perm_host_allowed(r, plcf->hosts)) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "app_permission: the status does not answer under this "
                      "host name, see \"app_permission_status\"");

        return perm_send_error(r, NGX_HTTP_FORBIDDEN,
                               "the status answers under localhost, an address "
                               "or a server_name of its server only; to have "
                               "it answer under this host name, too, configure "
                               "\"app_permission_status hosts=NAME;\" with it");
    }

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        if (perm_send_header(r, "Allow", &allow) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        return perm_send_error(r, NGX_HTTP_NOT_ALLOWED,
                               "the status answers GET and HEAD only");
    }

    switch (perm_status_find(r)) {

    case PERM_STATUS_EXPLAIN:
        return perm_explain(r);

    case PERM_STATUS_NO_PAGE:
        return perm_send_error(r, NGX_HTTP_NOT_FOUND,
                               "below the status there is \"explain\", and "
                               "nothing else");
    default:
        break;
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


/*
 * A regular expression, a named location or a URI that was rewritten does not
 * tell where the status begins: there every URI is the status.
 */

static perm_status_page_t
perm_status_find(ngx_http_request_t *r)
{
    u_char                    *rest, *last;
    ngx_str_t                  name;
    perm_status_page_t         page;
    ngx_http_core_loc_conf_t  *clcf;

    static ngx_str_t  explain = ngx_string("/explain");

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    name = clcf->name;
    last = r->uri.data + r->uri.len;

    page = (r->uri.len > explain.len
            && ngx_strncmp(last - explain.len, explain.data, explain.len) == 0)
           ? PERM_STATUS_EXPLAIN : PERM_STATUS_ITSELF;

#if (NGX_PCRE)
    if (clcf->regex) {
        return page;
    }
#endif

    if (clcf->named
        || r->uri.len < name.len
        || ngx_strncmp(r->uri.data, name.data, name.len) != 0)
    {
        return page;
    }

    if (name.len && name.data[name.len - 1] == '/') {
        name.len--;
    }

    rest = r->uri.data + name.len;

    if (rest == last || (last - rest == 1 && *rest == '/')) {
        return page;
    }

    return (page == PERM_STATUS_EXPLAIN && rest == last - explain.len)
           ? page : PERM_STATUS_NO_PAGE;
}


/* NGX_OK, NGX_ERROR when memory is out, NGX_DECLINED with *error set */

static ngx_int_t
perm_status_query(ngx_http_request_t *r, perm_status_query_t *query,
    const char **error)
{
    ngx_uint_t           i;
    perm_str_t           format, refused, would_deny, limit, offset;
    perm_lists_query_t  *lists;

    static perm_str_t  none = { 1, "0" };

    lists = &query->lists;

    if (perm_send_argument(r, "format", &format) != NGX_OK
        || perm_send_argument(r, "refused", &refused) != NGX_OK
        || perm_send_argument(r, "would_deny", &would_deny) != NGX_OK
        || perm_send_argument(r, "gateway", &lists->gateway) != NGX_OK
        || perm_send_argument(r, "resource", &lists->resource) != NGX_OK
        || perm_send_argument(r, "limit", &limit) != NGX_OK
        || perm_send_argument(r, "offset", &offset) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (format.data == NULL) {
        i = perm_status_wants_html(r) ? PERM_STATUS_HTML : PERM_STATUS_JSON;

    } else {
        for (i = 0; i < PERM_STATUS_FORMATS; i++) {
            if (perm_str_equal(format, perm_str(perm_status_formats[i].name))) {
                break;
            }
        }
    }

    if (i == PERM_STATUS_FORMATS) {
        *error = "unknown format: use json, csv, prometheus or html";
        return NGX_DECLINED;
    }

    query->format = i;

    lists->limit = (i == PERM_STATUS_CSV) ? PERM_HEAVY_HITTERS_MAX
                                          : PERM_LISTS_LIMIT;
    lists->offset = 0;

    if (perm_status_number(limit, 1, PERM_LISTS_LIMIT_MAX, &lists->limit)
        != NGX_OK
        || perm_status_number(offset, 0, PERM_STATUS_OFFSET_MAX,
                              &lists->offset)
           != NGX_OK
        || (lists->gateway.len && !perm_name_gateway_valid(lists->gateway))
        || (lists->resource.len && !perm_name_resource_valid(lists->resource)))
    {
        *error = "gateway and resource take a valid name, limit a number from "
                 "1 to 256, offset a number from 0 to 1000000";
        return NGX_DECLINED;
    }

    lists->only = 0;

    if (refused.len && !perm_str_equal(refused, none)) {
        lists->only |= PERM_LISTS_REFUSED;
    }

    if (would_deny.len && !perm_str_equal(would_deny, none)) {
        lists->only |= PERM_LISTS_WOULD_DENY;
    }

    return NGX_OK;
}


/* "number" stays as it is where the argument is absent */

static ngx_int_t
perm_status_number(perm_str_t argument, ngx_int_t min, ngx_int_t max,
    ngx_uint_t *number)
{
    ngx_int_t  n;

    if (argument.data == NULL) {
        return NGX_OK;
    }

    n = ngx_atoi((u_char *) argument.data, argument.len);

    if (n < min || n > max) {
        return NGX_ERROR;
    }

    *number = n;

    return NGX_OK;
}


/*
 * 1 when the Accept header names text/html with a higher quality than
 * application/json and text/plain.  Wildcards do not count.
 */

static ngx_uint_t
perm_status_wants_html(ngx_http_request_t *r)
{
    ngx_uint_t                  html;
    ngx_http_variable_value_t  *accept;

    static ngx_str_t  name = ngx_string("http_accept");

    accept = ngx_http_get_variable(r, &name,
                                   ngx_hash_key(name.data, name.len));

    if (accept == NULL || accept->not_found) {
        return 0;
    }

    html = perm_status_quality(accept, "text/html");

    return html > perm_status_quality(accept, "application/json")
           && html > perm_status_quality(accept, "text/plain");
}


/*
 * In thousandths; 0 for a type that the header does not name, or names with an
 * invalid quality.
 */

static ngx_uint_t
perm_status_quality(ngx_http_variable_value_t *accept, char *type)
{
    size_t      len;
    u_char     *p, *last, *end;
    ngx_int_t   quality;

    len = ngx_strlen(type);
    last = accept->data + accept->len;

    p = accept->data;

    for ( ;; ) {
        p = ngx_strlcasestrn(p, last, (u_char *) type, len - 1);

        if (p == NULL) {
            return 0;
        }

        /* not within a longer name */

        if ((p == accept->data || ngx_strchr(", \t", p[-1]))
            && (p + len == last || ngx_strchr(",; \t", p[len])))
        {
            break;
        }

        p += len;
    }

    for (p += len; last - p >= 3 && *p != ','; p++) {

        if (ngx_strchr("; \t", *p) && ngx_tolower(p[1]) == 'q' && p[2] == '=')
        {
            end = p + 3;

            while (end < last && (*end == '.' || (*end >= '0' && *end <= '9')))
            {
                end++;
            }

            quality = ngx_atofp(p + 3, end - p - 3, 3);

            return quality < 0 || quality > 1000 ? 0 : quality;
        }
    }

    return 1000;
}


static ngx_int_t
perm_status_write(ngx_http_request_t *r, perm_writer_t *w,
    perm_status_query_t *query)
{
    perm_snapshot_t   *s;
    perm_main_conf_t  *pmcf;

    static ngx_str_t  file = ngx_string("attachment; "
                                        "filename=\"app-permission.csv\"");

    pmcf = ngx_http_get_module_main_conf(r, ngx_http_app_permission_module);

    perm_snapshot_note(pmcf->sync.zone.zone);

    if (query->format == PERM_STATUS_CSV) {
        perm_lists_csv(w, pmcf->sync.zone.zone, &query->lists);
        return perm_send_header(r, "Content-Disposition", &file);
    }

    if (query->lists.only && query->format == PERM_STATUS_JSON) {
        perm_lists_json_only(w, pmcf->sync.zone.zone, &query->lists);
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
