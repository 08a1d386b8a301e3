
#include "cli/util/args.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/util/alloc.h"
#include "cli/util/notify.h"
#include "cli/util/output.h"
#include "cli/util/similar.h"
#include "cli/util/time.h"
#include "core/json.h"
#include "core/renewal.h"


#define DAY             86400
#define SPAN_TOO_LARGE  "too large: it ends after the year 9999"
#define NUMBER_DIGITS   15
#define TYPE_MAX        64      /* bytes, as the next two */
#define BY_MAX          128
#define TEXT_MAX        4096


static const perm_option_t *find(const perm_option_t *options,
    const char *name, size_t len);
static const perm_option_t *find_in(const perm_option_t *options,
    const char *name, size_t len);
static const char *set(perm_args_t *args, const perm_option_t *option,
    const char *value);
static void unknown(const char *command, const perm_option_t *options,
    const char *name, size_t len) __attribute__((noreturn));
static const char *set_name(const perm_option_t *option, perm_str_t text,
    perm_str_t *name);
static const char *add_name(perm_str_t text, perm_names_t *names);
static const char *set_time(perm_arg_kind_t kind, const char *text,
    perm_args_time_t *time);
static const char *set_span(perm_arg_kind_t kind, const char *text,
    int64_t *seconds);
static const char *set_day_list(const char *text, perm_days_t *list);
static const char *set_number(const char *text, size_t len, int64_t *number);
static const char *set_limit(const char *text, perm_limit_t *limit);
static const char *set_word(const char *text, const char *words,
    unsigned *index);
static unsigned global_option(const perm_args_t *args, const void *member);
static int all_digits(const char *text, size_t len);
static void check_text(const char *option, const char *text, size_t max,
    int plain);


static const struct {
    int        (*valid)(perm_str_t name);
    const char  *wrong;
} names[] = {
    [PERM_ARG_NAME] = { NULL, NULL },
    [PERM_ARG_GATEWAY] = { perm_name_gateway_valid, PERM_NAME_GATEWAY },
    [PERM_ARG_RESOURCE] = { perm_name_resource_valid, PERM_NAME_RESOURCE },
    [PERM_ARG_APP] = { perm_name_app_valid, PERM_NAME_APP }
};


const perm_option_t  perm_global_options[] = {
    { "--redis", "URL", "where Redis is",
      PERM_OPTION_VARIABLE(redis, "APP_PERMISSION_REDIS") },
    { "--prefix", "P", "of all keys, app_permission:",
      PERM_OPTION_VARIABLE(prefix, "APP_PERMISSION_PREFIX") },
    { "--json", NULL, "one JSON object a line on standard output",
      PERM_OPTION(FLAG, json) },
    { "--user", "NAME", "ACL user, in place of the URL's",
      PERM_OPTION_VARIABLE(user, "APP_PERMISSION_USER") },
    { "--password-file", "FILE", "its first line is the password",
      PERM_OPTION_VARIABLE(password_file, "APP_PERMISSION_PASSWORD_FILE") },
    { "--cacert", "FILE", "trusted certificates for TLS, else the system's",
      PERM_OPTION_VARIABLE(cacert, "APP_PERMISSION_CACERT") },
    { "--cert", "FILE", "own certificate for TLS",
      PERM_OPTION_VARIABLE(cert, "APP_PERMISSION_CERT") },
    { "--key", "FILE", "its key",
      PERM_OPTION_VARIABLE(key, "APP_PERMISSION_KEY") },
    { "--tls-name", "NAME", "expected in the certificate, else the host",
      PERM_OPTION(TEXT, tls_name) },
    { "--insecure", NULL, "do not verify the certificate",
      PERM_OPTION(FLAG, insecure) },
    { "--timeout", "SPAN", "of each wait for Redis, 10s",
      PERM_OPTION(SPAN, timeout) },
    { "--help", NULL, "this, or the help of a command; also -h",
      PERM_OPTION(FLAG, help) },
    { "--version", NULL, "the version", PERM_OPTION(FLAG, version) },
    PERM_OPTION_END
};


void
perm_args_init(perm_args_t *args)
{
    memset(args, 0, sizeof(perm_args_t));

    args->timeout = 10;
    args->period = -1;
    args->expired_for = 365 * 86400;
    args->term = PERM_TERM_DEFAULT;
    args->max_removals.n = -1;
}


void
perm_args_take(perm_args_t *args, const char *command,
    const perm_option_t *options, char **argv, int *i)
{
    size_t                len;
    const char           *name, *value, *wrong;
    const perm_option_t  *option;

    name = strcmp(argv[*i], "-h") == 0 ? "--help" : argv[*i];
    len = strcspn(name, "=");
    value = name[len] ? name + len + 1 : NULL;

    option = find(options, name, len);

    if (option == NULL) {
        unknown(command, options, name, len);
    }

    if (option->kind == PERM_ARG_FLAG && value != NULL) {
        perm_output_fatal(PERM_EXIT_USAGE, "%s takes no value", option->name);
    }

    if (option->kind != PERM_ARG_FLAG && value == NULL) {
        value = argv[++*i];

        /* what begins as an option does is given as "--app=--name" */

        if (value == NULL
            || find(options, value, strcspn(value, "=")) != NULL)
        {
            perm_output_fatal(PERM_EXIT_USAGE, "option %s needs a value, as in "
                              "%s %s", option->name, option->name,
                              option->value);
        }
    }

    wrong = set(args, option, value);

    if (wrong != NULL) {
        perm_output_fatal(PERM_EXIT_USAGE, "%s \"%s\": %s%s%s", option->name,
                          perm_output_safe_text(value), wrong,
                          option->kind == PERM_ARG_WORD ? ": " : "",
                          option->kind == PERM_ARG_WORD ? option->value : "");
    }
}


/* one of the command, or of every command */

static const perm_option_t *
find(const perm_option_t *options, const char *name, size_t len)
{
    const perm_option_t  *option;

    option = find_in(options, name, len);

    return option ? option : find_in(perm_global_options, name, len);
}


static const perm_option_t *
find_in(const perm_option_t *options, const char *name, size_t len)
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


static void
unknown(const char *command, const perm_option_t *options, const char *name,
    size_t len)
{
    char                  word[64];
    perm_similar_t        similar;
    const perm_option_t  *option;

    snprintf(word, sizeof(word), "%.*s", (int) len, name);
    perm_similar_init(&similar, word);

    for (option = options; option->name != NULL; option++) {
        perm_similar_offer(&similar, option->name);
    }

    if (options != perm_global_options) {
        for (option = perm_global_options; option->name != NULL; option++) {
            perm_similar_offer(&similar, option->name);
        }
    }

    perm_output_fatal(PERM_EXIT_USAGE, "unknown option \"%s\"%s See "
                      "\"app-permission %s%s--help\"",
                      perm_output_safe_text(name),
                      similar.text[0] ? similar.text : ".",
                      command ? command : "", command ? " " : "");
}


/* sets the member, and returns NULL or what is wrong with the value */

static const char *
set(perm_args_t *args, const perm_option_t *option, const char *value)
{
    void       *member;
    perm_str_t  text;

    member = (char *) args + option->offset;
    text = value ? perm_str(value) : perm_str("");

    switch (option->kind) {

    case PERM_ARG_FLAG:
        *(int *) member = 1;
        return NULL;

    case PERM_ARG_NAME:
    case PERM_ARG_GATEWAY:
    case PERM_ARG_RESOURCE:
    case PERM_ARG_APP:
        return set_name(option, text, member);

    case PERM_ARG_RESOURCES:
        return add_name(text, member);

    case PERM_ARG_END:
    case PERM_ARG_SINCE:
        return set_time(option->kind, value, member);

    case PERM_ARG_SPAN:
    case PERM_ARG_TERM:
    case PERM_ARG_DAYS:
        return set_span(option->kind, value, member);

    case PERM_ARG_NUMBER:
        return set_number(value, text.len, member);

    case PERM_ARG_LIMIT:
        return set_limit(value, member);

    case PERM_ARG_DAY_LIST:
        return set_day_list(value, member);

    case PERM_ARG_WORD:
        return set_word(value, option->value, member);

    default:
        *(const char **) member = value;
        return NULL;
    }
}


/* one that is given twice may be a mistake: one of the two would be lost */

static const char *
set_name(const perm_option_t *option, perm_str_t text, perm_str_t *name)
{
    if (name->data != NULL) {
        return "it is given twice, and one is taken";
    }

    *name = text;

    return (names[option->kind].valid == NULL
            || names[option->kind].valid(text))
           ? NULL : names[option->kind].wrong;
}


static const char *
add_name(perm_str_t text, perm_names_t *names)
{
    size_t  i;

    for (i = 0; i < names->n && !perm_str_equal(names->list[i], text); i++) {
        /* void */
    }

    if (i == names->n) {
        names->list = perm_alloc_room(names->list, &names->size, i + 1,
                                      sizeof(perm_str_t));
        names->list[names->n++] = text;
    }

    return perm_name_resource_valid(text) ? NULL : PERM_NAME_RESOURCE;
}


static const char *
set_time(perm_arg_kind_t kind, const char *text, perm_args_time_t *time)
{
    time->given = 1;
    time->seconds = perm_time_parse(text);
    time->relative = (time->seconds == PERM_TIME_INVALID);

    if (time->relative) {
        time->seconds = perm_time_span_parse(text, 0);
    }

    if (time->seconds < 0) {
        return (*text == '-')
               ? PERM_TIME_WRONG_NEGATIVE "; a span has no sign, as in 30d"
               : (time->seconds == PERM_TIME_INVALID)
               ? PERM_TIME_WRONG ", nor a span as in 30d"
               : time->relative ? SPAN_TOO_LARGE : PERM_TIME_WRONG_TOO_LARGE;
    }

    if (time->relative && kind == PERM_ARG_SINCE) {
        time->seconds = -time->seconds;
    }

    return (time->relative && time->seconds == 0) ? "a span of nothing" : NULL;
}


int64_t
perm_args_time(const perm_args_time_t *time, int64_t now)
{
    int64_t  seconds;

    seconds = time->seconds + (time->relative ? now : 0);

    return !time->given ? -1 : (seconds < 0) ? 0 : seconds;
}


static const char *
set_span(perm_arg_kind_t kind, const char *text, int64_t *seconds)
{
    *seconds = perm_time_span_parse(text, kind == PERM_ARG_DAYS ? DAY : 0);

    if (*seconds == PERM_TIME_TOO_LARGE) {
        return SPAN_TOO_LARGE;
    }

    if (*seconds < 0) {
        return (*text == '-') ? "a span is not negative"
               : (kind != PERM_ARG_DAYS)
               ? "not a span as in 180d, 36h, 5m or 7s"
               : (perm_time_parse(text) < 0)
               ? "neither whole days nor a span as in 180d, 36h, 5m or 7s"
               : "neither whole days nor a span as in 180d; "
                 "\"grant --expires\" takes a time";
    }

    if (*seconds == 0 && kind == PERM_ARG_TERM) {
        return "a term is at least 1s";
    }

    /* "0" is permanent: no span of nothing may become that */

    return (*seconds == 0 && kind == PERM_ARG_DAYS && strcmp(text, "0") != 0)
           ? "a span of nothing; \"0\" alone has a meaning" : NULL;
}


static const char *
set_day_list(const char *text, perm_days_t *list)
{
    char         day[32];
    size_t       len;
    int64_t      seconds;

    for (list->n = 0; list->n < PERM_DAYS_MAX; text += len + 1) {
        len = strcspn(text, ",");
        snprintf(day, sizeof(day), "%.*s", (int) len, text);

        seconds = (len < sizeof(day)) ? perm_time_span_parse(day, DAY)
                                      : PERM_TIME_INVALID;

        if (seconds == PERM_TIME_TOO_LARGE) {
            return SPAN_TOO_LARGE;
        }

        if (seconds < 0 || seconds % DAY) {
            return "not whole days as in 0,1,3,7,15";
        }

        list->days[list->n++] = seconds / DAY;

        if (text[len] == '\0') {
            return NULL;
        }
    }

    return "more than 32 numbers";
}


static const char *
set_number(const char *text, size_t len, int64_t *number)
{
    if (!all_digits(text, len) || len > NUMBER_DIGITS) {
        return "not a number of up to 15 digits";
    }

    *number = strtoll(text, NULL, 10);

    return NULL;
}


static const char *
set_limit(const char *text, perm_limit_t *limit)
{
    size_t  len;

    len = strlen(text);
    limit->percent = (len && text[len - 1] == '%');
    len -= (size_t) limit->percent;

    return (set_number(text, len, &limit->n) != NULL
            || (limit->percent && limit->n > 100))
           ? "neither a number nor 0% to 100%" : NULL;
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
perm_args_environment(perm_args_t *args)
{
    size_t        i;
    const char   *value, **member;

    for (i = 0; perm_global_options[i].name != NULL; i++) {

        if (perm_global_options[i].variable == NULL) {
            continue;
        }

        member = (void *) ((char *) args + perm_global_options[i].offset);
        value = getenv(perm_global_options[i].variable);

        if (*member == NULL && value != NULL && *value != '\0') {
            *member = value;
            args->environment |= 1u << i;
        }
    }
}


int
perm_args_inherited(const perm_args_t *args, const void *member)
{
    return args->environment >> global_option(args, member) & 1;
}


const char *
perm_args_source(const perm_args_t *args, const void *member)
{
    const perm_option_t  *option;

    option = &perm_global_options[global_option(args, member)];

    return perm_args_inherited(args, member) ? option->variable
                                             : option->name;
}


/* the index of the option with that member */

static unsigned
global_option(const perm_args_t *args, const void *member)
{
    size_t    offset;
    unsigned  i;

    offset = (size_t) ((const char *) member - (const char *) args);

    for (i = 0; perm_global_options[i].offset != offset; i++) { /* void */ }

    return i;
}


void
perm_args_check(const perm_args_t *args, const char *command,
    const perm_option_t *options)
{
    const char  *value;
    const void  *member;

    for ( /* void */ ; options->name != NULL; options++) {

        if (!options->required) {
            continue;
        }

        /* every option that is required is a text or a name */

        member = (const char *) args + options->offset;
        value = (options->kind == PERM_ARG_TEXT)
                ? *(const char *const *) member
                : ((const perm_str_t *) member)->data;

        if (value == NULL) {
            perm_output_fatal(PERM_EXIT_USAGE, "\"%s\" needs %s %s; see "
                              "\"app-permission %s --help\"", command,
                              options->name, options->value, command);
        }
    }

    check_text("--type", args->type, TYPE_MAX, 1);
    check_text("--by", args->by, BY_MAX, 1);
    check_text("--comment", args->comment, TEXT_MAX, 0);
    check_text("--reason", args->reason, TEXT_MAX, 0);

    if (args->notify != NULL) {
        perm_notify_check(args->notify);
    }
}


/*
 * UTF-8, as JSON wants it; a plain text also without control bytes, as logs
 * want it, quotes and backslashes
 */

static void
check_text(const char *option, const char *text, size_t max, int plain)
{
    char    escaped[TEXT_MAX * PERM_JSON_ESCAPE + 1];
    size_t  len, i;

    if (text == NULL) {
        return;
    }

    len = strlen(text);

    if (len == 0 || len > max
        || (plain && strcspn(text, "\"\\\x7f") != len))
    {
        perm_output_fatal(PERM_EXIT_USAGE, "%s \"%s\": not 1 to %zu bytes%s",
                          option, perm_output_safe_text(text), max,
                          plain ? " without quotes and backslashes" : "");
    }

    escaped[perm_json_escape(escaped, perm_str(text))] = '\0';

    for (i = 0; i < len && (unsigned char) text[i] >= ' '; i++) { /* void */ }

    if ((plain && i < len) || strstr(escaped, "\\ufffd") != NULL) {
        perm_output_fatal(PERM_EXIT_USAGE, "%s \"%s\": not UTF-8%s", option,
                          perm_output_safe_text(text),
                          plain ? " without control bytes" : "");
    }
}


void
perm_args_help(const perm_option_t *options)
{
    int   len;
    char  name[64];

    for ( /* void */ ; options->name != NULL; options++) {
        len = snprintf(name, sizeof(name), "%s%s%s", options->name,
                       options->value ? " " : "",
                       options->value ? options->value : "");

        /* a long name has a line of its own */

        printf("  %-30s%s%*s %s%s%s%s\n", name, len > 30 ? "\n" : "",
               len > 30 ? 32 : 0, "", options->text,
               options->required ? " (needed)" : "",
               options->variable ? "; else " : "",
               options->variable ? options->variable : "");
    }
}
