
#include "status/form.h"

#include "status/page_body.h"
#include "status/page_script.h"
#include "status/page_style.h"


/*
 * The document holds the status itself, so that it is whole at once; its
 * script asks for the next one.  Without scripts the verdict and the numbers
 * below are what is shown, and the browser loads the page again and again.
 */


#define perm_page_static(w, text)                                             \
    perm_writer_static(w, text, sizeof(text) - 1)


static void perm_page_head(perm_writer_t *w, u_char *nonce);
static void perm_page_verdict(perm_writer_t *w, perm_snapshot_t *s);
static void perm_page_problem(perm_writer_t *w, perm_alert_t *alert,
    ngx_uint_t first);
static void perm_page_numbers(perm_writer_t *w, perm_snapshot_t *s);


static const char *perm_page_severities[] = { "note", "warning", "error" };


void
perm_status_page(perm_writer_t *w, perm_snapshot_t *s, perm_zone_t *zone,
    perm_status_query_t *query, u_char *nonce)
{
    perm_str_t  host;

    perm_page_head(w, nonce);

    host.data = (char *) ngx_cycle->hostname.data;
    host.len = ngx_cycle->hostname.len;

    perm_writer_put(w, "<body>\n<header><b>App permission</b><span>");
    perm_writer_html(w, host);
    perm_writer_put(w, "</span><span id=\"live\">as of this moment</span>"
                    "</header>\n<main>\n");

    perm_page_verdict(w, s);
    perm_page_numbers(w, s);

    perm_writer_put(w, "<div class=\"parts\" id=\"parts\"></div>\n"
                    "<div class=\"figures\" id=\"figures\"></div>\n");
    perm_page_static(w, perm_page_body);

    perm_writer_put(w, "</main>\n<footer>The same as "
                    "<a href=\"?format=json\">JSON</a> and for "
                    "<a href=\"?format=prometheus\">Prometheus</a>. "
                    "Counts are of all workers, since the zone was made."
                    "</footer>\n"
                    "<script type=\"application/json\" id=\"data\">");
    perm_status_json(w, s, zone, query);

    perm_writer_put(w, "</script>\n<script nonce=\"%*s\">\n",
                    (size_t) PERM_NONCE_LEN, nonce);
    perm_page_static(w, perm_page_script_verdict);
    perm_page_static(w, perm_page_script_figures);
    perm_page_static(w, perm_page_script_tables);

    perm_writer_put(w, "</script>\n</body>\n</html>\n");
}


static void
perm_page_head(perm_writer_t *w, u_char *nonce)
{
    perm_writer_put(w, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n"
                    "<meta charset=\"utf-8\">\n"
                    "<meta name=\"viewport\" "
                    "content=\"width=device-width, initial-scale=1\">\n"
                    "<meta name=\"color-scheme\" content=\"light dark\">\n"
                    "<noscript><meta http-equiv=\"refresh\" content=\"5\">"
                    "</noscript>\n"
                    "<link rel=\"icon\" href=\"data:,\">\n"
                    "<title>App permission</title>\n<style nonce=\"%*s\">\n",
                    (size_t) PERM_NONCE_LEN, nonce);
    perm_page_static(w, perm_page_style);
    perm_writer_put(w, "</style>\n</head>\n");
}


static void
perm_page_verdict(perm_writer_t *w, perm_snapshot_t *s)
{
    ngx_uint_t        i, serious;
    perm_severity_t   worst;

    worst = s->nalerts ? s->alerts[0].severity : PERM_ALERT_NOTE;
    serious = (worst != PERM_ALERT_NOTE);

    perm_writer_put(w, "<section id=\"verdict\" class=\"%s\" role=\"status\">",
                    perm_page_severities[worst]);

    if (serious) {
        perm_page_problem(w, &s->alerts[0], 1);

    } else {
        perm_writer_put(w, "<div class=\"mark\">In order</div>"
                        "<h1>Every check is being decided.</h1>");
    }

    perm_writer_put(w, "<ul>");

    for (i = serious; i < s->nalerts; i++) {
        perm_page_problem(w, &s->alerts[i], 0);
    }

    perm_writer_put(w, "</ul></section>\n");
}


static void
perm_page_problem(perm_writer_t *w, perm_alert_t *alert, ngx_uint_t first)
{
    perm_str_t  text, advice;

    text.data = alert->text;
    text.len = alert->len;

    advice.data = alert->advice;
    advice.len = ngx_strlen(alert->advice);

    if (first) {
        perm_writer_put(w, "<h1>");
        perm_writer_html(w, text);
        perm_writer_put(w, ".</h1><p>");
        perm_writer_html(w, advice);
        perm_writer_put(w, "</p>");
        return;
    }

    perm_writer_put(w, "<li class=\"%s\"><b>",
                    perm_page_severities[alert->severity]);
    perm_writer_html(w, text);
    perm_writer_put(w, ".</b><span>");
    perm_writer_html(w, advice);
    perm_writer_put(w, "</span></li>");
}


/* for browsers without scripts */

static void
perm_page_numbers(perm_writer_t *w, perm_snapshot_t *s)
{
    static const char  *loaded[] = { "not asked yet", "loaded", "not loaded" };

    perm_writer_put(w, "<noscript><table><tbody>\n"
                    "<tr><th>Allowed</th><td>%ui</td></tr>\n"
                    "<tr><th>Denied</th><td>%ui</td></tr>\n"
                    "<tr><th>Failed</th><td>%ui</td></tr>\n"
                    "<tr><th>Let through by dry run</th><td>%ui</td></tr>\n",
                    s->allow, s->deny, s->fail, s->would_deny);

    perm_writer_put(w, "<tr><th>Cache hits, misses, stale</th>"
                    "<td>%uA, %uA, %uA</td></tr>\n"
                    "<tr><th>Redis</th><td>%s</td></tr>\n"
                    "<tr><th>Grant table</th><td>%s</td></tr>\n"
                    "<tr><th>Changes of grants</th><td>%s</td></tr>\n",
                    s->stats.cache[PERM_CACHE_HIT],
                    s->stats.cache[PERM_CACHE_MISS],
                    s->stats.cache[PERM_CACHE_STALE],
                    s->health.redis_up ? "up" : "down",
                    loaded[s->health.table < 3 ? s->health.table : 0],
                    s->health.tracking ? "pushed" : "not pushed");

    perm_writer_put(w, "<tr><th>Last accesses pending</th><td>%ui</td></tr>\n"
                    "<tr><th>Last accesses dropped</th><td>%ui</td></tr>\n"
                    "<tr><th>Grants ending within a day</th><td>%ui</td></tr>\n"
                    "</tbody></table></noscript>\n",
                    s->access.pending, s->access.dropped, s->expiring[0]);
}
