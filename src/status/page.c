
#include "status/page.h"

#include "http/send.h"
#include "status/json.h"


#define PERM_PAGE_NONCE  32   /* hexadecimal digits */


/*
 * The page holds the status as JSON, so that it is complete at once; its
 * script asks for the next status.  Without scripts the page shows the worst
 * alert and a table of numbers, and the browser loads the page every 5 s.
 */


/* calls that page.html makes, see page.sh */

#define perm_page_static(text)     perm_page_write(w, text, sizeof(text) - 1)
#define perm_page_text(value)      perm_writer_html(w, value)
#define perm_page_number(member)   perm_writer_put(w, "%ui",                  \
                                                   (ngx_uint_t) s->member)
#define perm_page_alerts()         perm_page_list(w, s, serious)
#define perm_page_data()           perm_status_json(w, s, query)


static ngx_int_t perm_page_headers(ngx_http_request_t *r, perm_str_t *nonce);
static ngx_int_t perm_page_noise(ngx_http_request_t *r, u_char *noise,
    size_t size);
static void perm_page_write(perm_writer_t *w, const char *text, size_t len);
static void perm_page_list(perm_writer_t *w, perm_snapshot_t *s,
    ngx_uint_t first);


static const perm_str_t  perm_page_severities[] = {
    perm_string("note"),
    perm_string("warning"),
    perm_string("error")
};


ngx_int_t
perm_status_page(ngx_http_request_t *r, perm_writer_t *w, perm_snapshot_t *s,
    perm_lists_query_t *query)
{
    ngx_uint_t     serious;
    perm_str_t     nonce, host, severity, mark, headline, advice, redis,
                   table, changes;
    perm_alert_t  *worst;

    static const perm_str_t  marks[] = {
        perm_string("In order"),
        perm_string("Look at this"),
        perm_string("Act now")
    };

    static const perm_str_t  tables[] = {
        perm_string("not asked yet"),
        perm_string("loaded"),
        perm_string("not loaded")
    };

    if (perm_page_headers(r, &nonce) != NGX_OK) {
        return NGX_ERROR;
    }

    host.len = ngx_cycle->hostname.len;
    host.data = (char *) ngx_cycle->hostname.data;

    worst = &s->alerts[0];
    serious = (s->nalerts && worst->severity != PERM_ALERT_NOTE);

    if (serious) {
        severity = perm_page_severities[worst->severity];
        mark = marks[worst->severity];
        headline = perm_str(worst->text);
        advice = perm_str(worst->advice);

    } else {
        severity = perm_page_severities[PERM_ALERT_NOTE];
        mark = marks[PERM_ALERT_NOTE];
        headline = perm_str("Every check is being decided");
        advice = perm_str("");
    }

    redis = perm_str(s->health.redis_up ? "up" : "down");
    table = tables[s->table];
    changes = perm_str(s->health.tracking ? "pushed" : "not pushed");

#include "ngx_http_app_permission_page.h"

    return NGX_OK;
}


/* the nonce of the style and of the script, another one for each page */

static ngx_int_t
perm_page_headers(ngx_http_request_t *r, perm_str_t *nonce)
{
    u_char     noise[PERM_PAGE_NONCE / 2], *digits, *p;
    ngx_str_t  policy;

    static ngx_str_t  no_referrer = ngx_string("no-referrer");
    static char       format[] =
        "default-src 'none'; style-src 'nonce-%*s'; script-src 'nonce-%*s'; "
        "connect-src 'self'; img-src data:; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'";

    digits = ngx_pnalloc(r->pool, PERM_PAGE_NONCE);
    policy.data = ngx_pnalloc(r->pool, sizeof(format) + 2 * PERM_PAGE_NONCE);

    if (digits == NULL || policy.data == NULL
        || perm_page_noise(r, noise, sizeof(noise)) != NGX_OK)
    {
        return NGX_ERROR;
    }

    (void) ngx_hex_dump(digits, noise, sizeof(noise));

    nonce->len = PERM_PAGE_NONCE;
    nonce->data = (char *) digits;

    p = ngx_sprintf(policy.data, format, nonce->len, digits, nonce->len,
                    digits);
    policy.len = p - policy.data;

    if (perm_send_header(r, "Content-Security-Policy", &policy) != NGX_OK) {
        return NGX_ERROR;
    }

    return perm_send_header(r, "Referrer-Policy", &no_referrer);
}


static ngx_int_t
perm_page_noise(ngx_http_request_t *r, u_char *noise, size_t size)
{
    ssize_t   n;
    ngx_fd_t  fd;

    n = -1;
    fd = ngx_open_file((u_char *) "/dev/urandom", NGX_FILE_RDONLY,
                       NGX_FILE_OPEN, 0);

    if (fd != NGX_INVALID_FILE) {
        n = read(fd, noise, size);
        (void) ngx_close_file(fd);
    }

    if (n != (ssize_t) size) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, ngx_errno,
                      "no random bytes from \"/dev/urandom\" for the status "
                      "page: use \"?format=json\"");
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
perm_page_write(perm_writer_t *w, const char *text, size_t len)
{
    if (len < PERM_WRITER_LINE) {
        perm_writer_put(w, "%*s", len, text);
        return;
    }

    perm_writer_text(w, text, len);
}


static void
perm_page_list(perm_writer_t *w, perm_snapshot_t *s, ngx_uint_t first)
{
    ngx_uint_t     i;
    perm_alert_t  *alert;

    for (i = first; i < s->nalerts; i++) {
        alert = &s->alerts[i];

        perm_writer_put(w, "<li class=\"%s\"><b>",
                        perm_page_severities[alert->severity].data);
        perm_writer_html(w, perm_str(alert->text));
        perm_writer_put(w, ".</b><span>");
        perm_writer_html(w, perm_str(alert->advice));
        perm_writer_put(w, "</span></li>");
    }
}
