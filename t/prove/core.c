
/*
 * The rules of src/core on lines of standard input, for t/prove/core.t.  A line
 * has fields with a tab between them, and gets a line:
 *
 *   d policy gateway resource app of_gateway of_resource left now impossible
 *       -> outcome reason expires
 *   r value last now term        -> result end new_value
 *   n value last now term kept days,...
 *                                -> the notice that is due and not given yet
 *   q value                      -> status days at handled_at of a request
 *   b body                       -> days reason name ..., or "refused" why, of
 *                                   an application
 *
 * "\-" alone is an absent value.  In a field "\t", "\n", "\0" and "\\" are a
 * tab, the end of a line, NUL and "\".
 */


#include <stdio.h>
#include <stdlib.h>

#include "core/decision.h"
#include "core/notice.h"
#include "core/renewal.h"
#include "core/request.h"


#define FIELDS_MAX  10


static perm_str_t  field[FIELDS_MAX];


static void
split(char *line, size_t len)
{
    char        *in, *out, *end;
    unsigned     n;

    memset(field, 0, sizeof(field));

    n = 0;
    in = line;
    end = line + len;

    while (n < FIELDS_MAX) {
        out = in;
        field[n].data = in;

        while (in < end && *in != '\t') {
            if (*in == '\\' && in[1] == '-') {
                field[n].data = NULL;
                in += 2;

            } else if (*in == '\\') {
                in++;
                *out++ = *in == 't' ? '\t' : *in == 'n' ? '\n'
                         : *in == '0' ? '\0' : '\\';
                in++;

            } else {
                *out++ = *in++;
            }
        }

        field[n].len = field[n].data ? (size_t) (out - field[n].data) : 0;
        n++;

        if (in == end) {
            return;
        }

        in++;
    }
}


static int64_t
number(unsigned n)
{
    char  text[32];

    if (field[n].data == NULL) {
        return PERM_GRANT_ABSENT;
    }

    snprintf(text, sizeof(text), "%.*s", (int) field[n].len, field[n].data);

    return strtoll(text, NULL, 10);
}


static void
put(perm_str_t text)
{
    size_t  i;

    for (i = 0; i < text.len; i++) {
        switch (text.data[i]) {
        case '\t': fputs("\\t", stdout); break;
        case '\n': fputs("\\n", stdout); break;
        case '\0': fputs("\\0", stdout); break;
        case '\\': fputs("\\\\", stdout); break;
        default: putchar(text.data[i]);
        }
    }
}


static void
decide(void)
{
    perm_policy_t    policy;
    perm_grants_t    grants;
    perm_decision_t  decision;

    policy = perm_decision_policy(field[1]);

    if (policy == PERM_POLICY_OFF) {
        printf("\t\t-");
        return;
    }

    if (!perm_decision_early(policy, field[2], field[3], field[4], &decision)) {
        if (field[9].data) {
            decision = perm_decision_unavailable(field[9].data[0] == 'a');

        } else {
            grants.gateway = perm_grant_expires(field[5]);
            grants.resource = perm_grant_expires(field[6]);
            grants.left = field[7].data ? number(7) : PERM_GRANTS_ENDLESS;
            decision = perm_decision_make(&grants, number(8));
        }
    }

    printf("%s\t%s\t", perm_decision_outcome_name(decision.outcome),
           perm_decision_reason_name(decision.reason));

    if (decision.expires == PERM_GRANT_ABSENT) {
        printf("-");

    } else {
        printf("%lld", (long long) decision.expires);
    }
}


static void
renew(void)
{
    char                 *value;
    int64_t               end;
    perm_grant_t          grant;
    perm_renewal_t        result;
    perm_grant_change_t   change;

    grant = perm_grant_read(field[1]);

    if (grant.expires < 0) {
        printf("unreadable\t\t");
        return;
    }

    result = perm_renewal_decide(&grant, number(2), number(3), number(4), &end);
    printf("%s\t%lld\t", perm_renewal_name(result), (long long) end);

    if (result != PERM_RENEWED) {
        return;
    }

    memset(&change, 0, sizeof(perm_grant_change_t));
    change.expires = end;
    change.granted = PERM_GRANT_ABSENT;
    change.type = "auto_renew";

    value = perm_grant_rewrite(field[1], &change);
    if (value == NULL) {
        exit(1);
    }

    put(perm_str(value));
    free(value);
}


static void
notice(void)
{
    char          *p, *end;
    int64_t        renewed, due, days[16];
    unsigned       n;
    perm_grant_t   grant;

    grant = perm_grant_read(field[1]);
    n = 0;
    p = (char *) field[6].data;
    end = p + field[6].len;

    while (p < end && n < 16) {
        days[n++] = strtoll(p, &p, 10);
        p++;
    }

    due = PERM_NOTICE_NONE;

    if (grant.expires >= 0 && grant.expires < PERM_GRANT_PERMANENT
        && perm_renewal_decide(&grant, number(2), number(3), number(4),
                               &renewed) != PERM_RENEWED)
    {
        due = perm_notice_due(grant.expires, number(3), days, n);
    }

    if (due == PERM_NOTICE_NONE
        || perm_notice_told(field[5], grant.expires, due))
    {
        printf("-");

    } else {
        printf("%lld", (long long) due);
    }
}


static void
request(void)
{
    perm_request_t  r;

    r = perm_request_read(field[1]);
    printf("%s\t%lld\t%lld\t%lld", perm_request_status_name(r.status),
           (long long) r.days, (long long) r.at, (long long) r.handled_at);
}


static void
application(void)
{
    int                   too_many;
    unsigned              i;
    const char           *error;
    perm_request_body_t   body;

    error = perm_request_body(field[1], &body, &too_many);

    if (error) {
        printf("refused\t%s", too_many ? "too many" : "invalid");

    } else {
        printf("%lld\t", (long long) body.days);

        put(body.reason);

        for (i = 0; i < body.nnames; i++) {
            putchar('\t');
            put(body.names[i]);
        }
    }

    perm_request_body_free(&body);
}


int
main(void)
{
    char     *line;
    size_t    size;
    ssize_t   len;

    line = NULL;
    size = 0;

    while ((len = getline(&line, &size, stdin)) > 0) {
        line[--len] = '\0';
        split(line, (size_t) len);

        switch (field[0].data[0]) {
        case 'd': decide(); break;
        case 'r': renew(); break;
        case 'n': notice(); break;
        case 'q': request(); break;
        case 'b': application(); break;
        default: return 2;
        }

        putchar('\n');
    }

    free(line);

    return 0;
}
