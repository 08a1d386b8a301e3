
/*
 * A request for the status.  The input is, with a NUL between them: the host of
 * its URI, the header "Host" (empty: none), the location, the URI, the
 * arguments, the header "Accept" (empty: none), and names of the server.
 * sources: src/status/status.c src/status/host.c src/status/explain.c
 * sources: src/http/send.c src/http/writer.c src/shm/tuple.c
 */


#include "nginx_test.h"

#include <arpa/inet.h>
#include <ctype.h>

#include "fuzz.h"

#include "http/suspend.h"
#include "status/alerts.h"
#include "status/json.h"
#include "status/lists.h"
#include "status/page.h"
#include "status/prometheus.h"
#include "status/snapshot.h"
#include "status/status.h"


#define NAMES  4


typedef enum { JSON, CSV, PROMETHEUS, HTML, NO_FORMAT } format_t;


/* what was given, each a copy of its own */

typedef struct {
    perm_str_t  server;
    perm_str_t  host;
    perm_str_t  location;
    perm_str_t  uri;
    perm_str_t  args;
    perm_str_t  accept;
    perm_str_t  names[NAMES];
    unsigned    nnames;
} input_t;


static void ask(const input_t *in);
static ngx_str_t text(perm_str_t from);
static int known(const input_t *in, perm_str_t host);
static int is_address(perm_str_t host);
static int is_name(perm_str_t host, perm_str_t name);
static int ends(perm_str_t all, perm_str_t end);
static int page(const input_t *in);
static void check_explain(const input_t *in, ngx_int_t rc);
static void check_query(const input_t *in, ngx_int_t rc);
static perm_str_t argument(const input_t *in, const char *name, char *room);
static int number(perm_str_t given, long min, long max, ngx_uint_t *is);
static format_t wanted(perm_str_t accept);
static long quality(perm_str_t accept, const char *type);
static int asked_for(perm_str_t given);


ngx_module_t   ngx_http_module;
ngx_module_t   ngx_http_core_module;
ngx_module_t   ngx_http_app_permission_module = { .ctx_index = 1 };
ngx_rbtree_t   ngx_event_timer_rbtree;

static ngx_http_request_t         r;
static ngx_connection_t           c;
static ngx_http_variable_value_t  accept_value;
static perm_loc_conf_t            plcf;
static perm_main_conf_t           pmcf;
static perm_zone_t                zone;
static perm_sync_t                worker;
static perm_snapshot_t            snapshot;
static perm_ctx_t                 ctx;

static format_t                   format;    /* that was written */
static perm_lists_query_t         lists;     /* with these, but for Prometheus */
static int                        fetched;   /* Redis was asked, for explain */
static int                        sent;


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t        i;
    input_t       in;
    perm_str_t   *part, *parts[] = { &in.server, &in.host, &in.location,
                                     &in.uri, &in.args, &in.accept };

    for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        *parts[i] = fuzz_part(&data, &size);
        *parts[i] = fuzz_copy(parts[i]->data, parts[i]->len);
    }

    for (in.nnames = 0; in.nnames < NAMES && size; in.nnames++) {
        part = &in.names[in.nnames];
        *part = fuzz_part(&data, &size);
        *part = fuzz_copy(part->data, part->len);
    }

    ask(&in);

    for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        free((char *) parts[i]->data);
    }

    while (in.nnames) {
        free((char *) in.names[--in.nnames].data);
    }

    return 0;
}


static void
ask(const input_t *in)
{
    void                      *confs[2], *mains[2] = { NULL, &pmcf };
    void                      *contexts[2] = { NULL, NULL };
    unsigned                   i;
    ngx_int_t                  rc;
    ngx_str_t                 *name;
    ngx_table_elt_t            host;
    ngx_http_core_loc_conf_t   clcf;

    ngx_memzero(&c, sizeof(c));
    ngx_memzero(&r, sizeof(r));
    ngx_memzero(&clcf, sizeof(clcf));
    ngx_memzero(&host, sizeof(host));
    ngx_memzero(&ctx, sizeof(ctx));

    c.log = &test_log;
    clcf.name = text(in->location);
    host.value = text(in->host);
    confs[0] = &clcf;
    confs[1] = &plcf;

    r.pool = ngx_create_pool(512, &test_log);
    r.connection = &c;
    r.main = &r;
    r.ctx = contexts;
    r.loc_conf = confs;
    r.main_conf = mains;
    r.method = NGX_HTTP_GET;
    r.uri = text(in->uri);
    r.args = text(in->args);
    r.headers_in.server = text(in->server);
    r.headers_in.host = in->host.len ? &host : NULL;

    accept_value.data = (u_char *) in->accept.data;
    accept_value.len = (unsigned) in->accept.len;
    accept_value.not_found = (in->accept.len == 0);

    plcf.hosts = ngx_array_create(r.pool, NAMES, sizeof(ngx_str_t));
    pmcf.sync.zone.zone = &zone;
    pmcf.worker = &worker;

    for (i = 0; i < in->nnames; i++) {
        name = ngx_array_push(plcf.hosts);
        *name = text(in->names[i]);
    }

    if (ngx_list_init(&r.headers_out.headers, r.pool, 8,
                      sizeof(ngx_table_elt_t))
        != NGX_OK)
    {
        abort();
    }

    format = NO_FORMAT;
    fetched = 0;
    sent = 0;

    rc = perm_status_handler(&r);

    check((r.headers_out.status == NGX_HTTP_FORBIDDEN)
          == !(known(in, in->server)
               && (in->host.len == 0 || known(in, in->host))));

    if (r.headers_out.status == NGX_HTTP_FORBIDDEN) {
        check(format == NO_FORMAT && !fetched && sent);

    } else if (page(in) == 404) {
        check(r.headers_out.status == NGX_HTTP_NOT_FOUND);
        check(format == NO_FORMAT && !fetched && sent);

    } else if (page(in)) {
        check_explain(in, rc);

    } else {
        check_query(in, rc);
    }

    ngx_destroy_pool(r.pool);
}


static ngx_str_t
text(perm_str_t from)
{
    return (ngx_str_t) { from.len, (u_char *) from.data };
}


/* without its port, and without a dot at its end */

static int
known(const input_t *in, perm_str_t host)
{
    size_t    i, end;
    unsigned  n;

    i = 0;

    if (host.len && host.data[0] == '[') {
        while (i < host.len && host.data[i] != ']') {
            i++;
        }
    }

    for (end = i; end < host.len && host.data[end] != ':'; end++) {
        /* void */
    }

    host.len = end;
    host.len -= (end > 1 && host.data[end - 1] == '.');

    if ((host.len == 9 && strncasecmp(host.data, "localhost", 9) == 0)
        || is_address(host))
    {
        return 1;
    }

    for (n = 0; n < in->nnames && !is_name(host, in->names[n]); n++) {
        /* void */
    }

    return n < in->nnames;
}


/* nginx takes a part without digits for a 0, and an IPv6 address in brackets */

static int
is_address(perm_str_t host)
{
    int       all;
    char      address[64];
    size_t    i;
    u_char    bytes[16];
    unsigned  part, dots;

    if (host.len > 2 && host.data[0] == '[' && host.data[host.len - 1] == ']'
        && host.len - 2 < sizeof(address))
    {
        memcpy(address, host.data + 1, host.len - 2);
        address[host.len - 2] = '\0';

        /* a lax reader takes more, but none of a name's bytes */

        return inet_pton(AF_INET6, address, bytes) == 1
               || ngx_inet6_addr((u_char *) address, host.len - 2, bytes)
                  == NGX_OK;
    }

    part = 0;
    dots = 0;
    all = 1;

    for (i = 0; i < host.len; i++) {
        if (host.data[i] == '.') {
            dots++;
            all &= (part == 255);
            part = 0;
            continue;
        }

        part = part * 10 + (unsigned) (host.data[i] - '0');

        if (!isdigit((unsigned char) host.data[i]) || part > 255) {
            return 0;
        }
    }

    return dots == 3 && !(all && part == 255);
}


static int
is_name(perm_str_t host, perm_str_t name)
{
    perm_str_t  bare;

    if (name.len > 2 && memcmp(name.data, "*.", 2) == 0) {
        bare.data = name.data + 1;
        bare.len = name.len - 1;

        return host.len > bare.len && ends(host, bare);
    }

    if (name.len > 1 && name.data[0] == '.') {
        bare.data = name.data + 1;
        bare.len = name.len - 1;

        return (host.len > name.len && ends(host, name))
               || (host.len == bare.len && ends(host, bare));
    }

    return host.len == name.len && ends(host, name);
}


static int
ends(perm_str_t all, perm_str_t end)
{
    return all.len >= end.len
           && strncasecmp(all.data + all.len - end.len, end.data, end.len)
              == 0;
}


/* 0: the status, 1: explain, 404 */

static int
page(const input_t *in)
{
    int         explain;
    size_t      skip;
    perm_str_t  rest;

    static const perm_str_t  end = perm_string("/explain");

    explain = in->uri.len > end.len
              && memcmp(in->uri.data + in->uri.len - end.len, end.data,
                        end.len) == 0;

    if (in->location.len > in->uri.len
        || memcmp(in->uri.data, in->location.data, in->location.len) != 0)
    {
        return explain;
    }

    skip = in->location.len;
    skip -= (skip && in->location.data[skip - 1] == '/');

    rest.data = in->uri.data + skip;
    rest.len = in->uri.len - skip;

    return (rest.len == 0 || perm_str_equal(rest, perm_str("/"))) ? explain
           : (perm_str_equal(rest, end) && explain) ? 1 : 404;
}


static void
check_explain(const input_t *in, ngx_int_t rc)
{
    int         good;
    char       *rooms[3];
    unsigned    i;
    perm_str_t  gateway, resource, app;

    for (i = 0; i < 3; i++) {
        rooms[i] = malloc(in->args.len + 1);
    }

    gateway = argument(in, "gateway", rooms[0]);
    resource = argument(in, "resource", rooms[1]);
    app = argument(in, "app", rooms[2]);

    good = fuzz_name(gateway, PERM_GATEWAY_MAX)
           && fuzz_name(resource, PERM_RESOURCE_MAX)
           && !perm_str_equal(resource, perm_str("-"))
           && fuzz_name(app, PERM_APP_MAX);

    check(fetched == good && sent == !good && format == NO_FORMAT);

    if (good) {
        check(rc == NGX_DONE);
        check(perm_str_equal(ctx.tuple.gateway, gateway));
        check(perm_str_equal(ctx.tuple.resource, resource));
        check(perm_str_equal(ctx.tuple.app, app));

    } else {
        check(r.headers_out.status == NGX_HTTP_BAD_REQUEST);
    }

    for (i = 0; i < 3; i++) {
        free(rooms[i]);
    }
}


static void
check_query(const input_t *in, ngx_int_t rc)
{
    int          good;
    char        *rooms[7];
    format_t     want;
    unsigned     i, only;
    ngx_uint_t   limit, offset;
    perm_str_t   given[7];

    static const char  *names[] = { "format", "refused", "would_deny",
                                    "gateway", "resource", "limit", "offset" };
    static const char  *formats[] = { "json", "csv", "prometheus", "html" };

    for (i = 0; i < 7; i++) {
        rooms[i] = malloc(in->args.len + 1);
        given[i] = argument(in, names[i], rooms[i]);
    }

    want = JSON;

    if (given[0].data == NULL) {
        want = wanted(in->accept);

    } else {
        while (want < NO_FORMAT
               && !perm_str_equal(given[0], perm_str(formats[want])))
        {
            want++;
        }
    }

    limit = (want == CSV) ? PERM_HEAVY_HITTERS_MAX : PERM_LISTS_LIMIT;
    offset = 0;

    good = want != NO_FORMAT
           && number(given[5], 1, 256, &limit)
           && number(given[6], 0, 1000000, &offset)
           && (given[3].len == 0 || fuzz_name(given[3], PERM_GATEWAY_MAX))
           && (given[4].len == 0
               || (fuzz_name(given[4], PERM_RESOURCE_MAX)
                   && !perm_str_equal(given[4], perm_str("-"))));

    check(sent && !fetched && rc == NGX_OK);
    check(r.headers_out.status == (ngx_uint_t) (good ? 200 : 400));
    check(format == (good ? want : NO_FORMAT));

    if (good && want != PROMETHEUS) {
        only = (asked_for(given[1]) ? PERM_LISTS_REFUSED : 0)
               | (asked_for(given[2]) ? PERM_LISTS_WOULD_DENY : 0);

        check(lists.only == only);
        check(lists.limit == limit && lists.offset == offset);
        check(lists.gateway.len == given[3].len
              && (given[3].len == 0
                  || perm_str_equal(lists.gateway, given[3])));
        check(lists.resource.len == given[4].len
              && (given[4].len == 0
                  || perm_str_equal(lists.resource, given[4])));
    }

    for (i = 0; i < 7; i++) {
        free(rooms[i]);
    }
}


/* the first one of that name, decoded; data NULL: there is none */

static perm_str_t
argument(const input_t *in, const char *name, char *room)
{
    char        hex[3] = "";
    size_t      i, len, end;
    perm_str_t  value = perm_string("");

    value.data = NULL;
    len = strlen(name);

    for (i = 0; i < in->args.len; i = end + 1) {
        for (end = i; end < in->args.len && in->args.data[end] != '&'; end++) {
            /* void */
        }

        if (end - i > len && in->args.data[i + len] == '='
            && strncasecmp(in->args.data + i, name, len) == 0)
        {
            break;
        }
    }

    if (i >= in->args.len) {
        return value;
    }

    value.data = room;

    for (i += len + 1; i < end; i++) {

        if (in->args.data[i] != '%') {
            room[value.len++] = in->args.data[i];

        } else if (i + 1 < end && !isxdigit((unsigned char)
                                            in->args.data[i + 1]))
        {
            /* nginx drops a "%" that begins nothing, or with one digit */

            room[value.len++] = in->args.data[++i];

        } else if (i + 2 < end) {
            memcpy(hex, in->args.data + i + 1, 2);

            if (isxdigit((unsigned char) hex[1])) {
                room[value.len++] = (char) strtoul(hex, NULL, 16);
            }

            i += 2;

        } else {
            i = end;
        }
    }

    return value;
}


static int
number(perm_str_t given, long min, long max, ngx_uint_t *is)
{
    long    n;
    size_t  i;

    if (given.data == NULL) {
        return 1;
    }

    for (i = 0, n = 0; i < given.len; i++) {
        if (!isdigit((unsigned char) given.data[i])) {
            return 0;
        }

        n = ngx_min(n * 10 + (given.data[i] - '0'), 100000000);
    }

    *is = (ngx_uint_t) n;

    return given.len && n >= min && n <= max;
}


static int
asked_for(perm_str_t given)
{
    return given.len && !perm_str_equal(given, perm_str("0"));
}


static format_t
wanted(perm_str_t accept)
{
    long  html;

    html = quality(accept, "text/html");

    return (html > quality(accept, "application/json")
            && html > quality(accept, "text/plain")) ? HTML : JSON;
}


/* in thousandths, of the first one that stands by itself */

static long
quality(perm_str_t accept, const char *type)
{
    int     point;
    long    n, digits;
    size_t  i, len;

    len = strlen(type);

    for (i = 0; i + len <= accept.len; i++) {
        if (strncasecmp(accept.data + i, type, len) == 0
            && (i == 0 || strchr(", \t", accept.data[i - 1]))
            && (i + len == accept.len || strchr(",; \t", accept.data[i + len])))
        {
            break;
        }
    }

    if (i + len > accept.len) {
        return 0;
    }

    for (i += len; i + 2 < accept.len; i++) {

        if (accept.data[i] == ',') {
            return 1000;
        }

        if (strchr("; \t", accept.data[i])
            && (accept.data[i + 1] == 'q' || accept.data[i + 1] == 'Q')
            && accept.data[i + 2] == '=')
        {
            break;
        }
    }

    if (i + 2 >= accept.len) {
        return 1000;
    }

    point = 0;
    n = 0;
    digits = 0;
    len = 0;

    for (i += 3; i < accept.len && (accept.data[i] == '.'
                                    || isdigit((unsigned char)
                                               accept.data[i])); i++)
    {
        len++;

        if (accept.data[i] == '.') {
            if (point++) {
                return 0;
            }

            continue;
        }

        digits += point;
        n = ngx_min(n * 10 + (accept.data[i] - '0'), 1000000);

        if (digits > 3) {
            return 0;
        }
    }

    for ( /* void */ ; digits < 3; digits++) {
        n *= 10;
    }

    return (len == 0 || n > 1000) ? 0 : n;
}


/* what is called of the module */

static void
written(perm_writer_t *w, format_t as, perm_lists_query_t *query)
{
    check(format == NO_FORMAT);

    perm_writer_put(w, "written");
    format = as;

    if (query) {
        lists = *query;
    }
}


void
perm_lists_csv(perm_writer_t *w, perm_zone_t *of, perm_lists_query_t *query)
{
    written(w, CSV, query);
}


void
perm_lists_json_only(perm_writer_t *w, perm_zone_t *of,
    perm_lists_query_t *query)
{
    check(query->only);
    written(w, JSON, query);
}


void
perm_status_json(perm_writer_t *w, perm_snapshot_t *s,
    perm_lists_query_t *query)
{
    check(query->only == 0);
    written(w, JSON, query);
}


void
perm_status_prometheus(perm_writer_t *w, perm_snapshot_t *s)
{
    written(w, PROMETHEUS, NULL);
}


ngx_int_t
perm_status_page(ngx_http_request_t *request, perm_writer_t *w,
    perm_snapshot_t *s, perm_lists_query_t *query)
{
    written(w, HTML, query);

    return NGX_OK;
}


void
perm_snapshot_note(perm_zone_t *of)
{
    /* void */
}


perm_snapshot_t *
perm_snapshot_take(perm_main_conf_t *of, ngx_pool_t *pool)
{
    return &snapshot;
}


void
perm_alerts_find(perm_snapshot_t *s, ngx_msec_t flush)
{
    /* void */
}


perm_ctx_t *
perm_ctx_create(ngx_http_request_t *request)
{
    ctx.request = request;
    ctx.pmcf = &pmcf;
    ctx.plcf = &plcf;

    return &ctx;
}


ngx_int_t
perm_suspend_fetch(perm_ctx_t *suspended, ngx_uint_t flags, ngx_uint_t slow)
{
    check(suspended == &ctx && ctx.content && flags == PERM_FETCH_PEEK);

    fetched = 1;

    return NGX_DONE;
}


/* which explain calls with an answer only */

ngx_int_t
perm_cache_lookup(perm_cache_t *cache, perm_tuple_t *tuple, uint64_t hash,
    ngx_msec_t now, perm_cache_entry_t *entry)
{
    abort();
}


perm_generation_t
perm_cache_generation(perm_cache_t *cache, perm_str_t gateway, perm_str_t app)
{
    abort();
}


ngx_uint_t
perm_table_state_stale_ok(perm_table_state_t *state, perm_tuple_t *tuple,
    perm_cache_entry_t *entry)
{
    abort();
}


int64_t
perm_trackers_gap(perm_trackers_t *trackers, ngx_msec_t now)
{
    abort();
}


/* and of nginx */

ngx_http_variable_value_t *
ngx_http_get_variable(ngx_http_request_t *request, ngx_str_t *name,
    ngx_uint_t key)
{
    return &accept_value;
}


ngx_int_t
ngx_http_discard_request_body(ngx_http_request_t *request)
{
    return NGX_OK;
}


ngx_int_t
ngx_http_send_header(ngx_http_request_t *request)
{
    sent = 1;

    return NGX_OK;
}


ngx_int_t
ngx_http_output_filter(ngx_http_request_t *request, ngx_chain_t *out)
{
    check(sent && out->buf->last >= out->buf->pos);

    return NGX_OK;
}
