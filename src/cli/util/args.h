
/*
 * Options of the command line: tables that describe them, and their values.
 */


#ifndef _PERM_CLI_ARGS_H_INCLUDED_
#define _PERM_CLI_ARGS_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>

#include "core/name.h"


#define PERM_DAYS_MAX  32


typedef enum {
    PERM_ARG_FLAG = 0,     /* int */
    PERM_ARG_TEXT,         /* const char * */
    PERM_ARG_NAME,         /* perm_str_t, as the next three: any bytes */
    PERM_ARG_GATEWAY,
    PERM_ARG_RESOURCE,
    PERM_ARG_APP,
    PERM_ARG_RESOURCES,    /* perm_names_t: may be given again */
    PERM_ARG_END,          /* perm_args_time_t, as the next: a time, or a span
                              from now on */
    PERM_ARG_SINCE,        /* a time, or a span before now */
    PERM_ARG_SPAN,         /* int64_t, seconds */
    PERM_ARG_TERM,         /* the same, at least one */
    PERM_ARG_DAYS,         /* int64_t, seconds: a span, or plain days */
    PERM_ARG_DAY_LIST,     /* perm_days_t: each of whole days */
    PERM_ARG_NUMBER,       /* int64_t */
    PERM_ARG_LIMIT,        /* perm_limit_t */
    PERM_ARG_WORD          /* unsigned: the index of one of "a|b|c" */
} perm_arg_kind_t;


typedef struct {
    unsigned         n;
    int64_t          days[PERM_DAYS_MAX];
} perm_days_t;


/* each name once, in their order */

typedef struct {
    perm_str_t      *list;
    size_t           n;
    size_t           size;
} perm_names_t;


/* zeros: absent */

typedef struct {
    int              given;
    int              relative;       /* to now */
    int64_t          seconds;        /* unix seconds, or from now on */
} perm_args_time_t;


/* "N" or "P%" */

typedef struct {
    int64_t          n;              /* -1: absent */
    int              percent;
} perm_limit_t;


typedef struct {
    /* of every command */
    const char      *redis;
    const char      *prefix;
    const char      *user;
    const char      *password_file;
    const char      *cacert;
    const char      *cert;
    const char      *key;
    const char      *tls_name;
    int              insecure;
    int64_t          timeout;        /* seconds */
    int              json;
    int              help;
    int              version;
    unsigned         environment;    /* bits of the global options, in their
                                        order, that it gave */

    /* of some; absent options are NULL, 0, or their default */
    perm_tuple_t     tuple;
    perm_names_t     resources;
    const char      *type;
    const char      *by;
    const char      *comment;
    const char      *reason;
    const char      *policies;
    const char      *file;
    const char      *notify;
    int64_t          period;         /* seconds, of --days; -1: absent */
    perm_args_time_t  expires;
    perm_args_time_t  since;
    perm_args_time_t  unused_since;
    int64_t          expired_for;
    int64_t          term;
    unsigned         dimension;
    unsigned         role;
    unsigned         status;
    int              expired;
    int              replace;
    int              allow_empty;
    int              dry_run;
    int              no_renew;
    int              whole_gateway;
    int              verbose;
    int64_t          max_bad;
    perm_limit_t     max_removals;
    perm_days_t      day_list;
} perm_args_t;


/* a table ends with a name of NULL */

typedef struct {
    const char      *name;       /* "--gateway" */
    const char      *value;      /* "G" in --help, the words of a WORD, NULL */
    const char      *text;       /* for --help */
    perm_arg_kind_t  kind;
    size_t           offset;     /* in perm_args_t */
    unsigned         required;
    const char      *variable;   /* of the environment, which gives a TEXT that
                                    is absent, or NULL; for global options */
} perm_option_t;


/* the rest of an option: its kind and its member of perm_args_t */

#define PERM_OPTION(kind, member)                                             \
    PERM_ARG_##kind, offsetof(perm_args_t, member), 0, NULL

#define PERM_OPTION_REQUIRED(kind, member)                                    \
    PERM_ARG_##kind, offsetof(perm_args_t, member), 1, NULL

#define PERM_OPTION_VARIABLE(member, variable)                                \
    PERM_ARG_TEXT, offsetof(perm_args_t, member), 0, variable

#define PERM_OPTION_END  { NULL, NULL, NULL, PERM_OPTION(FLAG, help) }


extern const perm_option_t  perm_global_options[];


/* Sets every option to its value when it is absent */

void perm_args_init(perm_args_t *args);


/*
 * Takes the option at argv[*i], of the command's or the global options, with
 * its value, and moves *i to its last word.  argv ends with NULL.  command: for
 * messages, or NULL.  A mistake ends the program with PERM_EXIT_USAGE.
 */
void perm_args_take(perm_args_t *args, const char *command,
    const perm_option_t *options, char **argv, int *i);


/*
 * Takes global options that are absent from the environment; a variable that is
 * set but empty counts as not set.
 */
void perm_args_environment(perm_args_t *args);


/*
 * Of the global option with that member of *args: 1 when the environment gave
 * it; and for messages "APP_PERMISSION_REDIS" then, or else "--redis".
 */
int perm_args_inherited(const perm_args_t *args, const void *member);
const char *perm_args_source(const perm_args_t *args, const void *member);


/* Unix seconds from 0 on, or -1 when it was not given */

int64_t perm_args_time(const perm_args_time_t *time, int64_t now);


/*
 * Ends the program when an option that the command requires is absent, or a
 * text is not fit to be kept in Redis.
 */

void perm_args_check(const perm_args_t *args, const char *command,
    const perm_option_t *options);


/* Writes the options to standard output, for --help */

void perm_args_help(const perm_option_t *options);


#endif /* _PERM_CLI_ARGS_H_INCLUDED_ */
