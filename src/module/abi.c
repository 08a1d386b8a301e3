
#include "module/abi.h"

#include <ngx_event.h>
#include <ngx_http.h>
#include <stddef.h>


/*
 * Facts about the nginx that runs, as its own compiler saw them: offsets in its
 * tables of directives and variables, sizes of the elements in its arrays, and
 * what its functions do to memory that this file gives them.  The order
 * matters: a step relies on the structures of those before it.
 */

#define PERM_ABI_SLACK  1024        /* bytes that a patch may have added */
#define PERM_ABI_MARK   0xa5


typedef struct {
    ngx_module_t              *module;
    char                      *directive;
    size_t                     offset;
    char                      *type;
} perm_abi_directive_t;


typedef struct {
    char                      *name;
    size_t                     offset;
} perm_abi_variable_t;


typedef union {
    ngx_http_request_t         request;
    u_char                     bytes[sizeof(ngx_http_request_t)
                                     + PERM_ABI_SLACK];
} perm_abi_request_t;


typedef union {
    ngx_connection_t           connection;
    u_char                     bytes[sizeof(ngx_connection_t)
                                     + PERM_ABI_SLACK];
} perm_abi_connection_t;


typedef union {
    ngx_event_t                event;
    u_char                     bytes[sizeof(ngx_event_t) + PERM_ABI_SLACK];
} perm_abi_event_t;


typedef union {
    ngx_cycle_t                cycle;
    u_char                     bytes[sizeof(ngx_cycle_t) + PERM_ABI_SLACK];
} perm_abi_cycle_t;


static char *perm_abi_directives(ngx_conf_t *cf);
static char *perm_abi_variables(ngx_conf_t *cf);
static char *perm_abi_connection(ngx_conf_t *cf);
static char *perm_abi_arrays(ngx_conf_t *cf);
static char *perm_abi_resolver(ngx_conf_t *cf);
#if (NGX_SSL)
static char *perm_abi_ssl(ngx_conf_t *cf);
static char *perm_abi_ssl_connection(ngx_ssl_t *ssl, ngx_pool_t *pool);
#endif
static char *perm_abi_request(ngx_conf_t *cf);
static ngx_int_t perm_abi_filter(ngx_http_request_t *r);
static ngx_command_t *perm_abi_find_directive(ngx_module_t *module,
    char *name);
static ngx_http_variable_t *perm_abi_find_variable(ngx_conf_t *cf,
    char *name);
static size_t perm_abi_cleared(u_char *bytes, size_t max);
static ngx_uint_t perm_abi_reads(ngx_conf_t *cf, ngx_http_request_t *r,
    char *name, char *text);


/* each returns NULL, or the structure that has another layout */

static char *(*perm_abi_step[])(ngx_conf_t *cf) = {
    perm_abi_directives,
    perm_abi_variables,
    perm_abi_connection,
    perm_abi_arrays,
    perm_abi_resolver,
#if (NGX_SSL)
    perm_abi_ssl,
#endif
    perm_abi_request,
    NULL
};


static perm_abi_directive_t  perm_abi_directive[] = {

    { &ngx_core_module, "timer_resolution",
      offsetof(ngx_core_conf_t, timer_resolution), "ngx_core_conf_t" },

    { &ngx_core_module, "debug_points",
      offsetof(ngx_core_conf_t, debug_points), "ngx_core_conf_t" },

    { &ngx_http_core_module, "variables_hash_bucket_size",
      offsetof(ngx_http_core_main_conf_t, variables_hash_bucket_size),
      "ngx_http_core_main_conf_t" },

    { &ngx_http_core_module, "underscores_in_headers",
      offsetof(ngx_http_core_srv_conf_t, underscores_in_headers),
      "ngx_http_core_srv_conf_t" },

    { &ngx_http_core_module, "client_max_body_size",
      offsetof(ngx_http_core_loc_conf_t, client_max_body_size),
      "ngx_http_core_loc_conf_t" },

    { &ngx_http_core_module, "resolver_timeout",
      offsetof(ngx_http_core_loc_conf_t, resolver_timeout),
      "ngx_http_core_loc_conf_t" },

    { &ngx_http_core_module, "types_hash_bucket_size",
      offsetof(ngx_http_core_loc_conf_t, types_hash_bucket_size),
      "ngx_http_core_loc_conf_t" }
};


static perm_abi_variable_t  perm_abi_variable[] = {
    { "http_host", offsetof(ngx_http_request_t, headers_in.host) },
    { "server_protocol", offsetof(ngx_http_request_t, http_protocol) },
    { "request_uri", offsetof(ngx_http_request_t, unparsed_uri) },
    { "uri", offsetof(ngx_http_request_t, uri) },
    { "args", offsetof(ngx_http_request_t, args) },
    { "limit_rate", offsetof(ngx_http_request_t, limit_rate) }
};


ngx_int_t
perm_abi_check(ngx_conf_t *cf)
{
    char        *type;
    ngx_uint_t   i;

    type = NULL;
    ngx_set_errno(0);

    for (i = 0; perm_abi_step[i] && type == NULL; i++) {
        type = perm_abi_step[i](cf);
    }

    if (type == NULL) {
        return NGX_OK;
    }

    if (ngx_errno == NGX_ENOMEM) {
        /* nginx has said so in the log; the structures are not compared */
        return NGX_ERROR;
    }

    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "ngx_http_app_permission_module was built from another "
                  "source than this nginx: \"%s\" has another layout there "
                  "(" NGINX_VER "). Build it with the source that this nginx "
                  "was built from, with all its patches, and with the "
                  "arguments that \"nginx -V\" prints. For OpenResty the "
                  "source is bundle/nginx-VERSION of its release", type);

    return NGX_ERROR;
}


static char *
perm_abi_directives(ngx_conf_t *cf)
{
    ngx_uint_t             i;
    ngx_command_t         *cmd;
    perm_abi_directive_t  *d;

    for (i = 0; i < sizeof(perm_abi_directive) / sizeof(*d); i++) {
        d = &perm_abi_directive[i];
        cmd = perm_abi_find_directive(d->module, d->directive);

        if (cmd && cmd->offset != d->offset) {
            return d->type;
        }
    }

    return NULL;
}


static char *
perm_abi_variables(ngx_conf_t *cf)
{
    ngx_uint_t            i;
    perm_abi_variable_t  *variable;
    ngx_http_variable_t  *v;

    for (i = 0; i < sizeof(perm_abi_variable) / sizeof(*variable); i++) {
        variable = &perm_abi_variable[i];
        v = perm_abi_find_variable(cf, variable->name);

        if (v && v->data != variable->offset) {
            return "ngx_http_request_t";
        }
    }

    return NULL;
}


/*
 * nginx takes a free connection out of the cycle, and clears it with its
 * events.  The cycle has nothing but that one for the moment.
 */

static char *
perm_abi_connection(ngx_conf_t *cf)
{
    ngx_log_t                quiet;
    ngx_event_t              expected;
    ngx_connection_t        *c;
    perm_abi_cycle_t         fake;
    perm_abi_event_t         rev, wev;
    perm_abi_connection_t    free;
    volatile ngx_cycle_t    *cycle;

    ngx_memzero(&quiet, sizeof(ngx_log_t));
    ngx_memzero(&fake, sizeof(perm_abi_cycle_t));
    ngx_memset(&rev, PERM_ABI_MARK, sizeof(perm_abi_event_t));
    ngx_memset(&wev, PERM_ABI_MARK, sizeof(perm_abi_event_t));
    ngx_memset(&free, PERM_ABI_MARK, sizeof(perm_abi_connection_t));

    rev.event.instance = 0;
    free.connection.data = NULL;
    free.connection.read = &rev.event;
    free.connection.write = &wev.event;

    /* handlers of signals log to the cycle */

    fake.cycle.log = cf->log;
    fake.cycle.free_connections = &free.connection;
    fake.cycle.free_connection_n = 1;

    cycle = ngx_cycle;
    ngx_cycle = &fake.cycle;

    c = ngx_get_connection(1, &quiet);

    ngx_cycle = cycle;

    if (c != &free.connection || fake.cycle.free_connections
        || fake.cycle.free_connection_n)
    {
        return "ngx_cycle_t";
    }

    if (c->read != &rev.event || c->write != &wev.event || c->fd != 1
        || c->log != &quiet
        || perm_abi_cleared(free.bytes, sizeof(perm_abi_connection_t))
           != sizeof(ngx_connection_t))
    {
        return "ngx_connection_t";
    }

    ngx_memzero(&expected, sizeof(ngx_event_t));
    expected.data = c;
    expected.write = 1;
    expected.instance = 1;
    expected.index = NGX_INVALID_INDEX;

    if (perm_abi_cleared(wev.bytes, sizeof(perm_abi_event_t))
        != sizeof(ngx_event_t)
        || ngx_memcmp(&wev, &expected, sizeof(ngx_event_t)) != 0)
    {
        return "ngx_event_t";
    }

    return NULL;
}


static char *
perm_abi_arrays(ngx_conf_t *cf)
{
    ngx_cycle_t  *cycle;

    cycle = cf->cycle;

    if (cycle->listening.size != sizeof(ngx_listening_t)) {
        return "ngx_listening_t";
    }

    if (cycle->open_files.size != sizeof(ngx_open_file_t)) {
        return "ngx_open_file_t";
    }

    if (cycle->shared_memory.size != sizeof(ngx_shm_zone_t)) {
        return "ngx_shm_zone_t";
    }

    return NULL;
}


/* nginx makes such a resolver for each server that has none */

static char *
perm_abi_resolver(ngx_conf_t *cf)
{
    ngx_event_t      expected;
    ngx_resolver_t  *resolver;

    resolver = ngx_resolver_create(cf, NULL, 0);
    if (resolver == NULL) {
        return "ngx_resolver_t";
    }

    ngx_memzero(&expected, sizeof(ngx_event_t));
    expected.data = resolver;
    expected.handler = resolver->event->handler;
    expected.log = &cf->cycle->new_log;
    expected.cancelable = 1;

    return ngx_memcmp(resolver->event, &expected, sizeof(ngx_event_t))
           ? "ngx_event_t" : NULL;
}


#if (NGX_SSL)

/*
 * The second ssl is room for what a patch may have added.  Nothing is compared
 * where OpenSSL fails: it has said so in the log.
 */

static char *
perm_abi_ssl(ngx_conf_t *cf)
{
    char        *type;
    ngx_ssl_t    ssl[2];
    ngx_pool_t  *pool;

    ngx_memzero(ssl, sizeof(ssl));
    ssl[0].log = cf->log;

    if (ngx_ssl_create(ssl, NGX_SSL_TLSv1_2, NULL) != NGX_OK) {
        return NULL;
    }

    type = "ngx_ssl_t";
    pool = ngx_create_pool(NGX_DEFAULT_POOL_SIZE, cf->log);

    if (ssl[0].buffer_size == NGX_SSL_BUFSIZE && pool) {
        type = perm_abi_ssl_connection(ssl, pool);
    }

    if (pool) {
        ngx_destroy_pool(pool);
    }

    ngx_ssl_cleanup_ctx(ssl);

    return type;
}


/*
 * nginx takes the structure out of the pool, which has nothing else.  With
 * NGX_DEBUG_PALLOC it lies apart, and its size is not compared.
 */

static char *
perm_abi_ssl_connection(ngx_ssl_t *ssl, ngx_pool_t *pool)
{
    u_char                 *start;
    ngx_uint_t              same;
    ngx_ssl_connection_t   *sc;
    perm_abi_connection_t   fake;

    ngx_memzero(&fake, sizeof(perm_abi_connection_t));
    fake.connection.fd = (ngx_socket_t) -1;
    fake.connection.log = pool->log;
    fake.connection.pool = pool;

    start = pool->d.last;

    if (ngx_ssl_create_connection(ssl, &fake.connection,
                                  NGX_SSL_BUFFER|NGX_SSL_CLIENT)
        != NGX_OK)
    {
        return NULL;
    }

    sc = fake.connection.ssl;

    same = ((u_char *) sc < start || (u_char *) sc >= pool->d.end
            || (u_char *) sc + sizeof(ngx_ssl_connection_t) == pool->d.last)
           && sc->session_ctx == ssl->ctx
           && sc->buffer_size == NGX_SSL_BUFSIZE
           && sc->buffer && !sc->handshaked && !sc->no_wait_shutdown;

    SSL_free(sc->connection);

    return same ? NULL : "ngx_ssl_connection_t";
}

#endif


/* variables of a request that has nothing but what they tell */

static char *
perm_abi_request(ngx_conf_t *cf)
{
    ngx_int_t                          rc;
    ngx_log_t                          quiet;
    ngx_http_request_t                *r;
    perm_abi_request_t                 fake;
    perm_abi_connection_t              connection;
    ngx_http_output_header_filter_pt   filter;

    ngx_memzero(&quiet, sizeof(ngx_log_t));
    ngx_memzero(&fake, sizeof(perm_abi_request_t));
    ngx_memzero(&connection, sizeof(perm_abi_connection_t));

    connection.connection.log = &quiet;
    connection.connection.number = 12;
    connection.connection.requests = 34;
    connection.connection.sent = 56;
    ngx_str_set(&connection.connection.addr_text, "here");

    r = &fake.request;
    r->connection = &connection.connection;
    r->pool = cf->pool;
    r->main = r;

    if (!perm_abi_reads(cf, r, "connection", "12")
        || !perm_abi_reads(cf, r, "connection_requests", "34")
        || !perm_abi_reads(cf, r, "bytes_sent", "56")
        || !perm_abi_reads(cf, r, "remote_addr", "here"))
    {
        return "ngx_connection_t";
    }

    /* single bits: one that a patch adds moves those behind it */

    if (!perm_abi_reads(cf, r, "request_completion", "")
        || !perm_abi_reads(cf, r, "sent_http_transfer_encoding", ""))
    {
        return "ngx_http_request_t";
    }

    r->request_length = 78;
    r->request_complete = 1;
    r->chunked = 1;

    if (!perm_abi_reads(cf, r, "request_length", "78")
        || !perm_abi_reads(cf, r, "request_completion", "OK")
        || !perm_abi_reads(cf, r, "sent_http_transfer_encoding", "chunked"))
    {
        return "ngx_http_request_t";
    }

    /* nginx sends no header twice, and this one no header at all */

    r->header_sent = 1;

    filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = perm_abi_filter;

    rc = ngx_http_send_header(r);

    ngx_http_top_header_filter = filter;

    return (rc == NGX_ERROR) ? NULL : "ngx_http_request_t";
}


static ngx_int_t
perm_abi_filter(ngx_http_request_t *r)
{
    return NGX_DECLINED;
}


static ngx_command_t *
perm_abi_find_directive(ngx_module_t *module, char *name)
{
    ngx_command_t  *cmd;

    for (cmd = module->commands; cmd->name.len; cmd++) {
        if (ngx_strcmp(cmd->name.data, name) == 0) {
            return cmd;
        }
    }

    return NULL;
}


/* NULL where this nginx has none of that name: it tells nothing then */

static ngx_http_variable_t *
perm_abi_find_variable(ngx_conf_t *cf, char *name)
{
    size_t                      len;
    ngx_uint_t                  i;
    ngx_hash_key_t             *key;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
    key = cmcf->variables_keys->keys.elts;
    len = ngx_strlen(name);

    for (i = 0; i < cmcf->variables_keys->keys.nelts; i++) {
        if (key[i].key.len == len
            && ngx_strncmp(key[i].key.data, name, len) == 0)
        {
            return key[i].value;
        }
    }

    return NULL;
}


/* how far nginx has written: the marks behind that are still there */

static size_t
perm_abi_cleared(u_char *bytes, size_t max)
{
    while (max && bytes[max - 1] == PERM_ABI_MARK) {
        max--;
    }

    return max;
}


static ngx_uint_t
perm_abi_reads(ngx_conf_t *cf, ngx_http_request_t *r, char *name, char *text)
{
    size_t                      len;
    ngx_http_variable_t        *v;
    ngx_http_variable_value_t   value;

    v = perm_abi_find_variable(cf, name);

    if (v == NULL || v->get_handler == NULL) {
        return 1;
    }

    ngx_memzero(&value, sizeof(ngx_http_variable_value_t));

    if (v->get_handler(r, &value, v->data) != NGX_OK) {
        return 0;
    }

    len = value.not_found ? 0 : value.len;

    return len == ngx_strlen(text) && ngx_strncmp(value.data, text, len) == 0;
}
