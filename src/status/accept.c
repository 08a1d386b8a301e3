
#include "status/accept.h"


static ngx_str_t *perm_accept_header(ngx_http_request_t *r);
static ngx_uint_t perm_accept_quality(ngx_str_t *accept, char *type);
static ngx_uint_t perm_accept_parameter(u_char *p, u_char *last);


ngx_uint_t
perm_accept_html(ngx_http_request_t *r)
{
    ngx_str_t   *accept;
    ngx_uint_t   html;

    accept = perm_accept_header(r);
    if (accept == NULL) {
        return 0;
    }

    html = perm_accept_quality(accept, "text/html");

    return html > perm_accept_quality(accept, "application/json")
           && html > perm_accept_quality(accept, "text/plain");
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


/* in thousandths; 0 for a type that the header does not name */

static ngx_uint_t
perm_accept_quality(ngx_str_t *accept, char *type)
{
    size_t       len;
    u_char      *p, *last, *end;
    ngx_uint_t   quality;

    len = ngx_strlen(type);
    last = accept->data + accept->len;
    quality = 0;

    for (p = accept->data; p < last; p = end + 1) {

        end = ngx_strlchr(p, last, ',');
        if (end == NULL) {
            end = last;
        }

        while (p < end && (*p == ' ' || *p == '\t')) {
            p++;
        }

        if ((size_t) (end - p) < len
            || ngx_strncasecmp(p, (u_char *) type, len) != 0)
        {
            continue;
        }

        p += len;

        if (p == end || *p == ';' || *p == ' ' || *p == '\t') {
            quality = ngx_max(quality, perm_accept_parameter(p, end));
        }
    }

    return quality;
}


/* "q" among the parameters of a type, in thousandths; 0 for an invalid one */

static ngx_uint_t
perm_accept_parameter(u_char *p, u_char *last)
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
