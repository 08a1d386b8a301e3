
#include "cli/util/args.h"

#include <stdio.h>
#include <string.h>

#include "cli/util/output.h"
#include "core/json.h"
#include "core/time.h"


#define OFFSET(member)  offsetof(perm_args_t, member)

#define NAME_BYTES      "A-Z a-z 0-9 . _ ~ @ / + -"

#define DAYS_MAX        9999999
#define DAYS_TOO_LARGE  "too large: at most 9999999 days"
#define TIME_TOO_LARGE  "too large: at most 253402300799, which is the end " \
                        "of the year 9999"


const perm_option_t  perm_global_options[] = {
    { "--redis", "URL", "where Redis is; else APP_PERMISSION_REDIS",
      PERM_ARG_TEXT, OFFSET(redis), 0 },
    { "--prefix", "P", "of all keys; else APP_PERMISSION_PREFIX, "
      "else app_permission:", PERM_ARG_TEXT, OFFSET(prefix), 0 },
    { "--json", NULL, "one JSON object a line on standard output",
      PERM_ARG_FLAG, OFFSET(json), 0 },
    { "--user", "NAME", "ACL user, in place of the URL's",
      PERM_ARG_TEXT, OFFSET(user), 0 },
    { "--password-file", "FILE", "its first line is the password",
      PERM_ARG_TEXT, OFFSET(password_file), 0 },
    { "--cacert", "FILE", "trusted certificates for TLS, else the system's",
      PERM_ARG_TEXT, OFFSET(cacert), 0 },
    { "--cert", "FILE", "own certificate for TLS",
      PERM_ARG_TEXT, OFFSET(cert), 0 },
    { "--key", "FILE", "its key", PERM_ARG_TEXT, OFFSET(key), 0 },
    { "--tls-name", "NAME", "expected in the certificate, else the host",
      PERM_ARG_TEXT, OFFSET(tls_name), 0 },
    { "--insecure", NULL, "do not verify the certificate",
      PERM_ARG_FLAG, OFFSET(insecure), 0 },
    { "--timeout", "SPAN", "of each wait for Redis, 10s",
      PERM_ARG_SPAN, OFFSET(timeout), 0 },
    { "--help", NULL, "this, or the help of a command",
      PERM_ARG_FLAG, OFFSET(help), 0 },
    { "--version", NULL, "the version", PERM_ARG_FLAG, OFFSET(version), 0 },
    PERM_OPTION_END
};


void
perm_args_init(perm_args_t *args)
{
    memset(args, 0, sizeof(perm_args_t));

    args->timeout = -1;
    args->days = -1;
    args->expires = -1;
    args->since = -1;
    args->unused_since = -1;
    args->expired_for = -1;
    args->term = -1;
}


static int
all_digits(const char *text, size_t len)
{
    return len != 0 && strspn(text, "0123456789") >= len;
}


static const char *
parse_days(const char *text, size_t len, int64_t *days)
{
    size_t  i;

    if (!all_digits(text, len)) {
        return "not a whole number of days";
    }

    *days = 0;

    for (i = 0; i < len; i++) {
        *days = *days * 10 + (text[i] - '0');

        if (*days > DAYS_MAX) {
            return DAYS_TOO_LARGE;
        }
    }

    return NULL;
}


static const char *
parse_day_list(const char *text, perm_days_t *list)
{
    size_t       len;
    const char  *wrong;

    list->n = 0;

    for ( ;; ) {
        len = strcspn(text, ",");

        if (list->n == PERM_DAYS_MAX) {
            return "more than 32 numbers";
        }

        wrong = parse_days(text, len, &list->days[list->n++]);

        if (wrong != NULL) {
            return all_digits(text, len) ? wrong
                                         : "not whole days as in 0,1,3,7,15";
        }

        if (text[len] == '\0') {
            return NULL;
        }

        text += len + 1;
    }
}


static const char *
parse_word(const char *text, const char *words, unsigned *index)
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


/* sets the member, and returns NULL or what is wrong with the value */

static const char *
set(perm_args_t *args, const perm_option_t *option, const char *value)
{
    int64_t      seconds;
    perm_str_t   text;
    char        *member;

    member = (char *) args + option->offset;

    if (option->kind == PERM_ARG_FLAG) {
        *(int *) member = 1;
        return NULL;
    }

    text = perm_str(value);

    switch (option->kind) {

    case PERM_ARG_GATEWAY:
        *(perm_str_t *) member = text;
        return perm_name_gateway_valid(text)
               ? NULL : "not 1 to 64 bytes of " NAME_BYTES;

    case PERM_ARG_RESOURCE:
        *(perm_str_t *) member = text;
        return perm_name_resource_valid(text)
               ? NULL : "not 1 to 256 bytes of " NAME_BYTES
                        ", nor may it be \"-\" alone";

    case PERM_ARG_APP:
        *(perm_str_t *) member = text;
        return perm_name_app_valid(text)
               ? NULL : "not 1 to 128 bytes of " NAME_BYTES;

    case PERM_ARG_NAME:
        *(perm_str_t *) member = text;
        return NULL;

    case PERM_ARG_TIME:
        seconds = perm_time_parse(text);
        *(int64_t *) member = seconds;

        if (seconds >= 0) {
            return NULL;
        }

        return all_digits(value, text.len)
               ? TIME_TOO_LARGE : "neither unix seconds nor RFC 3339 as in "
                                  "2027-03-01T00:00:00Z";

    case PERM_ARG_SPAN:
        seconds = perm_time_span_parse(text);
        *(int64_t *) member = seconds;
        return (seconds >= 0) ? NULL : "not a span as in 180d, 36h, 5m or 7s";

    case PERM_ARG_DAYS:
        return parse_days(value, text.len, (int64_t *) member);

    case PERM_ARG_DAY_LIST:
        return parse_day_list(value, (perm_days_t *) member);

    case PERM_ARG_WORD:
        return parse_word(value, option->value, (unsigned *) member);

    default:
        *(const char **) member = value;
        return NULL;
    }
}


static const perm_option_t *
find(const perm_option_t *options, const char *name, size_t len)
{
    for ( /* void */ ; options != NULL && options->name != NULL; options++) {
        if (strlen(options->name) == len
            && strncmp(options->name, name, len) == 0)
        {
            return options;
        }
    }

    return NULL;
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
        perm_fatal(PERM_EXIT_USAGE, "unknown option \"%s\"; see "
                   "\"app-permission %s%s--help\"", perm_escape_text(name),
                   command ? command : "", command ? " " : "");
    }

    if (option->kind == PERM_ARG_FLAG && value != NULL) {
        perm_fatal(PERM_EXIT_USAGE, "%s takes no value", option->name);
    }

    if (option->kind != PERM_ARG_FLAG && value == NULL) {
        if (*i + 1 >= argc) {
            perm_fatal(PERM_EXIT_USAGE, "%s needs a value: %s", option->name,
                       option->value);
        }

        value = argv[++*i];
    }

    wrong = set(args, option, value);

    if (wrong != NULL) {
        perm_fatal(PERM_EXIT_USAGE, "%s \"%s\": %s%s%s", option->name,
                   perm_escape_text(value), wrong,
                   option->kind == PERM_ARG_WORD ? ": " : "",
                   option->kind == PERM_ARG_WORD ? option->value : "");
    }
}


/* of the options that are ever required: all are strings */

static int
absent(const perm_args_t *args, const perm_option_t *option)
{
    return ((const perm_str_t *) (const void *)
            ((const char *) args + option->offset))->data == NULL;
}


void
perm_args_check(const perm_args_t *args, const char *command,
    const perm_option_t *options)
{
    for ( /* void */ ; options != NULL && options->name != NULL; options++) {
        if (options->required && absent(args, options)) {
            perm_fatal(PERM_EXIT_USAGE, "\"%s\" needs %s %s; see "
                       "\"app-permission %s --help\"", command, options->name,
                       options->value, command);
        }
    }
}


void
perm_args_help(const perm_option_t *options)
{
    char  name[64];

    for ( /* void */ ; options != NULL && options->name != NULL; options++) {
        snprintf(name, sizeof(name), "%s%s%s", options->name,
                 options->value ? " " : "",
                 options->value ? options->value : "");

        printf("  %-30s %s%s\n", name, options->text,
               options->required ? " (needed)" : "");
    }
}
