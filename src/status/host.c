
#include "status/host.h"


#define PERM_HOST_MAX  253   /* bytes, of a name in the DNS */


static ngx_uint_t perm_host_known(ngx_str_t host, ngx_array_t *hosts);
static ngx_str_t perm_host_name(ngx_str_t host);
static ngx_uint_t perm_host_address(ngx_str_t *host);
static ngx_uint_t perm_host_is(ngx_str_t *host, ngx_str_t *name);


/*
 * nginx takes the host from an absolute URI or from ":authority", and then
 * ignores the header "Host".  Both have to be known.
 */

ngx_uint_t
perm_host_allowed(ngx_http_request_t *r, ngx_array_t *hosts)
{
    return perm_host_known(r->headers_in.server, hosts)
           && (r->headers_in.host == NULL
               || perm_host_known(r->headers_in.host->value, hosts));
}


ngx_uint_t
perm_host_valid(ngx_str_t *name)
{
    u_char      c;
    ngx_uint_t  i;

    for (i = 0; i < name->len; i++) {
        c = ngx_tolower(name->data[i]);

        if ((c < 'a' || c > 'z') && (c < '0' || c > '9')
            && c != '-' && c != '.' && c != '_')
        {
            return 0;
        }
    }

    return name->len > 0 && name->len <= PERM_HOST_MAX;
}


static ngx_uint_t
perm_host_known(ngx_str_t host, ngx_array_t *hosts)
{
    ngx_str_t   *name;
    ngx_uint_t   i;

    static ngx_str_t  localhost = ngx_string("localhost");

    host = perm_host_name(host);

    if (perm_host_is(&host, &localhost) || perm_host_address(&host)) {
        return 1;
    }

    name = hosts->elts;

    for (i = 0; i < hosts->nelts; i++) {
        if (perm_host_is(&host, &name[i])) {
            return 1;
        }
    }

    return 0;
}


/* without the port and the dot of the root; an IPv6 address is in brackets */

static ngx_str_t
perm_host_name(ngx_str_t host)
{
    u_char  *p, *last;

    last = host.data + host.len;

    p = (host.len && host.data[0] == '[') ? ngx_strlchr(host.data, last, ']')
                                          : host.data;

    p = p ? ngx_strlchr(p, last, ':') : NULL;

    if (p) {
        host.len = p - host.data;
    }

    if (host.len > 1 && host.data[host.len - 1] == '.') {
        host.len--;
    }

    return host;
}


static ngx_uint_t
perm_host_address(ngx_str_t *host)
{
#if (NGX_HAVE_INET6)
    u_char  addr[16];

    if (host->len > 2 && host->data[0] == '['
        && host->data[host->len - 1] == ']')
    {
        return ngx_inet6_addr(host->data + 1, host->len - 2, addr) == NGX_OK;
    }
#endif

    return ngx_inet_addr(host->data, host->len) != INADDR_NONE;
}


/* "*.example.org" is all names that end so, ".example.org" also the rest */

static ngx_uint_t
perm_host_is(ngx_str_t *host, ngx_str_t *name)
{
    ngx_str_t   own;
    ngx_uint_t  wildcard;

    own = *name;
    wildcard = (own.len > 2 && own.data[0] == '*' && own.data[1] == '.');

    if (wildcard) {
        own.data++;
        own.len--;
    }

    if (own.len > 1 && own.data[0] == '.') {

        if (host->len > own.len
            && ngx_strncasecmp(host->data + host->len - own.len, own.data,
                               own.len)
               == 0)
        {
            return 1;
        }

        if (wildcard) {
            return 0;
        }

        own.data++;
        own.len--;
    }

    return host->len == own.len
           && ngx_strncasecmp(host->data, own.data, own.len) == 0;
}
