
#include "status/form.h"


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
#define perm_page_data()           perm_status_json(w, s, zone, query)


static void perm_page_write(perm_writer_t *w, const char *text, size_t len);
static void perm_page_list(perm_writer_t *w, perm_snapshot_t *s,
    ngx_uint_t first);


static const perm_str_t  perm_page_severities[] = {
    perm_string("note"),
    perm_string("warning"),
    perm_string("error")
};


void
perm_status_page(perm_writer_t *w, perm_snapshot_t *s, perm_zone_t *zone,
    perm_status_query_t *query, u_char *nonce_text)
{
    ngx_uint_t       serious;
    perm_str_t       nonce, host, severity, mark, headline, advice, redis,
                     table, changes;
    perm_alert_t    *worst;

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

    nonce.len = PERM_NONCE_LEN;
    nonce.data = (char *) nonce_text;

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
}


static void
perm_page_write(perm_writer_t *w, const char *text, size_t len)
{
    if (len < PERM_WRITER_LINE) {
        perm_writer_put(w, "%*s", len, text);
        return;
    }

    perm_writer_static(w, text, len);
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
