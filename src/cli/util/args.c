
#include "cli/util/args.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/util/output.h"
#include "cli/util/time.h"
#include "core/renewal.h"


#define NAME_BYTES      "A-Z a-z 0-9 . _ ~ @ / + -"
#define DAYS_MAX        9999999


static const perm_option_t *find(const perm_option_t *options,
    const char *name, size_t len);
static const char *set(perm_args_t *args, const perm_option_t *option,
    const char *value);
static const char *set_days(const char *text, size_t len, int64_t *days);
static const char *set_day_list(const char *text, perm_days_t *list);
static const char *set_word(const char *text, const char *words,
    unsigned *index);
static int all_digits(const char *text, size_t len);


static const struct {
    int        (*valid)(perm_str_t name);
    const char  *wrong;
} names[] = {
    [PERM_ARG_NAME] = { NULL, NULL },
    [PERM_ARG_GATEWAY] = { perm_name_gateway_valid,
                           "not 1 to 64 bytes of " NAME_BYTES },
    [PERM_ARG_RESOURCE] = { perm_name_resource_valid,
                            "not 1 to 256 bytes of " NAME_BYTES
                            ", nor may it be \"-\" alone" },
    [PERM_ARG_APP] = { perm_name_app_valid,
                       "not 1 to 128 bytes of " NAME_BYTES }
};


const perm_option_t  perm_global_options[] = {
    { "--redis", "URL", "where Redis is; else APP_PERMISSION_REDIS",
      PERM_OPTION(TEXT, redis) },
    { "--prefix", "P", "of all keys; else APP_PERMISSION_PREFIX, "
      "else app_permission:", PERM_OPTION(TEXT, prefix) },
    { "--json", NULL, "one JSON object a line on standard output",
      PERM_OPTION(FLAG, json) },
    { "--user", "NAME", "ACL user, in place of the URL's",
      PERM_OPTION(TEXT, user) },
    { "--password-file", "FILE", "its first line is the password",
      PERM_OPTION(TEXT, password_file) },
    { "--cacert", "FILE", "trusted certificates for TLS, else the system's",
      PERM_OPTION(TEXT, cacert) },
    { "--cert", "FILE", "own certificate for TLS", PERM_OPTION(TEXT, cert) },
    { "--key", "FILE", "its key", PERM_OPTION(TEXT, key) },
    { "--tls-name", "NAME", "expected in the certificate, else the host",
      PERM_OPTION(TEXT, tls_name) },
    { "--insecure", NULL, "do not verify the certificate",
      PERM_OPTION(FLAG, insecure) },
    { "--timeout", "SPAN", "of each wait for Redis, 10s",
      PERM_OPTION(SPAN, timeout) },
    { "--help", NULL, "this, or the help of a command",
      PERM_OPTION(FLAG, help) },
    { "--version", NULL, "the version", PERM_OPTION(FLAG, version) },
    PERM_OPTION_END
};


void
perm_args_init(perm_args_t *args)
{
    memset(args, 0, sizeof(perm_args_t));

    args->timeout = 10;
    args->days = -1;
    args->expires = -1;
    args->since = -1;
    args->unused_since = -1;
    args->expired_for = 365 * 86400;
    args->term = PERM_TERM_DEFAULT;
}


void
perm_args_take(perm_args_t *args, const char *command,
    const perm_option_t *options, int argc, char **argv, int *i)
{
    size_t                len;
    const char           *name, *value, *wrong;
    const perm_option_t  *option;

    name = argv[*i];
    len = strcspn(name, "=");
    value = name[len] ? name + len + 1 : NULL;

    option = find(options, name, len);

    if (option == NULL) {
        option = find(perm_global_options, name, len);
    }

    if (option == NULL) {
        perm_output_fatal(PERM_EXIT_USAGE, "unknown option \"%s\"; see "
                          "\"app-permission %s%s--help\"",
                          perm_output_safe_text(name), command ? command : "",
                          command ? " " : "");
    }

    if (option->kind == PERM_ARG_FLAG && value != NULL) {
        perm_output_fatal(PERM_EXIT_USAGE, "%s takes no value", option->name);
    }

    if (option->kind != PERM_ARG_FLAG && value == NULL) {
        if (*i + 1 >= argc) {
            perm_output_fatal(PERM_EXIT_USAGE, "%s needs a value: %s",
                              option->name, option->value);
        }

        value = argv[++*i];
    }

    wrong = set(args, option, value);

    if (wrong != NULL) {
        perm_output_fatal(PERM_EXIT_USAGE, "%s \"%s\": %s%s%s", option->name,
                          perm_output_safe_text(value), wrong,
                          option->kind == PERM_ARG_WORD ? ": " : "",
                          option->kind == PERM_ARG_WORD ? option->value : "");
    }
}


static const perm_option_t *
find(const perm_option_t *options, const char *name, size_t len)
{
    for ( /* void */ ; options->name != NULL; options++) {
        if (strlen(options->name) == len
            && strncmp(options->name, name, len) == 0)
        {
            return options;
        }
    }

    return NULL;
}


/* sets the member, and returns NULL or what is wrong with the value */

static const char *
set(perm_args_t *args, const perm_option_t *option, const char *value)
{
    void       *member;
    int64_t    *seconds;
    perm_str_t  text;

    member = (char *) args + option->offset;
    seconds = member;
    text = value ? perm_str(value) : perm_str("");

    switch (option->kind) {

    case PERM_ARG_FLAG:
        *(int *) member = 1;
        return NULL;

    case PERM_ARG_NAME:
    case PERM_ARG_GATEWAY:
    case PERM_ARG_RESOURCE:
    case PERM_ARG_APP:
        *(perm_str_t *) member = text;
        return (names[option->kind].valid == NULL
                || names[option->kind].valid(text))
               ? NULL : names[option->kind].wrong;

    case PERM_ARG_TIME:
        *seconds = perm_time_parse(value);
        return (*seconds >= 0) ? NULL
               : all_digits(value, text.len)
               ? "too large: at most 253402300799, which is the end of the "
                 "year 9999"
               : "neither unix seconds nor RFC 3339 as in "
                 "2027-03-01T00:00:00Z";

    case PERM_ARG_SPAN:
    case PERM_ARG_TERM:
        *seconds = perm_time_span_parse(value);
        return (*seconds < 0) ? "not a span as in 180d, 36h, 5m or 7s"
               : (*seconds == 0 && option->kind == PERM_ARG_TERM)
               ? "a term is at least 1s" : NULL;

    case PERM_ARG_DAYS:
        return set_days(value, text.len, member);

    case PERM_ARG_DAY_LIST:
        return set_day_list(value, member);

    case PERM_ARG_WORD:
        return set_word(value, option->value, member);

    default:
        *(const char **) member = value;
        return NULL;
    }
}


static const char *
set_days(const char *text, size_t len, int64_t *days)
{
    if (!all_digits(text, len)) {
        return "not a whole number of days";
    }

    errno = 0;
    *days = strtoll(text, NULL, 10);

    return (errno || *days > DAYS_MAX) ? "too large: at most 9999999 days"
                                       : NULL;
}


static const char *
set_day_list(const char *text, perm_days_t *list)
{
    size_t       len;
    const char  *wrong;

    for (list->n = 0; list->n < PERM_DAYS_MAX; text += len + 1) {
        len = strcspn(text, ",");

        if (!all_digits(text, len)) {
            return "not whole days as in 0,1,3,7,15";
        }

        wrong = set_days(text, len, &list->days[list->n++]);

        if (wrong != NULL || text[len] == '\0') {
            return wrong;
        }
    }

    return "more than 32 numbers";
}


static const char *
set_word(const char *text, const char *words, unsigned *index)
{
    size_t  len;

    for (*index = 0; /* void */ ; (*index)++) {
        len = strcspn(words, "|");

        if (strlen(text) == len && strncmp(text, words, len) == 0) {
            return NULL;
        }

        if (words[len] == '\0') {
            return "not one of the words it takes";
        }

        words += len + 1;
    }
}


static int
all_digits(const char *text, size_t len)
{
    return len != 0 && strspn(text, "0123456789") >= len;
}


void
perm_args_check(const perm_args_t *args, const char *command,
    const perm_option_t *options)
{
    const perm_str_t  *value;

    for ( /* void */ ; options->name != NULL; options++) {

        if (!options->required) {
            continue;
        }

        /* every option that is required is a name */

        value = (const void *) ((const char *) args + options->offset);

        if (value->data == NULL) {
            perm_output_fatal(PERM_EXIT_USAGE, "\"%s\" needs %s %s; see "
                              "\"app-permission %s --help\"", command,
                              options->name, options->value, command);
        }
    }
}


void
perm_args_help(const perm_option_t *options)
{
    char  name[64];

    for ( /* void */ ; options->name != NULL; options++) {
        snprintf(name, sizeof(name), "%s%s%s", options->name,
                 options->value ? " " : "",
                 options->value ? options->value : "");

        printf("  %-30s %s%s\n", name, options->text,
               options->required ? " (needed)" : "");
    }
}
