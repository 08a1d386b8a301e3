
#include "status/accept.h"


static ngx_str_t *perm_accept_header(ngx_http_request_t *r);
static ngx_uint_t perm_accept_quality(u_char *p, u_char *last);
static ngx_uint_t perm_accept_is(u_char *p, u_char *last, char *type);


ngx_uint_t
perm_accept_html(ngx_http_request_t *r)
{
    u_char      *p, *last, *item, *type;
    ngx_str_t   *accept;
    ngx_uint_t   quality, html, other;

    accept = perm_accept_header(r);

    if (accept == NULL) {
        return 0;
    }

    html = 0;
    other = 0;

    p = accept->data;
    last = p + accept->len;

    while (p < last) {

        if (*p == ' ' || *p == '\t' || *p == ',') {
            p++;
            continue;
        }

        item = p;

        while (p < last && *p != ',') {
            p++;
        }

        for (type = item; type < p; type++) {
            if (*type == ';' || *type == ' ' || *type == '\t') {
                break;
            }
        }

        quality = perm_accept_quality(type, p);

        if (perm_accept_is(item, type, "text/html")) {
            html = ngx_max(html, quality);

        } else if (perm_accept_is(item, type, "application/json")
                   || perm_accept_is(item, type, "text/plain"))
        {
            other = ngx_max(other, quality);
        }
    }

    return html > other;
}


/* r->headers_in.accept is there in some builds only */

static ngx_str_t *
perm_accept_header(ngx_http_request_t *r)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (h[i].key.len == sizeof("accept") - 1
                && ngx_strncmp(h[i].lowcase_key, "accept", h[i].key.len) == 0)
            {
                return &h[i].value;
            }
        }
    }

    return NULL;
}


static ngx_uint_t
perm_accept_is(u_char *p, u_char *last, char *type)
{
    size_t  len;

    len = ngx_strlen(type);

    return (size_t) (last - p) == len
           && ngx_strncasecmp(p, (u_char *) type, len) == 0;
}


/* "q" of an item's parameters, in thousandths; 0 for an invalid one */

static ngx_uint_t
perm_accept_quality(u_char *p, u_char *last)
{
    u_char     *end;
    ngx_int_t   quality;

    for ( /* void */ ; last - p >= 3; p++) {

        if ((p[0] == ';' || p[0] == ' ' || p[0] == '\t')
            && (p[1] == 'q' || p[1] == 'Q') && p[2] == '=')
        {
            p += 3;
            end = p;

            while (end < last && (*end == '.' || (*end >= '0' && *end <= '9')))
            {
                end++;
            }

            quality = ngx_atofp(p, end - p, 3);

            return quality < 0 || quality > 1000 ? 0 : (ngx_uint_t) quality;
        }
    }

    return 1000;
}
