
/*
 * Names, prefixes, keys, times, spans and URI references: whatever text is one
 * has to be one by the words of the contract, too.
 * sources: src/cli/util/time.c
 */


#include "fuzz.h"

#include <ctype.h>

#include "cli/util/time.h"
#include "core/decision.h"
#include "core/grant.h"
#include "core/grant_key.h"
#include "core/uri.h"


static void check_names(perm_str_t text);
static void check_keys(perm_str_t text);
static void check_times(const char *text);
static void check_uri(perm_str_t text);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char        *cut;
    perm_str_t   text;

    text = fuzz_copy(data, size);
    cut = fuzz_text(data, size);

    check_names(text);
    check_keys(text);
    check_times(cut);
    check_uri(text);

    check(perm_decision_policy(text) == PERM_POLICY_INVALID || size == 3
          || size == 4 || size == 8);

    free(cut);
    free((char *) text.data);

    return 0;
}


static void
check_names(perm_str_t text)
{
    check(perm_name_gateway_valid(text) == fuzz_name(text, 64));
    check(perm_name_app_valid(text) == fuzz_name(text, 128));
    check(perm_name_resource_valid(text)
          == (fuzz_name(text, 256)
              && !perm_str_equal(text, perm_str("-"))));
}


static void
check_keys(perm_str_t text)
{
    char         key[PERM_KEY_MAX];
    perm_str_t   built, gateway, app, prefix = perm_string("p:");

    check(perm_grant_key_slot(text) < PERM_CLUSTER_SLOTS);

    if (perm_grant_key_prefix_valid(text)) {
        check(fuzz_printable(text.data, text.len, " {}*?[]\\\""));
        check(text.len <= PERM_PREFIX_MAX);

        built.data = key;
        built.len = perm_grant_key(key, PERM_KEY_HISTORY, text,
                                   perm_str("gw"), perm_str("app"));
        check(built.len < PERM_KEY_MAX);
        check(perm_grant_key_parse(built, PERM_KEY_HISTORY, text, &gateway,
                                   &app));
        check(perm_str_equal(gateway, perm_str("gw"))
              && perm_str_equal(app, perm_str("app")));
    }

    if (perm_grant_key_parse(text, PERM_KEY_GRANTS, prefix, &gateway, &app)) {
        check(fuzz_name(gateway, 64) && fuzz_name(app, 128));

        built.data = key;
        built.len = perm_grant_key(key, PERM_KEY_GRANTS, prefix, gateway, app);
        check(perm_str_equal(built, text));
        check(perm_grant_key_slot(built)
              == perm_grant_key_slot((perm_str_t) { gateway.len + 1 + app.len,
                                                    gateway.data }));
    }
}


static void
check_times(const char *text)
{
    char     written[PERM_TIME_TEXT_SIZE];
    int64_t  seconds, span;

    seconds = perm_time_parse(text);

    if (seconds >= 0) {
        check(seconds <= PERM_GRANT_EXPIRES_MAX);
        check(*text >= '0' && *text <= '9');

        perm_time_format(seconds, written);
        check(perm_time_parse(written) == seconds);

    } else {
        check(seconds == PERM_TIME_INVALID || seconds == PERM_TIME_TOO_LARGE);
    }

    span = perm_time_span_parse(text, 0);

    check(span >= PERM_TIME_TOO_LARGE && span <= PERM_GRANT_EXPIRES_MAX);
    check(span < 0 || strspn(text, "0123456789smhd") == strlen(text));

    /* a plain number is one of days, and any other text the same span */

    if (span > 0) {
        check(perm_time_span_parse(text, 86400) == span);

    } else {
        span = perm_time_span_parse(text, 86400);
        check(span <= 0 || (strspn(text, "0123456789") == strlen(text)
                            && span == strtoll(text, NULL, 10) * 86400));
    }
}


static void
check_uri(perm_str_t text)
{
    size_t       i;
    const char  *hash;

    if (!perm_uri_reference_valid(text)) {
        return;
    }

    check(text.len);
    check(fuzz_printable(text.data, text.len, " \"<>\\^`{|}"));

    hash = memchr(text.data, '#', text.len);
    check(hash == NULL
          || memchr(hash + 1, '#', (size_t) (text.data + text.len - hash - 1))
             == NULL);

    for (i = 0; i < text.len; i++) {
        check(text.data[i] != '%'
              || (i + 2 < text.len && isxdigit((unsigned char) text.data[i + 1])
                  && isxdigit((unsigned char) text.data[i + 2])));
    }

    check(text.data[0] != ':');
}
