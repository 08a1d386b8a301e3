
#include "status/json.h"

#include "http/metrics.h"
#include "status/alerts.h"
#include "status/numbers.h"


static void perm_status_json_alerts(perm_writer_t *w, perm_snapshot_t *s);
static void perm_status_json_decisions(perm_writer_t *w,
    ngx_atomic_t counts[][PERM_REASONS], perm_outcome_t first);
static void perm_status_json_numbers(perm_writer_t *w, perm_snapshot_t *s);
static void perm_status_json_link_error(perm_writer_t *w,
    perm_link_error_t *error);
static void perm_status_json_latency(perm_writer_t *w, perm_snapshot_t *s);
static uint64_t perm_status_json_quantile(perm_histogram_cell_t *h,
    double wanted);
static void perm_status_json_history(perm_writer_t *w, perm_snapshot_t *s);


void
perm_status_json(perm_writer_t *w, perm_snapshot_t *s,
    perm_lists_query_t *lists)
{
    perm_writer_put(w, "{\"now\":%T,\"uptime_seconds\":%T,\"nginx\":\"%s\"",
                    s->now, ngx_max(s->now - (time_t) s->started, 0),
                    NGINX_VERSION);

    perm_status_json_alerts(w, s);

    perm_writer_put(w, ",\"requests\":{");
    perm_status_json_decisions(w, s->stats.requests[0], PERM_ALLOW);
    perm_writer_put(w, ",\"dry_run_denied\":%ui,\"dry_run\":{",
                    s->total.would_deny);
    perm_status_json_decisions(w, s->stats.requests[1], PERM_DENY);
    perm_writer_put(w, "}}");

    perm_status_json_numbers(w, s);
    perm_status_json_latency(w, s);
    perm_lists_json(w, s, lists);
    perm_status_json_history(w, s);

    perm_writer_put(w, "}" CRLF);
}


/* the member is called "problems": that name is published */

static void
perm_status_json_alerts(perm_writer_t *w, perm_snapshot_t *s)
{
    ngx_uint_t     i;
    perm_alert_t  *alert;

    perm_writer_put(w, ",\"problems\":[");

    for (i = 0; i < s->nalerts; i++) {
        alert = &s->alerts[i];

        perm_writer_put(w, "%s{\"severity\":\"%s\",\"name\":\"%s\",\"text\":",
                        i ? "," : "", perm_alerts_severities[alert->severity],
                        alert->name);
        perm_writer_json(w, perm_str(alert->text));
        perm_writer_put(w, ",\"advice\":");
        perm_writer_json(w, perm_str(alert->advice));
        perm_writer_put(w, "}");
    }

    perm_writer_put(w, "]");
}


/* "allow":{"open":1,...},"deny":{...},"fail":{...}, from "first" on */

static void
perm_status_json_decisions(perm_writer_t *w,
    ngx_atomic_t counts[][PERM_REASONS], perm_outcome_t first)
{
    ngx_int_t                      outcome;
    ngx_uint_t                     i;
    const perm_number_decision_t  *d;

    outcome = -1;

    for (i = 0; i < PERM_NUMBERS_DECISIONS; i++) {
        d = &perm_numbers_decisions[i];

        if (d->outcome < first) {
            continue;
        }

        if (outcome == (ngx_int_t) d->outcome) {
            perm_writer_put(w, ",");

        } else {
            perm_writer_put(w, "%s\"%s\":{", outcome < 0 ? "" : "},",
                            perm_decision_outcome_name(d->outcome));
            outcome = d->outcome;
        }

        perm_writer_put(w, "\"%s\":%uA", perm_decision_reason_name(d->reason),
                        counts[d->outcome][d->reason]);
    }

    perm_writer_put(w, "}");
}


static void
perm_status_json_numbers(perm_writer_t *w, perm_snapshot_t *s)
{
    ngx_uint_t            value;
    const char           *group;
    const perm_number_t  *number;

    static const perm_str_t  none = { 0, NULL };

    group = "";

    for (number = perm_numbers; number->group; number++) {

        if (number->member == NULL) {
            continue;
        }

        if (ngx_strcmp(number->group, group) == 0) {
            perm_writer_put(w, ",");

        } else {
            perm_writer_put(w, "%s,\"%s\":{", *group ? "}" : "",
                            number->group);
            group = number->group;
        }

        perm_writer_put(w, "\"%s\":", number->member);
        value = perm_numbers_value(s, number);

        switch (number->kind) {

        case PERM_NUMBER_FLAG:
            perm_writer_put(w, perm_writer_bool(value));
            break;

        case PERM_NUMBER_LOADED:
            perm_writer_put(w, value == PERM_TABLE_UNKNOWN ? "null"
                               : perm_writer_bool(value == PERM_TABLE_LOADED));
            break;

        case PERM_NUMBER_AGE:
            perm_writer_put(w, "%ui", value / 1000);
            break;

        case PERM_NUMBER_SERVER:
            perm_writer_json(w, *s->server.address
                                ? perm_str(s->server.address) : none);
            break;

        case PERM_NUMBER_LINK_ERROR:
            perm_status_json_link_error(w, &s->link_error);
            break;

        default:
            perm_writer_put(w, "%ui", value);
        }
    }

    perm_writer_put(w, "}");
}


static void
perm_status_json_link_error(perm_writer_t *w, perm_link_error_t *error)
{
    if (error->since == 0) {
        perm_writer_put(w, "null");
        return;
    }

    perm_writer_put(w, "{\"since\":%T,\"last\":%T,\"over\":%s,\"address\":",
                    error->since, error->last, perm_writer_bool(error->over));
    perm_writer_json(w, perm_str(error->address));
    perm_writer_put(w, ",\"cause\":");
    perm_writer_json(w, perm_str(error->cause));
    perm_writer_put(w, "}");
}


/* bucket i counts the values up to 2^i usec, of one in "sampled" */

static void
perm_status_json_latency(perm_writer_t *w, perm_snapshot_t *s)
{
    ngx_uint_t              i, k, n;
    perm_histogram_cell_t  *h;

    static const char  *names[] = { "hit", "miss", "redis" };

    perm_writer_put(w, ",\"latency_us\":{");

    for (i = 0; i < PERM_HISTOGRAMS; i++) {
        h = &s->stats.histograms[i];
        n = 0;

        for (k = 0; k < PERM_HISTOGRAM_BUCKETS; k++) {
            n += h->count[k];
        }

        perm_writer_put(w, "%s\"%s\":{\"count\":%ui,\"sampled\":%d,"
                        "\"sum\":%uA,\"p50\":%uL,\"p99\":%uL,\"buckets\":[",
                        i ? "," : "", names[i], n,
                        i == PERM_HISTOGRAM_HIT ? PERM_METRICS_SAMPLE : 1,
                        h->sum, perm_status_json_quantile(h, 0.5 * n),
                        perm_status_json_quantile(h, 0.99 * n));

        for (k = 0; k < PERM_HISTOGRAM_BUCKETS; k++) {
            perm_writer_put(w, "%s%uA", k ? "," : "", h->count[k]);
        }

        perm_writer_put(w, "]}");
    }

    perm_writer_put(w, "}");
}


/*
 * The upper bound, usec, of the bucket in which so many of the values are
 * reached; 0 for an empty histogram.
 */

static uint64_t
perm_status_json_quantile(perm_histogram_cell_t *h, double wanted)
{
    ngx_uint_t  i, n;

    n = h->count[0];

    for (i = 0; n < wanted && i < PERM_HISTOGRAM_BUCKETS - 1; i++) {
        n += h->count[i + 1];
    }

    return wanted > 0 ? (uint64_t) 1 << i : 0;
}


/* counters since start, oldest first */

static void
perm_status_json_history(perm_writer_t *w, perm_snapshot_t *s)
{
    ngx_uint_t             i;
    perm_history_point_t  *p;

    perm_writer_put(w, ",\"history\":{\"columns\":[\"time\",\"allow\","
                    "\"deny\",\"fail\",\"would_deny\",\"hit\",\"miss\","
                    "\"stale\"],\"rows\":[");

    for (i = 0; i < s->npoints; i++) {
        p = &s->points[i];

        perm_writer_put(w, "%s[%T,%ui,%ui,%ui,%ui,%ui,%ui,%ui]",
                        i ? "," : "", p->time, p->allow, p->deny, p->fail,
                        p->would_deny, p->hit, p->miss, p->stale);
    }

    perm_writer_put(w, "]}");
}
