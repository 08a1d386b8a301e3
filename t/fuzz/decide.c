
/*
 * A request of app_permission_decide.  The input is, with a NUL between them:
 * gateway, resource, app, the query, and names of headers.
 * sources: src/http/decide.c src/resp/printable.c
 */


#include "nginx_test.h"

#include <ctype.h>

#include "fuzz.h"

#include "http/decide.h"
#include "http/handler.h"
#include "http/response.h"


#define HEADERS  6


static void ask(const uint8_t *data, size_t size, const char *behind);
static perm_str_t copy(perm_str_t text, const char *behind, void **memory);
static void check_decoded(perm_str_t was, perm_str_t is);
static int twice(perm_str_t args);
static unsigned count_apps(ngx_table_elt_t *headers, unsigned n);


ngx_module_t  ngx_http_app_permission_module;

static perm_ctx_t  *opened, ctx;


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* nginx's own functions are not built with AddressSanitizer */

    ask(data, size, "");
    ask(data, size, "41");

    return 0;
}


/* "behind": these bytes are behind each text */

static void
ask(const uint8_t *data, size_t size, const char *behind)
{
    void                *memory[4 + HEADERS], *contexts[1] = { NULL };
    unsigned             n;
    ngx_str_t           *name;
    perm_str_t           args;
    perm_tuple_t         was;
    ngx_table_elt_t      headers[HEADERS];
    perm_loc_conf_t      plcf;
    ngx_connection_t     c;
    ngx_http_request_t   r;

    ngx_memzero(&c, sizeof(c));
    ngx_memzero(&r, sizeof(r));
    ngx_memzero(&ctx, sizeof(ctx));
    ngx_memzero(&plcf, sizeof(plcf));
    ngx_memzero(headers, sizeof(headers));

    c.log = &test_log;
    r.connection = &c;

    r.pool = ngx_create_pool(512, &test_log);
    r.ctx = contexts;

    was.gateway = copy(fuzz_part(&data, &size), behind, &memory[0]);
    was.resource = copy(fuzz_part(&data, &size), behind, &memory[1]);
    was.app = copy(fuzz_part(&data, &size), behind, &memory[2]);
    args = copy(fuzz_part(&data, &size), behind, &memory[3]);

    r.args.data = (u_char *) args.data;
    r.args.len = args.len;

    for (n = 0; n < HEADERS && size; n++) {
        args = copy(fuzz_part(&data, &size), behind, &memory[4 + n]);
        headers[n].key.data = (u_char *) args.data;
        headers[n].key.len = args.len;
    }

    args.data = (char *) r.args.data;
    args.len = r.args.len;

    r.headers_in.headers.part.elts = headers;
    r.headers_in.headers.part.nelts = n;

    plcf.app_headers = ngx_array_create(r.pool, 1, sizeof(ngx_str_t));
    name = ngx_array_push(plcf.app_headers);
    ngx_str_set(name, "x_app");

    opened = &ctx;
    ctx.request = &r;
    ctx.plcf = &plcf;
    ctx.policy = PERM_POLICY_REQUIRED;
    ctx.tuple = was;

    check(perm_decide_handler(&r) == NGX_HTTP_FORBIDDEN);

    check_decoded(was.gateway, ctx.tuple.gateway);
    check_decoded(was.resource, ctx.tuple.resource);
    check(ctx.policy == (twice(args) ? PERM_POLICY_INVALID
                                     : PERM_POLICY_REQUIRED));

    if (ctx.policy != PERM_POLICY_INVALID) {

        if (count_apps(headers, n) > 1) {
            check(!perm_name_app_valid(ctx.tuple.app));
        } else {
            check_decoded(was.app, ctx.tuple.app);
        }
    }

    ngx_destroy_pool(r.pool);

    for (n += 4; n--; ) {
        free(memory[n]);
    }
}


static perm_str_t
copy(perm_str_t text, const char *behind, void **memory)
{
    size_t  len;

    len = strlen(behind);
    *memory = malloc(text.len + len + (text.len + len == 0));
    memcpy(*memory, text.data, text.len);
    memcpy((char *) *memory + text.len, behind, len);
    text.data = *memory;

    return text;
}


/* byte by byte, once: a "%" without two digits stays */

static void
check_decoded(perm_str_t was, perm_str_t is)
{
    char    hex[3] = "";
    size_t  i, n;

    for (i = 0, n = 0; i < was.len; i++, n++) {
        check(n < is.len);

        if (was.data[i] == '%' && i + 2 < was.len
            && isxdigit((unsigned char) was.data[i + 1])
            && isxdigit((unsigned char) was.data[i + 2]))
        {
            memcpy(hex, &was.data[i + 1], 2);
            check((unsigned char) is.data[n] == strtoul(hex, NULL, 16));
            i += 2;

        } else {
            check(is.data[n] == was.data[i]);
        }
    }

    check(n == is.len);
}


/* each pair of arguments; their names are what "$arg_" would find */

static int
twice(perm_str_t args)
{
    size_t  i, j, len, begins[4096], lens[4096], n;

    n = 0;

    for (i = 0; i < args.len && n < 4096; i += len + 1) {
        for (len = 0; i + len < args.len && args.data[i + len] != '&'; len++) {
            /* void */
        }

        begins[n] = i;

        for (lens[n] = 0; lens[n] < len && args.data[i + lens[n]] != '=';
             lens[n]++)
        {
            /* void */
        }

        n += (len != 0);
    }

    for (i = 0; i < n; i++) {
        for (j = 0; j < i; j++) {
            if (lens[i] == lens[j]
                && strncasecmp(args.data + begins[i], args.data + begins[j],
                               lens[i])
                   == 0)
            {
                return 1;
            }
        }
    }

    return 0;
}


static unsigned
count_apps(ngx_table_elt_t *headers, unsigned n)
{
    unsigned  i, found;

    for (i = 0, found = 0; i < n; i++) {
        found += (headers[i].key.len == 5
                  && (strncasecmp((char *) headers[i].key.data, "x-app", 5) == 0
                      || strncasecmp((char *) headers[i].key.data, "x_app", 5)
                         == 0));
    }

    return found;
}


/* what the handler calls of nginx and of the module */

perm_ctx_t *
perm_handler_open(ngx_http_request_t *r)
{
    return opened;
}


ngx_int_t
perm_handler_decide(perm_ctx_t *decided)
{
    check(decided == opened && decided->content);

    return NGX_HTTP_FORBIDDEN;
}


ngx_int_t
ngx_http_discard_request_body(ngx_http_request_t *r)
{
    return NGX_OK;
}


ngx_int_t
ngx_http_send_response(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *type, ngx_http_complex_value_t *cv)
{
    return NGX_OK;
}
