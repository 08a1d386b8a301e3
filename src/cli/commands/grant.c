
/*
 * grant, extend and revoke: one grant is written or removed, and its history
 * says so.
 */


#include <stdlib.h>
#include <string.h>

#include "cli/commands/command.h"
#include "cli/table/history.h"
#include "cli/util/alloc.h"
#include "core/grant.h"


#define PERIOD_DEFAULT  (180 * 86400)   /* seconds */


/* a change, and the grant that it met */

typedef struct {
    perm_cli_t            *cli;
    int64_t                wanted;     /* grant: the end asked for */
    perm_grant_details_t   old;
    int64_t                expires;    /* afterwards */
} perm_grant_run_t;


static perm_exit_t run_grant(perm_cli_t *cli);
static int64_t wanted_expires(const perm_cli_t *cli);
static int change_grant(void *data, perm_str_t old,
    perm_history_entry_t *entry, char **value);
static void say_kept(const perm_grant_run_t *run);
static perm_exit_t run_extend(perm_cli_t *cli);
static int change_extend(void *data, perm_str_t old,
    perm_history_entry_t *entry, char **value);
static int64_t extended(const perm_cli_t *cli, int64_t from,
    perm_exit_t status);
static perm_exit_t run_revoke(perm_cli_t *cli);
static int change_revoke(void *data, perm_str_t old,
    perm_history_entry_t *entry, char **value);
static void begin(perm_grant_run_t *run, perm_cli_t *cli);
static void fill_entry(const perm_grant_run_t *run,
    perm_history_entry_t *entry, const char *action);
static char *new_value(const perm_grant_run_t *run, perm_str_t old,
    const perm_grant_change_t *change);
static void print_result(const perm_grant_run_t *run, const char *result);


#define TUPLE_OPTIONS                                                         \
    { "--gateway", "G", "the gateway",                                        \
      PERM_OPTION_REQUIRED(GATEWAY, tuple.gateway) },                         \
    { "--resource", "R", "one resource of it, else the whole gateway",        \
      PERM_OPTION(RESOURCE, tuple.resource) },                                \
    { "--app", "A", "the app", PERM_OPTION_REQUIRED(APP, tuple.app) }

#define HISTORY_OPTIONS                                                       \
    { "--by", "WHO", "in the history, else the user who runs this",           \
      PERM_OPTION(TEXT, by) },                                                \
    { "--comment", "TEXT", "why, in the history", PERM_OPTION(TEXT, comment) }


static const perm_option_t  grant_options[] = {
    TUPLE_OPTIONS,
    { "--days", "N", "from now on, 180; 0 is permanent",
      PERM_OPTION(DAYS, period) },
    { "--expires", "T", "until then", PERM_OPTION(END, expires) },
    { "--type", "TYPE", "kept with the grant, as in apply or renew",
      PERM_OPTION(TEXT, type) },
    { "--no-renew", NULL, "\"renew\" leaves it alone",
      PERM_OPTION(FLAG, no_renew) },
    { "--by", "WHO", "who gives it, kept with the grant and in the history",
      PERM_OPTION(TEXT, by) },
    { "--comment", "TEXT", "why, in the history", PERM_OPTION(TEXT, comment) },
    PERM_OPTION_END
};


const perm_command_t  perm_grant_command = {
    "grant", "",
    "give an app a permission on a gateway or on one resource",
    "Writes one grant, for 180 days by default. Of a grant that is there\n"
    "already the end and the time of granting are set anew; its type stays\n"
    "unless --type is given, and all other members stay. Without --days and\n"
    "--expires a grant is never shortened; where they do, it is said.",
    grant_options, 0, run_grant
};


static const perm_option_t  extend_options[] = {
    TUPLE_OPTIONS,
    { "--days", "N", "longer than now, 180", PERM_OPTION(DAYS, period) },
    HISTORY_OPTIONS,
    PERM_OPTION_END
};


const perm_command_t  perm_extend_command = {
    "extend", "",
    "let a grant last longer",
    "A grant that lasts ends N days later than now it does, one that has\n"
    "ended ends N days from now, and a permanent one stays. All other\n"
    "members stay. Exit status 1: there is no such grant.",
    extend_options, 0, run_extend
};


static const perm_option_t  revoke_options[] = {
    TUPLE_OPTIONS,
    HISTORY_OPTIONS,
    PERM_OPTION_END
};


const perm_command_t  perm_revoke_command = {
    "revoke", "",
    "take one grant back",
    "Removes one grant. Exit status 1: there was none. A grant on the whole\n"
    "gateway and those on its resources are independent of each other.",
    revoke_options, 0, run_revoke
};


static perm_exit_t
run_grant(perm_cli_t *cli)
{
    perm_grant_run_t  run;

    (void) wanted_expires(cli);
    begin(&run, cli);
    run.wanted = wanted_expires(cli);

    if (run.wanted <= cli->table.now) {
        perm_output_warn("this grant has ended already, at %s",
                         perm_output_time(run.wanted));
    }

    if (!perm_table_writable(&cli->table)) {
        return PERM_EXIT_NO;
    }

    (void) perm_history_change(&cli->table, &cli->args.tuple, change_grant,
                               &run);
    say_kept(&run);
    print_result(&run, "granted");

    return PERM_EXIT_DONE;
}


/* before the table is open it is only tried, with the time of this machine */

static int64_t
wanted_expires(const perm_cli_t *cli)
{
    int64_t             expires;
    const perm_args_t  *args;

    args = &cli->args;

    if (args->expires.given && args->period >= 0) {
        perm_output_fatal(PERM_EXIT_USAGE, "--days and --expires both say "
                          "when it ends: give one");
    }

    if (args->period == 0) {
        return PERM_GRANT_PERMANENT;
    }

    expires = args->expires.given
              ? perm_args_time(&args->expires, cli->table.now)
              : cli->table.now + (args->period > 0 ? args->period
                                                   : PERIOD_DEFAULT);

    if (expires > PERM_GRANT_EXPIRES_MAX) {
        perm_output_fatal(PERM_EXIT_USAGE, "%s: that is after the year 9999; "
                          "\"--days 0\" is permanent",
                          args->expires.given ? "--expires" : "--days");
    }

    return expires;
}


static int
change_grant(void *data, perm_str_t old, perm_history_entry_t *entry,
    char **value)
{
    perm_grant_run_t     *run = data;
    const perm_args_t    *args;
    perm_grant_change_t   change;

    args = &run->cli->args;
    perm_grant_details(old, &run->old);
    run->expires = run->wanted;

    if (!args->expires.given && args->period < 0
        && run->old.grant.expires > run->wanted)
    {
        run->expires = run->old.grant.expires;
    }

    change.expires = run->expires;
    change.granted = run->cli->table.now;
    change.type = args->type;
    change.no_renew = args->no_renew;

    /* who gave the grant before did not give this one */

    change.by = (args->by == NULL && run->old.grant.expires >= 0
                 && run->old.by[0])
                ? "" : args->by;

    *value = new_value(run, old, &change);
    fill_entry(run, entry, "grant");

    return 1;
}


/* what of the grant that was there before is not as the caller may expect */

static void
say_kept(const perm_grant_run_t *run)
{
    int64_t  before;

    before = run->old.grant.expires;

    if (before > run->wanted && run->expires == before) {
        perm_output_warn("the grant that was there lasts longer, and its end "
                         "stays; --days or --expires would shorten it");

    } else if (before > run->wanted && before > run->cli->table.now) {
        perm_output_warn("the grant that was there was shortened: it was %s%s",
                         before >= PERM_GRANT_PERMANENT ? "" : "until ",
                         perm_output_time(before));
    }

    if (!run->cli->args.no_renew) {
        perm_table_warn_no_renew(&run->cli->args.tuple, &run->old.grant,
                                 run->expires);
    }
}


static perm_exit_t
run_extend(perm_cli_t *cli)
{
    int               written;
    const char       *missing;
    perm_grant_run_t  run;

    if (cli->args.period == 0) {
        perm_output_fatal(PERM_EXIT_USAGE, "--days \"0\": that changes "
                          "nothing; \"grant --days 0\" makes a grant "
                          "permanent");
    }

    if (cli->args.period < 0) {
        cli->args.period = PERIOD_DEFAULT;
    }

    (void) extended(cli, cli->table.now, PERM_EXIT_USAGE);
    begin(&run, cli);

    if (!perm_table_writable(&cli->table)) {
        return PERM_EXIT_NO;
    }

    written = perm_history_change(&cli->table, &cli->args.tuple,
                                  change_extend, &run);

    if (!written && run.old.grant.expires < 0) {
        missing = (run.old.grant.expires == PERM_GRANT_ABSENT)
                  ? "no such grant" : "the grant is unreadable, and counts as "
                  "absent: \"grant\" replaces it";
        print_result(&run, missing);
        return PERM_EXIT_NO;
    }

    perm_table_warn_no_renew(&cli->args.tuple, &run.old.grant, run.expires);
    print_result(&run, written ? "extended" : "permanent already");

    return PERM_EXIT_DONE;
}


static int
change_extend(void *data, perm_str_t old, perm_history_entry_t *entry,
    char **value)
{
    perm_grant_run_t     *run = data;
    perm_grant_change_t   change;

    perm_grant_details(old, &run->old);
    run->expires = run->old.grant.expires;

    if (run->expires < 0 || run->expires >= PERM_GRANT_PERMANENT) {
        return 0;
    }

    run->expires = extended(run->cli,
                            perm_grant_live(run->expires, run->cli->table.now)
                            ? run->expires : run->cli->table.now,
                            PERM_EXIT_NO);

    memset(&change, 0, sizeof(perm_grant_change_t));
    change.expires = run->expires;
    change.granted = PERM_GRANT_ABSENT;

    *value = new_value(run, old, &change);
    fill_entry(run, entry, "extend");

    return 1;
}


static int64_t
extended(const perm_cli_t *cli, int64_t from, perm_exit_t status)
{
    if (cli->args.period > PERM_GRANT_EXPIRES_MAX - from) {
        perm_output_fatal(status, "--days: that is after the year 9999; "
                          "\"grant --days 0\" makes a grant permanent");
    }

    return from + cli->args.period;
}


static perm_exit_t
run_revoke(perm_cli_t *cli)
{
    int               removed;
    perm_grant_run_t  run;

    begin(&run, cli);

    removed = perm_history_change(&cli->table, &cli->args.tuple,
                                  change_revoke, &run);

    if (!removed) {
        perm_table_warn_unloaded(&cli->table);
    }

    print_result(&run, removed ? "revoked" : "no such grant");

    return removed ? PERM_EXIT_DONE : PERM_EXIT_NO;
}


static int
change_revoke(void *data, perm_str_t old, perm_history_entry_t *entry,
    char **value)
{
    perm_grant_run_t  *run = data;

    perm_grant_details(old, &run->old);
    fill_entry(run, entry, "revoke");
    *value = NULL;

    return old.data != NULL;
}


static void
begin(perm_grant_run_t *run, perm_cli_t *cli)
{
    memset(run, 0, sizeof(perm_grant_run_t));
    run->cli = cli;
    perm_table_connect(&cli->table, &cli->servers);
    run->expires = PERM_GRANT_ABSENT;
}


static void
fill_entry(const perm_grant_run_t *run, perm_history_entry_t *entry,
    const char *action)
{
    entry->action = action;
    entry->before = run->old.grant.expires;
    entry->expires = run->expires;
    entry->by = run->cli->args.by;
    entry->comment = run->cli->args.comment;
}


static char *
new_value(const perm_grant_run_t *run, perm_str_t old,
    const perm_grant_change_t *change)
{
    char                *value, key[PERM_KEY_MAX];
    const perm_tuple_t  *tuple;

    value = perm_alloc_check(perm_grant_rewrite(old, change));

    if (strlen(value) > PERM_GRANT_VALUE_MAX) {
        tuple = &run->cli->args.tuple;
        perm_output_fatal(PERM_EXIT_NO, "\"%s\", field \"%s\": not written: "
                          "the value would have %zu bytes, of which a gateway "
                          "reads %d at most",
                          perm_table_key(&run->cli->table, key,
                                         PERM_KEY_GRANTS, tuple).data,
                          perm_output_safe(perm_table_field(tuple)),
                          strlen(value), PERM_GRANT_VALUE_MAX);
    }

    return value;
}


static void
print_result(const perm_grant_run_t *run, const char *result)
{
    int                  never;
    int64_t              expires;
    const perm_tuple_t  *tuple;

    tuple = &run->cli->args.tuple;
    expires = run->expires;
    never = run->cli->args.no_renew
            || (run->old.grant.expires >= 0 && !run->old.grant.renew);

    if (run->cli->args.json) {
        perm_output_json(stdout, "{%t,'result':%s,'expires_before':%n", tuple,
                         result, run->old.grant.expires);
        perm_output_json(stdout, expires < 0 ? "}\n" : never
                         ? ",'expires':%n,'renew':false}\n"
                         : ",'expires':%n}\n", expires);
        return;
    }

    printf("%s: app %s, gateway %s, %s%s", result, tuple->app.data,
           tuple->gateway.data,
           tuple->resource.len ? "resource " : "all resources",
           tuple->resource.len ? tuple->resource.data : "");

    if (expires >= 0) {
        printf(expires >= PERM_GRANT_PERMANENT ? ", %s" : ", until %s",
               perm_output_time(expires));
    }

    printf("\n");
}
