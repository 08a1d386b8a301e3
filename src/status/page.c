
#include "status/page.h"

#include <unistd.h>

#include "http/send.h"
#include "status/alerts.h"


#define PERM_PAGE_NONCE  32   /* hexadecimal digits */


/*
 * The page holds the status as JSON, so that it is complete at once; its
 * script asks for the next status.  Without scripts the page shows the worst
 * alert and a table of numbers, and the browser loads the page every 5 s.
 */


/* calls that page.html makes, see page.sh */

#define perm_page_static(text)     perm_writer_text(w, text, sizeof(text) - 1)
#define perm_page_text(value)      perm_writer_html(w, value)
#define perm_page_number(member)   perm_writer_put(w, "%ui",                  \
                                                   (ngx_uint_t) s->member)
#define perm_page_alerts()         perm_page_list(w, s, serious)
#define perm_page_data()           perm_status_json(w, s, lists)


static ngx_int_t perm_page_headers(ngx_http_request_t *r, perm_str_t *nonce);
static void perm_page_list(perm_writer_t *w, perm_snapshot_t *s,
    ngx_uint_t first);


ngx_int_t
perm_status_page(ngx_http_request_t *r, perm_writer_t *w, perm_snapshot_t *s,
    perm_lists_query_t *lists)
{
    ngx_uint_t     serious, level;
    perm_str_t     nonce, host, severity, mark, headline, advice, redis,
                   table, changes;
    perm_alert_t  *worst;

    static const char  *marks[] = { "In order", "Look at this", "Act now" };
    static const char  *tables[] = { "not asked yet", "loaded", "not loaded" };

    if (perm_page_headers(r, &nonce) != NGX_OK) {
        return NGX_ERROR;
    }

    host.len = ngx_cycle->hostname.len;
    host.data = (char *) ngx_cycle->hostname.data;

    worst = &s->alerts[0];
    serious = (s->nalerts && worst->severity != PERM_ALERT_NOTE);
    level = serious ? worst->severity : PERM_ALERT_NOTE;

    severity = perm_str(perm_alerts_severities[level]);
    mark = perm_str(marks[level]);
    headline = perm_str(serious ? worst->text : "Every check is being decided");
    advice = perm_str(serious ? worst->advice : "");

    redis = perm_str(s->health.redis_up ? "up" : "down");
    table = perm_str(s->health.redis_up ? tables[s->table]
                                        : "not known while Redis is down");
    changes = perm_str(s->health.tracking ? "pushed" : "not pushed");

#include "ngx_http_app_permission_page.h"

    return NGX_OK;
}


/* the nonce of the style and of the script, another one for each page */

static ngx_int_t
perm_page_headers(ngx_http_request_t *r, perm_str_t *nonce)
{
    u_char     noise[PERM_PAGE_NONCE / 2], *digits;
    ngx_str_t  policy;

    static ngx_str_t  no_referrer = ngx_string("no-referrer");
    static char       format[] =
        "default-src 'none'; style-src 'nonce-%*s'; script-src 'nonce-%*s'; "
        "connect-src 'self'; img-src data:; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'";

    if (getentropy(noise, sizeof(noise)) != 0) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, ngx_errno,
                      "getentropy() failed, no random bytes for the status "
                      "page: use \"?format=json\"");
        return NGX_ERROR;
    }

    digits = ngx_pnalloc(r->pool, sizeof(format) + 3 * PERM_PAGE_NONCE);
    if (digits == NULL) {
        return NGX_ERROR;
    }

    nonce->data = (char *) digits;
    nonce->len = PERM_PAGE_NONCE;

    policy.data = ngx_hex_dump(digits, noise, sizeof(noise));
    policy.len = ngx_sprintf(policy.data, format, nonce->len, digits,
                             nonce->len, digits)
                 - policy.data;

    if (perm_send_header(r, "Content-Security-Policy", &policy) != NGX_OK) {
        return NGX_ERROR;
    }

    return perm_send_header(r, "Referrer-Policy", &no_referrer);
}


static void
perm_page_list(perm_writer_t *w, perm_snapshot_t *s, ngx_uint_t first)
{
    ngx_uint_t     i;
    perm_alert_t  *alert;

    for (i = first; i < s->nalerts; i++) {
        alert = &s->alerts[i];

        perm_writer_put(w, "<li class=\"%s\"><b>",
                        perm_alerts_severities[alert->severity]);
        perm_writer_html(w, perm_str(alert->text));
        perm_writer_put(w, ".</b><span>");
        perm_writer_html(w, perm_str(alert->advice));
        perm_writer_put(w, "</span></li>");
    }
}
